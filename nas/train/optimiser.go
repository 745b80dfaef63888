package train

import "github.com/segnas/segnas/nas/misuse"

// Optimiser is stochastic gradient descent with momentum, and the weights of the loss.
type Optimiser struct {
	Momentum float64 `json:"momentum"`
	// WeightDecay acts on convolution weights only, not on batch norm, biases and kernel transforms.
	WeightDecay float64 `json:"weight_decay"`
	// Clip is the largest norm of the gradient of all parameters used in a step; larger ones are scaled down to it. 0 is no clipping.
	Clip float64 `json:"clip,omitempty"`
	// AuxWeight is the weight of each auxiliary head's loss beside the main one's 1 (deep supervision).
	AuxWeight float64 `json:"aux_weight"`
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
	return nil
}
