package nn

import "github.com/segnas/segnas/gobind"

// A depthwise convolution of dilation d (Yu and Koltun 2016, equation 2) and stride 1 is d*d plain ones, each on every d-th pixel of every d-th row. These
// phases are gathered one behind the other as pictures of a batch, filled up with zeros to one size: zeros beyond the border are the padding that a plain
// convolution has there, and the gradient of outputs that are not kept is zero, too.

// phases is a batch [d*d*N, ceil(H/d), ceil(W/d), C] for an activation [N,H,W,C].
type phases struct {
	d     int
	batch gobind.Tensor
	block int32
}

// newPhases takes memory for the phases of an activation like x.
func (t *Tape) newPhases(d int, x gobind.Tensor) phases {
	batch, block := t.activation(x.DType, d*d*x.Shape[0], (x.Shape[1]+d-1)/d, (x.Shape[2]+d-1)/d, x.Last())
	return phases{d, batch, block}
}

// each visits the phases that have pixels: as views of x and of the batch.
func (p phases) each(x gobind.Tensor, visit func(pixels, phase gobind.Tensor) error) error {
	n, h, w := x.Shape[0], x.Shape[1], x.Shape[2]
	for i := range min(p.d, h) {
		for j := range min(p.d, w) {
			rows, columns := (h-i+p.d-1)/p.d, (w-j+p.d-1)/p.d
			pixels := x
			pixels.Offset += i*x.Stride[1] + j*x.Stride[2]
			pixels.Shape[1], pixels.Stride[1] = rows, p.d*x.Stride[1]
			pixels.Shape[2], pixels.Stride[2] = columns, p.d*x.Stride[2]
			first := (i*p.d + j) * n
			if err := visit(pixels, p.batch.Slice(0, first, first+n).Slice(1, 0, rows).Slice(2, 0, columns)); err != nil {
				return err
			}
		}
	}
	return nil
}

// gather fills the batch from x.
func (t *Tape) gather(p phases, x gobind.Tensor) {
	if t.err != nil {
		return
	}
	start := t.clock()
	if x.Shape[1]%p.d != 0 || x.Shape[2]%p.d != 0 {
		t.fail(t.stream.Fill(p.batch, 0))
	}
	t.count(opCopy, start, p.each(x, t.stream.Copy))
}

// scatter is gather's way back.
func (t *Tape) scatter(p phases, x gobind.Tensor) {
	if t.err == nil {
		t.count(opCopy, t.clock(), p.each(x, func(pixels, phase gobind.Tensor) error { return t.stream.Copy(phase, pixels) }))
	}
}

// dilated computes a dilated depthwise convolution of an activation x to y, and unless left out the moments of y: a depthwise convolution by the
// identity measures them, the library's batch norm having no other way to.
func (t *Tape) dilated(c *convolution, x, y, moments gobind.Tensor) {
	from, to := t.newPhases(c.dilation, x), t.newPhases(c.dilation, x)
	t.gather(from, x)
	if t.err == nil {
		t.count(opDWConv, t.clock(), t.stream.DWConvForward(from.batch, c.weight, 1, to.batch))
	}
	t.arena.drop(from.block)
	if moments.IsZero() {
		t.scatter(to, y)
		t.arena.drop(to.block)
		return
	}
	raw, block := t.like(y)
	t.scatter(to, raw)
	identity := t.scratch(9, y.Last())
	if t.err == nil {
		t.fail(t.stream.Fill(identity, 0))
		t.fail(t.stream.Fill(identity.Slice(0, 4, 5), 1))
		t.count(opBatchNorm, t.clock(), t.stream.DWConvNormForward(raw, gobind.Tensor{}, false, identity, 1, y, moments))
	}
	t.arena.drop(block)
	t.arena.drop(to.block)
}

// dilatedGradients is gradients for a dilated depthwise convolution, from the gradient of y's activation; a zero dx is not wanted.
func (t *Tape) dilatedGradients(c *convolution, x gobind.Tensor, y source, grad gobind.Tensor, accumulate bool, dw, dx gobind.Tensor) {
	dy, block := t.like(y.tensor)
	if t.err == nil {
		t.count(opBatchNormApply, t.clock(), t.stream.NormGradient(y.tensor, y.norm, y.relu, grad, dy))
	}
	from, to := t.newPhases(c.dilation, x), t.newPhases(c.dilation, dy)
	t.gather(from, x)
	t.gather(to, dy)
	if t.err == nil {
		t.count(opDWConvBackward, t.clock(), t.stream.DWConvBackwardWeight(from.batch, to.batch, 1, accumulate, dw))
		if !dx.IsZero() { // into the memory of x's phases, which nothing reads any more
			t.count(opDWConvBackward, t.clock(), t.stream.DWConvBackwardInput(to.batch, c.weight, 1, from.batch))
			t.scatter(from, dx)
		}
	}
	for _, b := range []int32{from.block, to.block, block} {
		t.arena.drop(b)
	}
}
