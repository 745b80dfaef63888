package nn

import (
	"fmt"

	"github.com/segnas/segnas/gobind"
)

// The CopyFrom methods fill a layer with the part of a larger layer that would run in its place: the first channels, the transformed
// kernel, and the running statistics along. Failures are the tape's.

// CopyFrom copies a layer of the same widths.
func (l *ConvBN) CopyFrom(t *Tape, from *ConvBN) {
	t.where = l.Weight.Name
	t.copyTensor(from.Weight.Value, l.Weight.Value)
	l.BN.copyFrom(t, from.BN)
}

// CopyFrom copies the first inputs and outputs of a layer at least as wide.
func (l *PWConvBN) CopyFrom(t *Tape, from *PWConvBN) {
	t.where = l.Weight.Name
	w, err := widthPrefix(from.Weight, l.Weight.Value.Shape[0], l.Weight.Value.Shape[1])
	t.fail(err)
	t.copyTensor(w, l.Weight.Value)
	l.BN.copyFrom(t, from.BN)
}

// CopyFrom copies the first channels of a layer at least as wide, with the kernel that it would run for l's kernel size. l's own
// transforms, if it has any, stay as they are.
func (l *DWConvBN) CopyFrom(t *Tape, from *DWConvBN) {
	t.where = l.Weight.Name
	c, err := t.kernel(from, l.Weight.Value.Last(), l.Kernel)
	t.fail(err)
	t.copyTensor(c.weight, l.Weight.Value)
	l.BN.copyFrom(t, from.BN)
}

// CopyFrom copies a layer of the same widths.
func (l *Classifier) CopyFrom(t *Tape, from *Classifier) {
	t.where = l.Weight.Name
	t.copyTensor(from.Weight.Value, l.Weight.Value)
	t.copyTensor(from.Bias.Value, l.Bias.Value)
}

func (b *BatchNorm) copyFrom(t *Tape, from *BatchNorm) {
	c := b.Mean.Last()
	if c > from.Mean.Last() {
		t.fail(fmt.Errorf("%d channels wanted of a batch norm of %d", c, from.Mean.Last()))
		return
	}
	for _, pair := range [][2]gobind.Tensor{
		{from.Gamma.Value, b.Gamma.Value}, {from.Beta.Value, b.Beta.Value}, {from.Mean, b.Mean}, {from.Variance, b.Variance},
	} {
		t.copyTensor(prefix(pair[0], c), pair[1])
	}
}

func (t *Tape) copyTensor(from, to gobind.Tensor) {
	if t.err == nil {
		t.fail(t.stream.Copy(from, to))
	}
}

// CopyFrom copies the clips of the bit widths that both quantisers have.
func (q *Quantiser) CopyFrom(t *Tape, from *Quantiser) {
	t.where = q.Name
	for bits, p := range q.clips {
		if p != nil && from.clips[bits] != nil {
			t.copyTensor(from.clips[bits].Value, p.Value)
		}
	}
}
