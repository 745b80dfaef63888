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

// normalisation is what a batch norm's backward pass needs.
type normalisation struct {
	bn           *BatchNorm
	x            gobind.Tensor // the convolution's result
	block        int32         // its memory
	mean, invStd gobind.Tensor
	relu, frozen bool
}

// prefix returns the first c elements of a vector.
func prefix(v gobind.Tensor, c int) gobind.Tensor { return v.Slice(0, 0, c) }

// normalise computes y from x, which may be the same tensor, and what the backward pass needs.
func (t *Tape) normalise(bn *BatchNorm, x, y gobind.Tensor, relu bool, mode Mode) (mean, invStd gobind.Tensor) {
	c := x.Last()
	gamma, beta := prefix(bn.Gamma.Value, c), prefix(bn.Beta.Value, c)
	runningMean, runningVariance := prefix(bn.Mean, c), prefix(bn.Variance, c)
	if mode.batchStatistics() {
		mean, invStd = t.scratch(c), t.scratch(c)
		t.count(opBatchNorm, t.clock(), t.stream.BatchNormForward(x, gamma, beta, normEpsilon, mode.batchUpdate(), relu,
			runningMean, runningVariance, mean, invStd, y))
		return mean, invStd
	}
	t.count(opBatchNormInference, t.clock(),
		t.stream.BatchNormInference(x, gamma, beta, runningMean, runningVariance, normEpsilon, relu, y))
	if mode.Trains() {
		mean, invStd = runningMean, t.inverseDeviation(runningVariance)
	}
	return mean, invStd
}

// inverseDeviation computes 1/sqrt(variance + epsilon) as batch norm itself does: it normalises 1 with mean 0, scale 1 and shift 0.
func (t *Tape) inverseDeviation(variance gobind.Tensor) gobind.Tensor {
	c := variance.Last()
	invStd := t.scratch(c)
	zeros, ones, err := t.units.get(t, c)
	if err != nil {
		t.fail(err)
		return invStd
	}
	t.fail(t.stream.BatchNormInference(ones.Reshape(1, c), ones, zeros, zeros, variance, normEpsilon, false, invStd.Reshape(1, c)))
	return invStd
}

// denormalise turns the gradient of a batch norm's result into that of its input, over the same memory when nobody else refers to it.
// It takes over the reference to block and gives back the memory of the convolution's result.
func (t *Tape) denormalise(n *normalisation, dy gobind.Tensor, block int32) (gobind.Tensor, int32) {
	dx, dxBlock := dy, block
	if !t.arena.sole(block) {
		dx, dxBlock = t.like(dy)
	}
	c := n.x.Last()
	dgamma, accumulate := t.touch(n.bn.Gamma, prefix(n.bn.Gamma.Value, c))
	dbeta, _ := t.touch(n.bn.Beta, prefix(n.bn.Beta.Value, c))
	t.count(opBatchNormBackward, t.clock(), t.stream.BatchNormBackward(n.x, dy, prefix(n.bn.Gamma.Value, c), prefix(n.bn.Beta.Value, c),
		n.mean, n.invStd, n.relu, n.frozen, accumulate, dgamma, dbeta, dx))
	if dxBlock != block {
		t.arena.drop(block)
	}
	t.arena.drop(n.block)
	n.block = noBlock
	return dx, dxBlock
}

// unitVectors are constant vectors of zeros and ones, made when first wanted.
type unitVectors struct{ zeros, ones gobind.Tensor }

func (u *unitVectors) get(t *Tape, length int) (zeros, ones gobind.Tensor, err error) {
	if u.zeros.IsZero() || u.zeros.Last() < length {
		u.close()
		pair, err := t.ctx.NewTensor(gobind.F32, 2, length)
		if err != nil {
			return zeros, ones, err
		}
		u.zeros = gobind.NewTensor(pair.Buffer, gobind.F32, 0, length)
		u.ones = gobind.NewTensor(pair.Buffer, gobind.F32, length, length)
		if err := t.stream.Fill(u.ones, 1); err != nil {
			return zeros, ones, err
		}
	}
	return prefix(u.zeros, length), prefix(u.ones, length), nil
}

func (u *unitVectors) close() {
	if u.zeros.Buffer != nil {
		u.zeros.Buffer.Close()
	}
	*u = unitVectors{}
}
