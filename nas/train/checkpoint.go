package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"

	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// A run keeps two generations of its checkpoint, so that a damaged one costs the steps since the one before, not the run.
const (
	CheckpointFile = "ckpt.safetensors"
	PreviousFile   = "ckpt.prev.safetensors"

	checkpointFormat  = "segnas checkpoint"
	checkpointVersion = "1"
)

// ModelKind says which model a checkpoint's weights belong to.
type ModelKind string

const (
	Plain   ModelKind = "plain"   // one network: Description.Arch
	Elastic ModelKind = "elastic" // the supernet that shares weights
	Naive   ModelKind = "naive"   // the supernet that does not
	Known   ModelKind = "known"   // a network of package graph: Description.Name
)

// Description is what has to be known to build a checkpoint's model and to use it on pictures. It is kept as JSON in the metadata.
type Description struct {
	Kind    ModelKind     `json:"kind"`
	Network space.Network `json:"network"`
	Arch    *space.Arch   `json:"arch,omitempty"`  // of a plain network
	Space   *space.Space  `json:"space,omitempty"` // of a supernet
	Name    string        `json:"name,omitempty"`  // of a known network, of which Network gives the classes alone
	// Height and Width are the size, in pixels, of the pictures that the model was trained on.
	Height  int     `json:"height"`
	Width   int     `json:"width"`
	Dataset string  `json:"dataset"`
	Classes Classes `json:"classes"`
}

// Classes names the classes and gives the colours in which they are drawn, [R, G, B]. Values holds what stands for each class in
// label pictures; empty, it is the class's index.
type Classes struct {
	Names  []string `json:"names"`
	Colors [][3]int `json:"colors"`
	Values []int    `json:"values,omitempty"`
}

// Checkpoint is a model's weights and running statistics, with what describes it. One written during training has the
// optimiser's momentum too.
type Checkpoint struct {
	Model Description
	// Step counts finished steps over all phases; Seed and ConfigHash say of which run.
	Step       int
	Seed       uint64
	ConfigHash string
	Tensors    []safetensors.Tensor
}

// Save writes the checkpoint into a folder, at once and durably, keeping the one before.
func (c Checkpoint) Save(folder string) error {
	f, err := c.file()
	if err != nil {
		return err
	}
	return safetensors.WriteFile(filepath.Join(folder, CheckpointFile), filepath.Join(folder, PreviousFile), f)
}

// SaveFile writes the checkpoint to one file, at once and durably.
func (c Checkpoint) SaveFile(path string) error {
	f, err := c.file()
	if err != nil {
		return err
	}
	return safetensors.WriteFile(path, "", f)
}

func (c Checkpoint) file() (safetensors.File, error) {
	model, err := json.Marshal(c.Model)
	if err != nil {
		return safetensors.File{}, fmt.Errorf("checkpoint: %w", err)
	}
	return safetensors.File{
		Metadata: map[string]string{
			"format": checkpointFormat, "version": checkpointVersion,
			"model": string(model), "step": strconv.Itoa(c.Step), "seed": strconv.FormatUint(c.Seed, 10), "config_hash": c.ConfigHash,
		},
		Tensors: c.Tensors,
	}, nil
}

// LoadFile reads one checkpoint file. A missing, damaged or foreign file is misuse that names it; a missing one is fs.ErrNotExist too.
func LoadFile(path string) (Checkpoint, error) {
	f, err := safetensors.ReadFile(path)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseCheckpoint(f)
	if err != nil {
		return Checkpoint{}, misuse.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func parseCheckpoint(f safetensors.File) (Checkpoint, error) {
	m := f.Metadata
	if m["format"] != checkpointFormat {
		return Checkpoint{}, misuse.Errorf("the file holds %.40q, not a %s", m["format"], checkpointFormat)
	}
	if m["version"] != checkpointVersion {
		return Checkpoint{}, misuse.Errorf("checkpoint version %.20q; this program reads version %s", m["version"], checkpointVersion)
	}
	c := Checkpoint{ConfigHash: m["config_hash"], Tensors: f.Tensors}
	var err error
	if c.Step, err = strconv.Atoi(m["step"]); err != nil || c.Step < 0 {
		return Checkpoint{}, misuse.Errorf("step %.20q is no count", m["step"])
	}
	if c.Seed, err = strconv.ParseUint(m["seed"], 10, 64); err != nil {
		return Checkpoint{}, misuse.Errorf("seed %.20q is no number", m["seed"])
	}
	if err := json.Unmarshal([]byte(m["model"]), &c.Model); err != nil {
		return Checkpoint{}, misuse.Errorf("the model's description cannot be read: %w", err)
	}
	return c, c.Model.validate()
}

func (d Description) validate() error {
	if err := d.Network.Validate(); err != nil {
		return err
	}
	switch {
	case d.Kind == Plain && d.Arch == nil:
		return misuse.Errorf("a network without its architecture")
	case d.Kind == Plain:
		if err := d.Arch.Validate(); err != nil {
			return err
		}
	case d.Kind == Known:
		if _, err := graph.Named(d.Name, d.Network.Classes); err != nil {
			return err
		}
	case d.Kind != Elastic && d.Kind != Naive:
		return misuse.Errorf("a model of kind %.20q; plain, elastic, naive and known are there", d.Kind)
	case d.Space == nil:
		return misuse.Errorf("a supernet without its search space")
	default:
		if err := d.Space.Validate(); err != nil {
			return err
		}
	}
	n := d.Network.Classes
	if len(d.Classes.Names) != n || len(d.Classes.Colors) != n || (len(d.Classes.Values) != 0 && len(d.Classes.Values) != n) {
		return misuse.Errorf("a network of %d classes with %d names and %d colours", n, len(d.Classes.Names), len(d.Classes.Colors))
	}
	if d.Height < 1 || d.Width < 1 {
		return misuse.Errorf("pictures of %dx%d pixels", d.Height, d.Width)
	}
	return nil
}

// Load reads a folder's checkpoint, or the one before when it is damaged; notice then says so in words. A folder without a
// checkpoint is fs.ErrNotExist.
func Load(folder string) (c Checkpoint, notice string, err error) {
	c, err = LoadFile(filepath.Join(folder, CheckpointFile))
	if err == nil {
		return c, "", nil
	}
	previous, previousErr := LoadFile(filepath.Join(folder, PreviousFile))
	if previousErr == nil {
		return previous, fmt.Sprintf("%v; going on from %s of step %d", err, PreviousFile, previous.Step), nil
	}
	if errors.Is(err, fs.ErrNotExist) && !errors.Is(previousErr, fs.ErrNotExist) {
		err = previousErr
	}
	return Checkpoint{}, "", err
}
