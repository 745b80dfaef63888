package train

import (
	"math"

	"github.com/segnas/segnas/nas/misuse"
)

// Phase is a stretch of training under one learning-rate schedule. Steps are batches.
type Phase struct {
	Steps int     `json:"steps"`
	LR    float64 `json:"learning_rate"` // at the schedule's top
	// Decay is how the rate falls; "" is Poly.
	Decay Decay `json:"decay,omitempty"`
	// WarmupSteps raises the learning rate linearly over the phase's first steps.
	WarmupSteps int `json:"warmup_steps,omitempty"`
	// SmallSteps is how many of the phase's steps, the first ones, see pictures of half the height and width, which cost a quarter (progressive
	// resizing: Howard 2018, "Training Imagenet in 3 hours"; Tan and Le 2021, "EfficientNetV2", section 4). The rate falls over all of the phase.
	SmallSteps int `json:"small_steps,omitempty"`
	// MinDepth is the least depth of a stage that a supernet's training draws; 0 draws all.
	MinDepth uint8 `json:"min_depth,omitempty"`
	// Quantised says that a supernet's training draws bit widths, too, where the space has them; its other phases are in floating point.
	Quantised bool `json:"quantised,omitempty"`
}

// Decay names how a learning rate falls over a phase, t the share of the phase that is done.
type Decay string

const (
	Poly   Decay = "poly"   // LR (1-t)^0.9
	Cosine Decay = "cosine" // LR (1+cos(pi t))/2 (Loshchilov and Hutter 2017, equation 5, one period)
)

// polyPower is the exponent of the poly decay (Liu et al. 2015, "ParseNet"; usual for segmentation since DeepLab).
const polyPower = 0.9

// LearningRate returns the rate of the phase's step t, 0 <= t < Steps: the decay at the share t/Steps, times (t+1)/WarmupSteps during
// warm-up.
func (p Phase) LearningRate(t int) float64 {
	share := float64(t) / float64(p.Steps)
	lr := p.LR * math.Pow(1-share, polyPower)
	if p.Decay == Cosine {
		lr = p.LR * (1 + math.Cos(math.Pi*share)) / 2
	}
	if t < p.WarmupSteps {
		lr *= float64(t+1) / float64(p.WarmupSteps)
	}
	return lr
}

// WholeSteps is how many steps on whole pictures see as many pixels as the phase's steps.
func (p Phase) WholeSteps() float64 { return float64(p.Steps) - 0.75*float64(p.SmallSteps) }

// Schedule is a training's phases, one after the other.
type Schedule []Phase

// Steps returns the number of steps of all phases.
func (s Schedule) Steps() int {
	n := 0
	for _, p := range s {
		n += p.Steps
	}
	return n
}

// At returns the phase that step lies in and the step's place within it; the last phase for steps beyond the end.
func (s Schedule) At(step int) (phase, within int) {
	for phase < len(s)-1 && step >= s[phase].Steps {
		step -= s[phase].Steps
		phase++
	}
	return phase, step
}

// Small reports whether a step sees pictures of half the height and width.
func (s Schedule) Small(step int) bool {
	phase, within := s.At(step)
	return within < s[phase].SmallSteps
}

// Scaled returns the schedule with its number of steps multiplied by factor and rounded. The phases keep their proportions, at least
// one step each.
func (s Schedule) Scaled(factor float64) Schedule {
	scaled := make(Schedule, len(s))
	total := max(len(s), int(math.Round(float64(s.Steps())*factor)))
	before, begin := 0, 0
	for i, p := range s {
		before += p.Steps
		later := len(s) - 1 - i
		end := min(max(begin+1, int(math.Round(float64(before)*factor))), total-later)
		p.Steps, begin = end-begin, end
		p.WarmupSteps = min(p.Steps, int(math.Round(float64(p.WarmupSteps)*factor)))
		p.SmallSteps = min(p.Steps, int(math.Round(float64(p.SmallSteps)*factor)))
		scaled[i] = p
	}
	return scaled
}

// Validate returns a misuse error unless every phase has steps and a learning rate.
func (s Schedule) Validate() error {
	if len(s) == 0 {
		return misuse.Errorf("a training without phases; at least one is needed")
	}
	for i, p := range s {
		if p.Steps < 1 || p.WarmupSteps < 0 || p.WarmupSteps > p.Steps {
			return misuse.Errorf("phase %d has %d steps, %d of them warm-up; at least 1 step is needed and no more warm-up", i+1, p.Steps, p.WarmupSteps)
		}
		if p.SmallSteps < 0 || p.SmallSteps > p.Steps {
			return misuse.Errorf("phase %d has %d steps, %d of them on small pictures; give 0 to all of them", i+1, p.Steps, p.SmallSteps)
		}
		if p.Decay != "" && p.Decay != Poly && p.Decay != Cosine {
			return misuse.Errorf("phase %d has decay %q; %s and %s are known", i+1, p.Decay, Poly, Cosine)
		}
		if !(p.LR > 0) || math.IsInf(p.LR, 0) {
			return misuse.Errorf("phase %d has learning rate %g; it must be above 0", i+1, p.LR)
		}
	}
	return nil
}
