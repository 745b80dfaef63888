package run

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/train"
)

// schedules are all trainings' schedules.
func (c *Config) schedules() []*train.Schedule {
	return []*train.Schedule{&c.Shrinking, &c.Scratch, &c.Retrain, &c.Trial}
}

// decayFlag sets how the learning rates of all trainings fall.
type decayFlag struct{ c *Config }

func (f decayFlag) String() string {
	if f.c == nil || len(f.c.Scratch) == 0 || f.c.Scratch[0].Decay == "" {
		return string(train.Poly)
	}
	return string(f.c.Scratch[0].Decay)
}

func (f decayFlag) Type() string { return "name" }

func (f decayFlag) Set(text string) error {
	if d := train.Decay(text); d != train.Poly && d != train.Cosine {
		return misuse.Errorf("give %s or %s", train.Poly, train.Cosine)
	}
	return f.c.eachPhase(func(p *train.Phase) error {
		p.Decay = train.Decay(text)
		return nil
	})
}

// warmupFlag sets over how many steps the learning rate of every phase rises.
type warmupFlag struct{ c *Config }

func (f warmupFlag) String() string { return "" }
func (f warmupFlag) Type() string   { return "steps" }

func (f warmupFlag) Set(text string) error {
	steps, err := strconv.Atoi(text)
	if err != nil || steps < 0 {
		return misuse.Errorf("give a number of steps, 0 or more")
	}
	return f.c.eachPhase(func(p *train.Phase) error {
		p.WarmupSteps = min(steps, p.Steps)
		return nil
	})
}

// smallFlag sets the share of every phase's steps that see pictures of half the height and width.
type smallFlag struct{ c *Config }

func (f smallFlag) String() string { return "" }
func (f smallFlag) Type() string   { return "share" }

func (f smallFlag) Set(text string) error {
	share, err := strconv.ParseFloat(text, 64)
	if err != nil || !(share >= 0 && share <= 1) {
		return misuse.Errorf("give a share from 0 to 1")
	}
	return f.c.eachPhase(func(p *train.Phase) error {
		p.SmallSteps = int(share*float64(p.Steps) + 0.5)
		return nil
	})
}

// smallFirst returns the schedule with the first share of every phase's steps small ones, and as many steps as see as many pixels as before.
func smallFirst(s train.Schedule, share float64) train.Schedule {
	s = slices.Clone(s)
	for i := range s {
		p := &s[i]
		factor := p.WholeSteps() / (1 - 0.75*share) / float64(p.Steps)
		s[i] = train.Schedule{*p}.Scaled(factor)[0]
		s[i].SmallSteps = int(share*float64(s[i].Steps) + 0.5)
	}
	return s
}

// eachPhase changes the phases of all schedules.
func (c *Config) eachPhase(change func(*train.Phase) error) error {
	for _, s := range c.schedules() {
		*s = slices.Clone(*s)
		for i := range *s {
			if err := change(&(*s)[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// scaleFlag sets the random scales of training pictures, such as 0.5:2.
type scaleFlag struct{ a *Augmentation }

func (f scaleFlag) String() string {
	if f.a == nil {
		return ""
	}
	return fmt.Sprintf("%g:%g", f.a.MinScale, f.a.MaxScale)
}

func (f scaleFlag) Type() string { return "least:most" }

func (f scaleFlag) Set(text string) error {
	low, high, found := strings.Cut(text, ":")
	least, err1 := strconv.ParseFloat(low, 64)
	most, err2 := strconv.ParseFloat(high, 64)
	if !found || err1 != nil || err2 != nil || !(least > 0 && most >= least) {
		return misuse.Errorf("give two scales such as 0.5:2, or 1:1 for none")
	}
	f.a.MinScale, f.a.MaxScale = least, most
	return nil
}

// trainingFlags registers what shapes every training.
func trainingFlags(fs *pflag.FlagSet, c *Config) {
	fs.IntVar(&c.Batch, "batch", c.Batch, "pictures in a training step")
	fs.IntVar(&c.MicroBatch, "micro-batch", c.MicroBatch, "pictures that go through the network at a time, gradients added up over the batch; 0: all")
	fs.Var(scheduleFlag{&c.Scratch}, "scratch-steps", "training steps of a network from random weights")
	fs.Var(ratesFlag{c.schedules()}, "lr-factor", "multiplies all learning rates")
	fs.Var(decayFlag{c}, "decay", "how learning rates fall: poly or cosine")
	fs.Var(warmupFlag{c}, "warmup-steps", "steps over which the learning rate of every phase rises")
	fs.Var(smallFlag{c}, "small-first", "share of the steps of every phase, the first ones, on pictures of half the height and width, which take a quarter of the time")
	fs.Float64Var(&c.Balance, "balance", c.Balance, "exponent with which rare classes weigh more in the loss: 0 not at all, 1 by median frequency")
	fs.Float64Var(&c.HardPixels.Probability, "ohem", c.HardPixels.Probability, "learn only from pixels whose true class gets less than this probability, such as 0.7; 0: from all")
	fs.Float64Var(&c.HardPixels.LeastShare, "ohem-share", c.HardPixels.LeastShare, "share of the pixels that is kept at least, the hardest ones (default 1/16)")
	fs.Float64Var(&c.ClassUniform, "class-uniform", c.ClassUniform, "share of training samples chosen by class, all classes evenly, and cropped around a pixel of it")
	fs.Float64Var(&c.Optimiser.Average, "ema", c.Optimiser.Average, "keep a moving average of the weights, with this decay, such as 0.999, and use that; 0: none")
	fs.Float64Var(&c.Optimiser.AuxWeight, "aux", c.Optimiser.AuxWeight, "weight of each auxiliary head's loss")
	fs.Var(scaleFlag{&c.Augmentation}, "scales", "random scales of training pictures")
	fs.Float64Var(&c.Augmentation.Hue, "hue", c.Augmentation.Hue, "random turns of the hue, as a share of the colour circle")
	fs.Float64Var(&c.Augmentation.Saturation, "saturation", c.Augmentation.Saturation, "random relative changes of the saturation")
	fs.Float64Var(&c.Augmentation.Value, "value", c.Augmentation.Value, "random relative changes of the brightness")
	fs.BoolVar(&c.Augmentation.Flip, "flip", c.Augmentation.Flip, "mirror training pictures one time in two")
	fs.StringVar(&c.TrainPrecision, "train-precision", c.TrainPrecision, "how activations are kept in training: f32 (default); f16 (losses scaled) or bf16 on a GPU")
	fs.BoolVar(&c.Optimiser.StepClips, "step-clips", c.Optimiser.StepClips, "clips of bit widths learn from the rounding inside them, too (learned step sizes)")
	fs.Float64Var(&c.Optimiser.Clip, "clip", c.Optimiser.Clip, "largest gradient norm; 0 does not clip")
	fs.IntVar(&c.Checks, "checks", c.Checks, "evaluations during a network's training")
	fs.IntVar(&c.RecalibrationBatches, "recalibration-batches", c.RecalibrationBatches, "training batches for batch-norm statistics")
	fs.BoolVar(&c.RecalibrateClips, "recalibrate-clips", c.RecalibrateClips, "where a supernet's networks are evaluated, fit the clips of their activations to these batches, too")
	fs.IntVar(&c.Scenes.Train, "train-scenes", c.Scenes.Train, "scenes to train on")
	fs.IntVar(&c.Scenes.Validation, "search-scenes", c.Scenes.Validation, "scenes to validate the search on")
	fs.IntVar(&c.Scenes.Test, "test-scenes", c.Scenes.Test, "scenes to report on")
}
