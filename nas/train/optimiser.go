package train

import (
	"math"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
)

// Optimiser is stochastic gradient descent with momentum, and the weights of the loss.
type Optimiser struct {
	Momentum float64 `json:"momentum"`
	// WeightDecay acts on convolution weights only, not on batch norm, biases and kernel transforms.
	WeightDecay float64 `json:"weight_decay"`
	// Clip is the largest norm of the gradient of all parameters used in a step; larger ones are scaled down to it. 0 is no clipping.
	Clip float64 `json:"clip"`
	// AuxWeight is the weight of each auxiliary head's loss beside the main one's 1 (deep supervision).
	AuxWeight float64 `json:"aux_weight"`
	// Average is the decay d of a moving average of weights and running statistics, a += (1-d)(w-a) after every step, which takes the weights'
	// place in evaluations and at the end; 0 is none. In the first steps t the decay is at most (1+t)/(10+t), or the average would remember the
	// random start.
	Average float64 `json:"average"`
	// StepClips lets the clips of bit widths learn from what rounding does inside them too (learned step sizes, Esser et al. 2020), not from what lies
	// beyond them alone (PACT, Choi et al. 2018).
	StepClips bool `json:"step_clips,omitempty"`
}

// clipGradient is what StepClips chooses.
func (o Optimiser) clipGradient() gobind.ClipGradient {
	if o.StepClips {
		return gobind.ClipStep
	}
	return gobind.ClipPACT
}

// DefaultOptimiser returns the method's settings.
func DefaultOptimiser() Optimiser {
	return Optimiser{Momentum: 0.9, WeightDecay: 4e-5, AuxWeight: 0.4}
}

// Validate returns a misuse error unless the settings make sense.
func (o Optimiser) Validate() error {
	if !(o.Momentum >= 0 && o.Momentum < 1) {
		return misuse.Errorf("momentum %g; give at least 0 and less than 1", o.Momentum)
	}
	if !(o.WeightDecay >= 0 && o.Clip >= 0 && o.AuxWeight >= 0) {
		return misuse.Errorf("weight decay %g, clipping %g, auxiliary weight %g; none may be negative", o.WeightDecay, o.Clip, o.AuxWeight)
	}
	if !(o.Average >= 0 && o.Average < 1) {
		return misuse.Errorf("moving average with decay %g; give at least 0 and less than 1", o.Average)
	}
	return nil
}

// HardPixels is online hard example mining (Shrivastava et al. 2016), pixel by pixel: of a step's labelled pixels those take part whose true class
// gets a probability of at most Probability, and at least the share LeastShare of them, the hardest. The zero value keeps all.
type HardPixels struct {
	Probability float64 `json:"probability"`
	LeastShare  float64 `json:"least_share"` // 0: defaultLeastShare
}

// defaultLeastShare keeps a sixteenth of the pixels even where all are easy.
const defaultLeastShare = 1.0 / 16

// Validate returns a misuse error unless the settings make sense.
func (h HardPixels) Validate() error {
	if !(h.Probability >= 0 && h.Probability < 1) || !(h.LeastShare >= 0 && h.LeastShare <= 1) {
		return misuse.Errorf("hard pixels below probability %g, at least a share of %g; give a probability from 0 to less than 1 and a share from 0 to 1", h.Probability, h.LeastShare)
	}
	return nil
}

// loss is the least loss of a hard pixel.
func (h HardPixels) loss() float32 { return float32(-math.Log(h.Probability)) }

// least is how many of a number of labelled pixels are kept at least.
func (h HardPixels) least(labelled int) int {
	share := h.LeastShare
	if share == 0 {
		share = defaultLeastShare
	}
	return int(math.Ceil(share * float64(labelled)))
}

// Sandwich is the sandwich rule (Yu and Huang 2019, "Universally slimmable networks", section 3.2): every step of a supernet trains several networks
// on the same pictures, the largest, the smallest and Networks-2 drawn ones, and moves the weights by the mean of their gradients. The zero value
// trains one drawn network, as single-path training does.
type Sandwich struct {
	Networks int `json:"networks"`
	// Distill is the weight of the largest network's answers in what the others learn (in-place distillation, section 3.3 there); the labels have the
	// rest. 0 is labels alone, 1 the published rule.
	Distill float64 `json:"distill"`
}

// Validate returns a misuse error unless the settings make sense.
func (s Sandwich) Validate() error {
	if s.Networks != 0 && (s.Networks < 2 || s.Networks > mostNetworks) {
		return misuse.Errorf("a sandwich of %d networks; give 2 (the largest and the smallest) to %d, or 0 for one drawn network", s.Networks, mostNetworks)
	}
	if !(s.Distill >= 0 && s.Distill <= 1) || s.Distill > 0 && s.Networks == 0 {
		return misuse.Errorf("distillation with weight %g in a sandwich of %d networks; give a weight from 0 to 1 and at least 2 networks", s.Distill, s.Networks)
	}
	return nil
}

// mostNetworks of one step.
const mostNetworks = 16
