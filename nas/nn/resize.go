package nn

import (
	"errors"

	"github.com/segnas/segnas/gobind"
)

// Size returns H and W.
func (v Value) Size() (h, w int) { return v.tensor.Shape[1], v.tensor.Shape[2] }

// unary runs a layer of one input that makes [N,h,w,C] of its activation, and records it.
func (t *Tape) unary(x Value, where string, h, w int, o op, forward func(x, y gobind.Tensor) error, backward func(*Tape, *node, gobind.Tensor, int32)) Value {
	if !t.read(x, where) {
		return x
	}
	from := t.plain(x)
	y, block := t.activation(from.DType, from.Shape[0], h, w, from.Last())
	if t.err != nil {
		return x
	}
	t.count(o, t.clock(), forward(from, y))
	wantsGrad := t.values[x.index].wantsGrad
	v := t.newValue(y, block, wantsGrad)
	if wantsGrad {
		t.record(backward, x.index, noValue, v.index)
	}
	return v
}

// inputGradient hands the gradient that compute makes, of the input's shape, to the node's input, and drops the output's.
func (t *Tape) inputGradient(n *node, block int32, o op, compute func(dx gobind.Tensor) error) {
	dx, dxBlock := t.like(t.values[n.x].tensor)
	if t.err == nil {
		t.count(o, t.clock(), compute(dx))
		t.addGrad(n.x, dx, dxBlock)
	}
	t.arena.drop(block)
}

// Upsample resizes x bilinearly, with half-pixel centres, to h x w.
func (t *Tape) Upsample(x Value, h, w int) Value {
	return t.unary(x, "upsample", h, w, opUpsample, func(x, y gobind.Tensor) error {
		return t.stream.UpsampleForward(x, gobind.Bilinear, y)
	}, upsampleBackward)
}

func upsampleBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	t.inputGradient(n, block, opUpsampleBackward, func(dx gobind.Tensor) error {
		return t.stream.UpsampleBackward(grad, gobind.Bilinear, dx)
	})
}

// ReLU computes max(x, 0) of an activation that no batch norm made, such as a sum.
func (t *Tape) ReLU(x Value) Value {
	h, w := x.Size()
	return t.unary(x, "relu", h, w, opReLU, t.stream.ReLUForward, reluBackward)
}

// reluBackward takes the mask from the input, which is above zero where the output was: the output's memory is given back by now.
func reluBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	x := t.values[n.x].activation()
	t.inputGradient(n, block, opReLU, func(dx gobind.Tensor) error { return t.stream.ReLUBackward(x, grad, dx) })
}

// Concat joins the channels of x and more, of one size. The parts are copied.
func (t *Tape) Concat(x, more Value) Value {
	if !t.read(x, "concat") || !t.read(more, "concat") {
		return x
	}
	a, b := t.plain(x), t.plain(more)
	if t.err == nil && (a.Shape[1] != b.Shape[1] || a.Shape[2] != b.Shape[2]) {
		t.fail(errors.New("its inputs differ in height or width"))
	}
	y, block := t.activation(a.DType, a.Shape[0], a.Shape[1], a.Shape[2], a.Last()+b.Last())
	if t.err != nil {
		return x
	}
	t.count(opCopy, t.clock(), t.stream.Copy(a, y.Slice(3, 0, a.Last())))
	t.count(opCopy, t.clock(), t.stream.Copy(b, y.Slice(3, a.Last(), y.Last())))
	wantsGrad := t.values[x.index].wantsGrad || t.values[more.index].wantsGrad
	v := t.newValue(y, block, wantsGrad)
	if wantsGrad {
		t.record(concatBackward, x.index, more.index, v.index)
	}
	return v
}

// concatBackward hands each input its channels of the gradient, as views.
func concatBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	split := t.values[n.x].tensor.Last()
	t.addGrad(n.x, grad.Slice(3, 0, split), t.arena.share(block))
	t.addGrad(n.other, grad.Slice(3, split, grad.Last()), block)
}

// AvgPool averages x over h x w bins, of which neighbours share a row or column where h or w does not divide x's size (segnas_avg_pool_forward); no more
// than x has.
func (t *Tape) AvgPool(x Value, h, w int) Value {
	return t.unary(x, "average pool", h, w, opAvgPool, t.stream.AvgPoolForward, avgPoolBackward)
}

func avgPoolBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	t.inputGradient(n, block, opAvgPoolBackward, func(dx gobind.Tensor) error { return t.stream.AvgPoolBackward(grad, dx) })
}
