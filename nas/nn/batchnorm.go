package nn

import (
	"github.com/segnas/segnas/gobind"
)

const (
	normEpsilon   = 1e-5
	runningUpdate = 0.1
)

// BatchNorm is the scale and shift of a convolution's channels with their running statistics (Ioffe and Szegedy 2015). A layer that uses
// the first c channels uses the first c of each.
type BatchNorm struct {
	Name           string
	Gamma, Beta    *Param
	Mean, Variance gobind.Tensor // running statistics [C]
}

func (s *Store) batchNorm(name string, channels int) *BatchNorm {
	b := &BatchNorm{
		Name: name, Gamma: s.param(name+".gamma", false, channels), Beta: s.param(name+".beta", false, channels),
		Mean: s.tensor(channels), Variance: s.tensor(channels),
	}
	s.constant(b.Gamma.Value, 1)
	s.constant(b.Variance, 1)
	s.norms = append(s.norms, b)
	return b
}

// ResetStatistics sets the running mean to 0 and the running variance to 1.
func (b *BatchNorm) ResetStatistics(stream *gobind.Stream) error {
	if err := stream.Fill(b.Mean, 0); err != nil {
		return err
	}
	return stream.Fill(b.Variance, 1)
}

// Batch norm is lazy: a convolution leaves its raw result and a norm, from which whoever reads it computes the activation on the way, and
// whoever reads its gradient computes that from the activation's. So neither passes through memory.

// normalisation is the batch norm behind a convolution.
type normalisation struct {
	bn     *BatchNorm // nil: none
	frozen bool
}

// source is how a layer reads a value: the activation, or a raw result with its norm.
type source struct {
	tensor, norm gobind.Tensor
	relu         bool
}

// source returns v as it is read by a layer that takes norms, whether or not the activation is in memory: the same bits either way.
func (v *valueState) source() source { return source{v.tensor, v.norm, v.relu} }

// activation returns what plain made.
func (v *valueState) activation() gobind.Tensor {
	if v.norm.IsZero() {
		return v.tensor
	}
	return v.plain
}

// plain returns v's activation for a layer that takes no norm. It is made at the first such use, and kept as long as v.
func (t *Tape) plain(v Value) gobind.Tensor {
	s := &t.values[v.index]
	if !s.norm.IsZero() && s.plain.IsZero() {
		y, block := t.like(s.tensor)
		if t.err != nil {
			return s.tensor
		}
		t.count(opBatchNormApply, t.clock(), t.stream.NormForward(s.tensor, s.norm, s.relu, y))
		s.plain, s.plainBlock = y, block
	}
	return s.activation()
}

// prefix returns the first c elements of a vector.
func prefix(v gobind.Tensor, c int) gobind.Tensor { return v.Slice(0, 0, c) }

// pixelsOf is how many pixels an activation has.
func pixelsOf(x gobind.Tensor) int { return x.Elements() / x.Last() }

// norm makes the norm of x, from its moments where the mode wants the batch's own statistics.
func (t *Tape) norm(bn *BatchNorm, x, moments gobind.Tensor, mode Mode) gobind.Tensor {
	c := x.Last()
	norm := t.scratch(gobind.QuantisedNormRows, c).Slice(0, 0, gobind.NormRows)
	gamma, beta := prefix(bn.Gamma.Value, c), prefix(bn.Beta.Value, c)
	mean, variance := prefix(bn.Mean, c), prefix(bn.Variance, c)
	if mode.batchStatistics() {
		t.count(opBatchNorm, t.clock(), t.stream.NormFromMoments(moments, pixelsOf(x), gamma, beta, normEpsilon, mode.batchUpdate(), mean, variance, norm))
	} else {
		t.count(opBatchNorm, t.clock(), t.stream.NormFromStatistics(mean, variance, gamma, beta, normEpsilon, norm))
	}
	return norm
}

// normBackward computes the gradients of scale and shift from that of y's activation, and completes y's norm for readers of y's gradient.
func (t *Tape) normBackward(n *normalisation, y *valueState, grad gobind.Tensor) {
	c := y.tensor.Last()
	if !y.summed {
		y.sums = t.scratchSums(y.norm)
		t.count(opBatchNormSums, t.clock(), t.stream.NormSums(y.tensor, y.norm, y.relu, grad, y.sums))
	}
	dgamma, accumulate := t.touch(n.bn.Gamma, prefix(n.bn.Gamma.Value, c))
	dbeta, _ := t.touch(n.bn.Beta, prefix(n.bn.Beta.Value, c))
	t.count(opBatchNormBackward, t.clock(), t.stream.NormBackward(y.sums, pixelsOf(y.tensor), n.frozen, accumulate, y.norm, dgamma, dbeta))
	if y.quant.clip != nil {
		dclip, accumulate := t.touch(y.quant.clip, y.quant.clip.Value)
		t.count(opFakeQuantBackward, t.clock(), t.stream.NormQuantiseBackward(y.quant.how, y.sums, accumulate, dclip))
	}
}

// scratchSums takes memory for the sums of a norm's gradient.
func (t *Tape) scratchSums(norm gobind.Tensor) gobind.Tensor {
	rows, c := 2, norm.Last()
	if norm.Shape[0] == gobind.QuantisedNormRows {
		rows = 3
	}
	x := t.scratch(2 * rows * c)
	return gobind.NewTensor(x.Buffer, gobind.F64, x.Offset/2, rows, c)
}
