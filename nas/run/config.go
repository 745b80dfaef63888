package run

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// Config is everything that a run depends on beside the machine. Its JSON lies in the run folder. Sizes are in pixels, steps in
// batches.
type Config struct {
	// Preset is the name of the settings that this configuration began with.
	Preset string `json:"preset"`
	// Data is "scenes" or a folder of pictures; Format is "auto" or forces how the folder is read.
	Data   string `json:"data"`
	Format string `json:"format"`
	Seed   uint64 `json:"seed"`
	// Start names the weights that tools/train begins with, by their checkpoint's fingerprint; "": random ones.
	Start string `json:"start,omitempty"`

	// Height and Width are the network's input, in training, evaluation and measuring.
	Height int `json:"height"`
	Width  int `json:"width"`
	// Scenes says how many pictures are drawn for each split of the scenes data set.
	Scenes ScenesSize `json:"scenes"`
	// Augmentation distorts the training pictures.
	Augmentation Augmentation `json:"augmentation"`

	// Strides and Widths are the three searched stages'.
	Strides [space.Stages]int `json:"strides"`
	Widths  [space.Stages]int `json:"widths"`
	Space   space.Space       `json:"space"`
	// Supernet is elastic (shared weights) or naive (weights of its own for every choice).
	Supernet train.ModelKind `json:"supernet"`

	// Batch is the pictures of a step; MicroBatch, where it is not 0, how many of them go through the network at a time (gradient accumulation).
	Batch      int             `json:"batch"`
	MicroBatch int             `json:"micro_batch"`
	Optimiser  train.Optimiser `json:"optimiser"`
	// TrainPrecision is how activations and their gradients are kept in training and in the search's evaluations: "" is f32; f16 and bf16 are for
	// GPUs.
	TrainPrecision string `json:"train_precision,omitempty"`
	// Balance is the exponent with which rare classes weigh more in the loss: 0 not at all, 1 by median-frequency balancing.
	Balance float64 `json:"balance"`
	// HardPixels keeps the pixels of a step that are hardest to label; the zero value keeps all.
	HardPixels train.HardPixels `json:"hard_pixels"`
	// ClassUniform is the share of training samples that are chosen by class, all classes evenly, and cropped around a pixel of it.
	ClassUniform float64 `json:"class_uniform"`
	// Sandwich is how many networks a step of the supernet trains and what they learn from; the zero value draws one, as the thesis does.
	Sandwich train.Sandwich `json:"sandwich"`
	// Shrinking trains the supernet, Scratch the baseline from random weights, Retrain every network cut out of the supernet; Trial retrains a
	// finalist for a while.
	Shrinking train.Schedule `json:"shrinking"`
	Scratch   train.Schedule `json:"scratch"`
	Retrain   train.Schedule `json:"retrain"`
	Trial     train.Schedule `json:"trial"`
	// Finalists is how many of the search's best networks are tried before one is the winner, beside the hand-made ones within reach; with 0 or 1
	// the search's best is.
	Finalists int `json:"finalists"`
	// Checks is how often a single network's training is evaluated on the reported split, evenly spread and at its end.
	Checks int `json:"checks"`
	// RandomChecks is how many networks drawn at random each evaluation of the supernet looks at, beside the largest one.
	RandomChecks int `json:"random_checks"`
	// RecalibrationBatches are the training batches over which a network's running statistics are computed anew.
	RecalibrationBatches int `json:"recalibration_batches"`
	// RecalibrateClips fits the clips of a quantised network's activations to these batches, too, where the supernet's networks are evaluated. It takes
	// long and gains nothing (nas/quant/README.md), so presets leave it out.
	RecalibrateClips bool `json:"recalibrate_clips,omitempty"`

	Search search.Config `json:"search"`
	// Pareto is at how many latencies, up to the limit, the search looks for the best network; 0 is the limit alone.
	Pareto int    `json:"pareto,omitempty"`
	Limits Limits `json:"limits"`
	// TableRounds and FinalRounds are the accepted measuring turns of the networks behind the latency table and of the final ones.
	TableRounds int `json:"table_rounds"`
	FinalRounds int `json:"final_rounds"`
	// VerifyNetworks are the random networks on which the table's predictions are verified at the end; 0 for none.
	VerifyNetworks int `json:"verify_networks"`

	// PictureCache bounds the bytes of decoded pictures that are kept in memory. It changes the speed alone, and is no part of a run.
	PictureCache float64 `json:"-"`
}

// ScenesSize counts pictures. The splits are disjoint ranges of the scenes' indices.
type ScenesSize struct {
	Train      int `json:"train"`
	Validation int `json:"search_validation"`
	Test       int `json:"test"`
}

// Augmentation bounds the random changes of a training picture.
type Augmentation struct {
	MinScale   float64 `json:"min_scale"` // of the picture's size
	MaxScale   float64 `json:"max_scale"`
	Flip       bool    `json:"flip"` // horizontally, one time in two
	Hue        float64 `json:"hue"`  // turns of the colour circle, either way
	Saturation float64 `json:"saturation"`
	Value      float64 `json:"value"`
}

// Limits bound the searched network. Zero is no limit, but for Latency, where it is the baseline's predicted latency over 1.2.
type Limits struct {
	Latency float64 `json:"latency_ms"`
	// Margin is the share of the latency limit that the search keeps free, so that the winner meets the limit when it is measured,
	// too: a search goes as near to its limit as it can, and predictions are off by a few percent either way.
	Margin float64 `json:"margin"`
	// Like limits the latency to this network's predicted one instead.
	Like   *space.Arch `json:"latency_like,omitempty"`
	MACs   float64     `json:"macs"`
	Params float64     `json:"params"`
	// BitOps and Bytes are of a network with bit widths: its bit operations, and its weights, scales and biases as they are stored.
	BitOps float64 `json:"bitops,omitempty"`
	Bytes  float64 `json:"model_bytes,omitempty"`
	// Memory and Weights are bytes of the deployed network on this machine: the peak of its activations with scratch, and its packed weights.
	Memory  float64 `json:"memory_bytes,omitempty"`
	Weights float64 `json:"weight_bytes,omitempty"`
	// Energy is joules of a picture, on a GPU whose card counts them.
	Energy float64 `json:"energy_joules,omitempty"`
}

// latencyShare is the default latency limit: the baseline's over this. A search for a front goes up to the baseline's.
const latencyShare = 1.2

// Validate returns a misuse error that names the first setting that cannot be.
func (c Config) Validate() error {
	for _, n := range []struct {
		name  string
		value int
		least int
	}{
		{"picture height", c.Height, 8}, {"picture width", c.Width, 8}, {"batch size", c.Batch, 1},
		{"training scenes", c.Scenes.Train, 1}, {"search validation scenes", c.Scenes.Validation, 1}, {"test scenes", c.Scenes.Test, 1},
		{"recalibration batches", c.RecalibrationBatches, 1}, {"checks", c.Checks, 0}, {"random checks", c.RandomChecks, 0},
		{"micro-batch size", c.MicroBatch, 0},
		{"table rounds", c.TableRounds, 1}, {"final rounds", c.FinalRounds, 1}, {"networks to verify", c.VerifyNetworks, 0}, {"finalists", c.Finalists, 0},
		{"latencies of a front", c.Pareto, 0},
	} {
		if n.value < n.least {
			return misuse.Errorf("%s is %d; at least %d is needed", n.name, n.value, n.least)
		}
	}
	if c.Supernet != train.Elastic && c.Supernet != train.Naive {
		return misuse.Errorf("supernet %q is not known; elastic and naive are", c.Supernet)
	}
	if err := c.Limits.validate(c.Space); err != nil {
		return err
	}
	if err := c.validateRecipe(); err != nil {
		return err
	}
	if err := c.Space.Validate(); err != nil {
		return err
	}
	for name, s := range map[string]train.Schedule{"supernet": c.Shrinking, "from scratch": c.Scratch, "retraining": c.Retrain, "finalists": c.Trial} {
		if err := s.Validate(); err != nil {
			return misuse.Errorf("schedule %s: %w", name, err)
		}
	}
	if err := c.Optimiser.Validate(); err != nil {
		return err
	}
	return c.Search.Validate()
}

// validateRecipe is Validate for what a training does with its pictures.
func (c Config) validateRecipe() error {
	a := c.Augmentation
	if !(a.MinScale > 0 && a.MaxScale >= a.MinScale) || !(a.Hue >= 0 && a.Saturation >= 0 && a.Value >= 0) {
		return misuse.Errorf("augmentation %+v; scales are above 0 and ascending, jitters at least 0", a)
	}
	if !(c.Balance >= 0 && c.Balance <= 1) {
		return misuse.Errorf("class balance %g; give an exponent from 0 to 1", c.Balance)
	}
	if c.MicroBatch > c.Batch {
		return misuse.Errorf("micro-batches of %d pictures in batches of %d; give at most the batch, or 0 for all of it", c.MicroBatch, c.Batch)
	}
	if !(c.ClassUniform >= 0 && c.ClassUniform <= 1) {
		return misuse.Errorf("class-uniform sampling of a share of %g; give a share from 0 to 1", c.ClassUniform)
	}
	if err := cmp.Or(c.HardPixels.Validate(), c.Sandwich.Validate()); err != nil {
		return err
	}
	if c.Space.IsQuantised() && !slices.ContainsFunc(c.Shrinking, drawsBits) {
		return misuse.Errorf("the space %v has bit widths, and no phase of the supernet's training draws them; give one of [[shrinking]] quantised = true", c.Space)
	}
	_, err := c.precision()
	return err
}

// precision returns what TrainPrecision names.
func (c Config) precision() (gobind.Precision, error) {
	p := precisionFlag{floating: true}
	if c.TrainPrecision == "" {
		return gobind.Float32, nil
	}
	err := p.Set(c.TrainPrecision)
	if err != nil {
		err = misuse.Errorf("training precision %q: %w", c.TrainPrecision, err)
	}
	return p.Precision, err
}

// Network returns what is fixed about the networks for a number of classes.
func (c Config) Network(classes int) space.Network {
	return space.Network{Classes: classes, Strides: c.Strides, Widths: c.Widths}
}

// hash is the configuration's name in checkpoints: training with another one is another training. The place of the data is no part
// of it, since folders move.
func (c Config) hash() string {
	c.Data = filepath.Base(c.Data)
	text, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("run: a valid configuration is not JSON: %v", err))
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// Folder is the default run folder.
func (c Config) Folder() string {
	return filepath.Join("runs", fmt.Sprintf("%s-%s-%d", filepath.Base(filepath.Clean(c.Data)), c.Preset, c.Seed))
}

// config returns the augmentation as the data loader takes it.
func (a Augmentation) config() *data.AugmentConfig {
	c := &data.AugmentConfig{ScaleMin: a.MinScale, ScaleMax: a.MaxScale, Hue: a.Hue, Saturation: a.Saturation, Value: a.Value}
	if a.Flip {
		c.Flip = 0.5
	}
	return c
}
