package nn

import (
	"fmt"
	"math"

	"github.com/segnas/segnas/gobind"
)

// MostBits is the largest bit width of a quantiser.
const MostBits = 8

// Quantiser makes values of few bits of a tensor (Stream.FakeQuantForward): with a learned clip for each of its bit widths, of the whole tensor.
type Quantiser struct {
	Name   string
	Signed bool // values may be negative
	clips  [MostBits + 1]*Param
}

// NewQuantiser makes the clips of the given bit widths, 2 to 8. They are zero until they are fitted, copied or loaded.
func (s *Store) NewQuantiser(name string, signed bool, bits []uint8) *Quantiser {
	q := &Quantiser{Name: name, Signed: signed}
	for _, b := range bits {
		q.clips[b] = s.param(fmt.Sprintf("%s.clip%d", name, b), false, 1)
	}
	s.quantisers = append(s.quantisers, q)
	return q
}

// Quantisers returns the quantisers in the order in which they were made.
func (s *Store) Quantisers() []*Quantiser { return s.quantisers }

// Clip returns the clip for a bit width, [1]; nil where the quantiser has none.
func (q *Quantiser) Clip(bits int) *Param {
	if bits < 0 || bits > MostBits {
		return nil
	}
	return q.clips[bits]
}

// quantising is one use of a quantiser; the zero value leaves a tensor as it is.
type quantising struct {
	how  gobind.Quantiser
	clip *Param
}

// quantising returns the use of a quantiser at a bit width on a tensor of so many values. The clip's gradient is a sum over them, which grows with their
// root where their signs are mixed; divided by that root it moves the clip about as fast as each weight moves (Esser et al. 2020, section 2.2).
func (t *Tape) quantising(q *Quantiser, bits, values int) (quantising, error) {
	if q == nil || q.Clip(bits) == nil {
		return quantising{}, fmt.Errorf("%d bits are wanted of a layer that has no clip for them", bits)
	}
	return quantising{gobind.Quantiser{Bits: bits, Signed: q.Signed, Gradient: t.clips, Scale: float32(1 / math.Sqrt(float64(values)))}, q.clips[bits]}, nil
}

// SetClipGradient chooses what clips learn from, from now on; a new tape has gobind.ClipPACT.
func (t *Tape) SetClipGradient(g gobind.ClipGradient) { t.clips = g }

// FakeQuant returns x as quantised arithmetic would have it, and hands gradients straight through the rounding. bits 0 is x itself.
func (t *Tape) FakeQuant(x Value, q *Quantiser, bits int, mode Mode) Value {
	if bits == 0 || !t.read(x, "fake-quant") {
		return x
	}
	t.where = q.Name
	use, err := t.quantising(q, bits, x.tensor.Elements()/x.tensor.Shape[0])
	if err != nil {
		t.fail(err)
		return x
	}
	from := t.plain(x)
	if mode.calibrates() {
		t.fail(t.calibrate(q, from, mode))
	}
	y, block := t.like(from)
	if t.err != nil {
		return x
	}
	t.count(opFakeQuant, t.clock(), t.stream.FakeQuantForward(use.how, from, use.clip.Value, y))
	v := t.newValue(y, block, t.values[x.index].wantsGrad)
	if mode.Trains() {
		t.record(fakeQuantBackward, x.index, noValue, v.index).conv.quant = use
	}
	return v
}

// FakeQuantOnly is FakeQuant of a value that nothing else reads, x, which becomes what is returned: where batch norm made it, whoever reads it quantises it
// in passing. In float32 the bits are FakeQuant's.
func (t *Tape) FakeQuantOnly(x Value, q *Quantiser, bits int, mode Mode) Value {
	if bits == 0 || t.err != nil {
		return x
	}
	s := &t.values[x.index]
	if !t.passing || mode.calibrates() || t.clips != gobind.ClipPACT || s.norm.IsZero() || !s.plain.IsZero() || s.reads > 0 || s.gone || s.quant.clip != nil {
		y := t.FakeQuant(x, q, bits, mode)
		t.Drop(x)
		return y
	}
	t.where = q.Name
	use, err := t.quantising(q, bits, x.tensor.Elements()/x.tensor.Shape[0])
	if err != nil {
		t.fail(err)
		return x
	}
	s.quant, s.norm.Shape[0] = use, gobind.QuantisedNormRows
	t.count(opFakeQuant, t.clock(), t.stream.NormQuantise(use.how, use.clip.Value, s.norm))
	return x
}

// fakeQuantBackward writes the input's gradient over the output's where nobody else reads that.
func fakeQuantBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	use, x := &n.conv.quant, &t.values[n.x]
	dclip, accumulate := t.touch(use.clip, use.clip.Value)
	dx, dxBlock := grad, block
	if !t.arena.sole(block) {
		dx, dxBlock = t.like(grad)
	}
	if t.err == nil {
		t.count(opFakeQuantBackward, t.clock(), t.stream.FakeQuantBackward(use.how, x.activation(), use.clip.Value, grad, accumulate, dx, dclip))
	}
	if dxBlock != block {
		t.arena.drop(block)
	}
	t.addGrad(n.x, dx, dxBlock)
}

// WeightBits are a convolution's weights at a bit width; the zero value is float32.
type WeightBits struct {
	Quantiser *Quantiser
	Bits      int
}

// quantise lets a convolution run with quantised weights: in scratch memory, since the float ones are what is learned.
func (t *Tape) quantise(c *convolution, w WeightBits) {
	if w.Bits == 0 || t.err != nil {
		return
	}
	use, err := t.quantising(w.Quantiser, w.Bits, c.weight.Elements())
	if err != nil {
		t.fail(err)
		return
	}
	c.quant, c.float = use, c.weight
	c.weight = t.scratch(c.float.Shape[0], c.float.Shape[1])
	if t.err == nil {
		t.count(opFakeQuant, t.clock(), t.stream.FakeQuantForward(use.how, c.float, use.clip.Value, c.weight))
	}
}

// quantisedGradient takes the gradient of quantised weights, in scratch memory, back to the float ones and the clip.
func (t *Tape) quantisedGradient(c *convolution, dw gobind.Tensor) {
	dclip, accumulate := t.touch(c.quant.clip, c.quant.clip.Value)
	if t.err != nil {
		return
	}
	t.count(opFakeQuantBackward, t.clock(), t.stream.FakeQuantBackward(c.quant.how, c.float, c.quant.clip.Value, dw, accumulate, dw, dclip))
	if c.steps.count > 0 {
		return // the transform's gradient follows
	}
	grad, accumulate := t.touch(c.param, c.float)
	if t.err != nil {
		return
	}
	if accumulate {
		t.fail(t.stream.Axpy(1, dw, grad))
	} else {
		t.fail(t.stream.Copy(dw, grad))
	}
}
