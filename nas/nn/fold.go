package nn

import (
	"math"

	"github.com/segnas/segnas/gobind"
)

// The Folded methods return a layer's weight and bias on the host with its batch norm, by the running statistics, folded in: what a
// deployed network runs. The layout is the weight's own, output channels last.

// Folded returns weights [9*Cin][Cout] and biases [Cout].
func (l *ConvBN) Folded(s *gobind.Stream) (weights, bias []float32, err error) {
	return l.BN.fold(s, l.Weight)
}

// Folded returns weights [Cin][Cout] and biases [Cout].
func (l *PWConvBN) Folded(s *gobind.Stream) (weights, bias []float32, err error) {
	return l.BN.fold(s, l.Weight)
}

// Folded returns weights [Kernel*Kernel][C] and biases [C].
func (l *DWConvBN) Folded(s *gobind.Stream) (weights, bias []float32, err error) {
	return l.BN.fold(s, l.Weight)
}

// Folded returns weights [Cin][classes] and biases [classes]; there is no batch norm to fold.
func (l *Classifier) Folded(s *gobind.Stream) (weights, bias []float32, err error) {
	if weights, err = fetch(s, l.Weight.Value); err == nil {
		bias, err = fetch(s, l.Bias.Value)
	}
	return weights, bias, err
}

// fold computes w' = w g and b' = beta - mean g with g of affine, in double.
func (b *BatchNorm) fold(s *gobind.Stream, w *Param) (weights, bias []float32, err error) {
	scale, bias, err := b.affine(s)
	if err != nil {
		return nil, nil, err
	}
	if weights, err = fetch(s, w.Value); err != nil {
		return nil, nil, err
	}
	for i := range weights {
		weights[i] = float32(float64(weights[i]) * scale[i%len(scale)])
	}
	return weights, bias, nil
}

// affine returns what batch norm is by its running statistics, x scale + bias: scale = gamma / sqrt(variance + epsilon), bias = beta - mean scale.
func (b *BatchNorm) affine(s *gobind.Stream) (scale []float64, bias []float32, err error) {
	var vectors [4][]float32
	for i, t := range []gobind.Tensor{b.Gamma.Value, b.Beta.Value, b.Mean, b.Variance} {
		if vectors[i], err = fetch(s, t); err != nil {
			return nil, nil, err
		}
	}
	gamma, beta, mean, variance := vectors[0], vectors[1], vectors[2], vectors[3]
	scale, bias = make([]float64, len(gamma)), make([]float32, len(gamma))
	for c := range scale {
		scale[c] = float64(gamma[c]) / math.Sqrt(float64(variance[c])+normEpsilon)
		bias[c] = float32(float64(beta[c]) - float64(mean[c])*scale[c])
	}
	return scale, bias, nil
}

// fetch copies a dense tensor to the host.
func fetch(s *gobind.Stream, t gobind.Tensor) ([]float32, error) {
	values := make([]float32, t.Elements())
	return values, gobind.Download(s, values, t)
}
