package run

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// includedModel is the name by which tools take the network that comes with segnas. A file of that name is ./scenes.
const includedModel = ScenesData

// includedFile is a packed checkpoint: models/README.md says how it was trained, and included_test.go packs it.
//
//go:embed models/scenes.safetensors.gz
var includedFile []byte

// trainedOn is the key of the included file's metadata that says what no checkpoint does.
const trainedOn = "trained_on"

// included is the network that comes with segnas.
type included struct {
	train.Checkpoint `json:"-"`
	Scenes           ScenesSize `json:"scenes"` // that it was searched, trained and scored on
	MIoU             float64    `json:"miou"`   // on the test scenes, of the weights in the file
}

// readIncluded unpacks the network once. That it cannot be read is a broken build.
var readIncluded = sync.OnceValues(func() (included, error) {
	n, err := unpack(includedFile)
	if err != nil {
		err = fmt.Errorf("the model that comes with segnas: %w", err)
	}
	return n, err
})

// unpack is the inverse of the test's packing. Whether the tensors are the model's shows when it is built, as with any checkpoint.
func unpack(file []byte) (n included, err error) {
	packed, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		return n, err
	}
	content, err := io.ReadAll(packed)
	if err != nil {
		return n, err
	}
	f, err := safetensors.Unmarshal(content)
	if err != nil {
		return n, err
	}
	n.Tensors = f.Tensors
	if n.Seed, err = strconv.ParseUint(f.Metadata["seed"], 10, 64); err != nil {
		return n, err
	}
	if err := json.Unmarshal([]byte(f.Metadata["model"]), &n.Model); err != nil {
		return n, err
	}
	return n, json.Unmarshal([]byte(f.Metadata[trainedOn]), &n)
}

func (n included) String() string {
	return fmt.Sprintf("model: the one that comes with segnas, trained on drawn scenes; --model FILE takes yours\n  %v, %.3f M parameters, mIoU %.1f %% on %d scenes of its own test",
		n.Model.Arch, float64(n.Model.Network.Params(*n.Model.Arch))/1e6, 100*n.MIoU, n.Scenes.Test)
}

// unseen lists scenes of h x w pixels that neither trained nor searched nor scored the network: those behind its test scenes. Reading one draws it, and
// writes its picture into the folder.
func (n included) unseen(count, h, w int, folder string) ([]input, error) {
	splits, err := data.Scenes(data.ScenesConfig{H: h, W: w, Seed: n.Seed, Train: n.Scenes.Train, SearchVal: n.Scenes.Validation, Val: n.Scenes.Test + count})
	if err != nil {
		return nil, err
	}
	all := make([]input, count)
	for i := range all {
		path := filepath.Join(folder, fmt.Sprintf("scene-%d.png", i+1))
		all[i] = input{path: path, labelled: true, read: func() (*data.Sample, error) {
			s, err := splits.Val.Read(n.Scenes.Test + i)
			if err != nil {
				return nil, err
			}
			return s, writePNG(path, s.Picture())
		}}
	}
	return all, nil
}

// openNetwork is train.OpenNetwork that opens the network that comes with segnas, too, by its name.
func openNetwork(context *gobind.Context, path string, a *space.Arch) (supernet.Deployable, train.Checkpoint, error) {
	if path != includedModel {
		return train.OpenNetwork(context, path, a)
	}
	model, c, err := openPlain(context, path, a)
	if err != nil { // a nil pointer would be a Deployable that is not nil
		return nil, c, err
	}
	return model, c, nil
}

// openPlain is train.OpenPlain that does likewise.
func openPlain(context *gobind.Context, path string, a *space.Arch) (*supernet.Plain, train.Checkpoint, error) {
	if path != includedModel {
		return train.OpenPlain(context, path, a)
	}
	n, err := readIncluded()
	if err != nil {
		return nil, train.Checkpoint{}, err
	}
	if a != nil && *a != *n.Model.Arch {
		return nil, train.Checkpoint{}, misuse.Errorf("--model %s holds the network %v, not %v", path, n.Model.Arch, a)
	}
	model, err := supernet.NewPlain(context, n.Model.Network, *n.Model.Arch, nil)
	if err != nil {
		return nil, train.Checkpoint{}, err
	}
	if err := n.Restore(model); err != nil {
		model.Close()
		return nil, train.Checkpoint{}, err
	}
	return model, n.Checkpoint, nil
}
