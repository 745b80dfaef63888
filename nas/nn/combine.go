package nn

import "github.com/segnas/segnas/gobind"

// Add returns x + branch, the end of a residual block. The sum is written over branch where that has been read by nothing else; branch is
// then consumed.
func (t *Tape) Add(x, branch Value) Value {
	if !t.read(x, "residual") || !t.read(branch, "residual") {
		return x
	}
	a, b := t.plain(x), t.plain(branch)
	y, block := t.over(branch)
	if t.err != nil {
		return x
	}
	t.count(opAdd, t.clock(), t.stream.AddForward(a, b, false, y))
	return t.recordSum(sumBackward, x, branch, y, block)
}

// UpsampleAdd returns x, resized, + a: the fuse of two branches. Like Add it is written over a where possible.
func (t *Tape) UpsampleAdd(x, a Value, how gobind.Resize) Value {
	if !t.read(x, "fuse") || !t.read(a, "fuse") {
		return x
	}
	small, large := t.plain(x), t.plain(a)
	y, block := t.over(a)
	if t.err != nil {
		return x
	}
	t.count(opUpsampleAdd, t.clock(), t.stream.UpsampleAddForward(small, large, how, y))
	if how == gobind.Nearest {
		return t.recordSum(nearestSumBackward, x, a, y, block)
	}
	return t.recordSum(bilinearSumBackward, x, a, y, block)
}

// over returns the memory of v's activation for a result that replaces it, or fresh memory when v is the caller's or somebody else read it.
func (t *Tape) over(v Value) (gobind.Tensor, int32) {
	s := &t.values[v.index]
	if t.err != nil || s.block == noBlock || s.reads > 1 {
		return t.like(v.tensor)
	}
	s.gone = true
	if !s.plain.IsZero() {
		y, block := s.plain, s.plainBlock
		s.plain, s.plainBlock = gobind.Tensor{}, noBlock
		return y, block
	}
	return v.tensor, t.arena.share(s.block)
}

func (t *Tape) recordSum(backward func(*Tape, *node, gobind.Tensor, int32), x, other Value, y gobind.Tensor, block int32) Value {
	wantsGrad := t.values[x.index].wantsGrad || t.values[other.index].wantsGrad
	v := t.newValue(y, block, wantsGrad)
	if wantsGrad {
		t.record(backward, x.index, other.index, v.index)
	} else if s := &t.values[other.index]; s.gone {
		// Unrecorded, the memory is the sum's alone, so that dropping the sum frees it.
		t.arena.drop(s.block)
		s.block = noBlock
	}
	return v
}

// sumBackward hands the same gradient to both inputs.
func sumBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	t.addGrad(n.x, grad, t.arena.share(block))
	t.addGrad(n.other, grad, block)
}

func bilinearSumBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	upsampleSumBackward(t, n, grad, block, gobind.Bilinear)
}

func nearestSumBackward(t *Tape, n *node, grad gobind.Tensor, block int32) {
	upsampleSumBackward(t, n, grad, block, gobind.Nearest)
}

func upsampleSumBackward(t *Tape, n *node, grad gobind.Tensor, block int32, how gobind.Resize) {
	if x := &t.values[n.x]; x.wantsGrad {
		dx, dxBlock := t.like(x.tensor)
		if t.err == nil {
			t.count(opUpsampleBackward, t.clock(), t.stream.UpsampleBackward(grad, how, dx))
			t.addGrad(n.x, dx, dxBlock)
		}
	}
	t.addGrad(n.other, grad, block)
}
