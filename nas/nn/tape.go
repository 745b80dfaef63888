package nn

import (
	"errors"
	"fmt"
	"time"

	"github.com/segnas/segnas/gobind"
)

// Tape runs layers, records them, and walks back over the record to compute gradients. It owns the memory of activations and
// gradients: an activation lives until Backward has passed it (without recording: until it is dropped), a gradient until it was used.
type Tape struct {
	ctx     *gobind.Context
	stream  *gobind.Stream
	arena   arena
	stored  gobind.DType // of activations and their gradients, but for logits
	clips   gobind.ClipGradient
	passing bool // norms quantise the activation where that can be; false: every quantiser is a pass of its own
	small   bump
	values  []valueState
	nodes   []node
	touched []*Param // with a gradient since the last optimiser step, in the order of their first use
	losses  losses
	profile *Profile
	where   string // layer at work, for errors
	err     error
}

// Value is the result of a layer, an activation [N,H,W,C]. It is valid until its tape is reset, Backward has passed it, or it was
// dropped or consumed.
type Value struct {
	index  int32
	tensor gobind.Tensor
}

// Activation returns the values of v. Those of a layer with batch norm are computed here, unless they were before: between layers
// they do not pass through memory.
func (t *Tape) Activation(v Value) gobind.Tensor {
	if t.err != nil || int(v.index) >= len(t.values) {
		return v.tensor
	}
	return t.plain(v)
}

// Channels returns C.
func (v Value) Channels() int { return v.tensor.Last() }

type valueState struct {
	tensor     gobind.Tensor
	block      int32         // its memory; noBlock: the caller's, or given back
	norm       gobind.Tensor // zero: tensor is the activation; else the raw result that norm and relu make it of
	relu       bool
	quant      quantising    // of the activation that norm makes; zero: none
	plain      gobind.Tensor // the activation where somebody wanted it in memory
	plainBlock int32
	grad       gobind.Tensor // of the activation
	gradBlock  int32         // noBlock: no gradient yet
	sums       gobind.Tensor // of the gradient, for the norm's backward pass
	summed     bool          // sums are grad's
	wantsGrad  bool
	reads      int  // by layers so far
	gone       bool // dropped or consumed
}

// node is one recorded layer. It is filled in place, so that recording allocates nothing.
type node struct {
	backward func(t *Tape, n *node, grad gobind.Tensor, block int32)
	where    string
	x, other int32 // input values; noValue: none
	y        int32
	conv     convolution
	norm     normalisation
}

const noValue = int32(-1)

// NewTape returns an empty tape with a stream of its own.
func NewTape(ctx *gobind.Context) (*Tape, error) {
	stream, err := ctx.NewStream()
	if err != nil {
		return nil, err
	}
	t := &Tape{ctx: ctx, stream: stream, arena: arena{ctx: ctx}, small: bump{ctx: ctx}, passing: true}
	if err := t.losses.open(ctx); err != nil {
		stream.Close()
		return nil, err
	}
	return t, nil
}

// Close releases the memory; Values become invalid.
func (t *Tape) Close() {
	t.stream.Close()
	t.arena.close()
	t.small.close()
	t.losses.close()
}

// SetActivations chooses how activations and their gradients are stored from now on: gobind.F32, as a new tape has it, or on a GPU F16 or BF16
// (mixed precision, Micikevicius et al. 2018). Pictures, logits, weights and all sums stay float32. With F16 losses need a scale (SGD.LossScale).
func (t *Tape) SetActivations(d gobind.DType) { t.stored = d }

// Stream returns the stream that the tape runs on, for copies and evaluation between its calls.
func (t *Tape) Stream() *gobind.Stream { return t.stream }

// MemoryBytes returns the device memory that the tape holds for activations and gradients, untouched parts included.
func (t *Tape) MemoryBytes() int { return t.arena.bytes() }

// PeakBytes returns the most bytes of activations and gradients that were in use at a time since the tape was made.
func (t *Tape) PeakBytes() int { return t.arena.peak }

// Err returns the first failure since the last Reset.
func (t *Tape) Err() error { return t.err }

// Reset forgets the record, the values and the failure, and keeps the memory. Gradients of parameters stay until the optimiser's step,
// so that several passes can be accumulated.
func (t *Tape) Reset() {
	for i := range t.values {
		v := &t.values[i]
		t.arena.drop(v.block)
		t.arena.drop(v.plainBlock)
		t.arena.drop(v.gradBlock)
	}
	t.nodes, t.values = t.nodes[:0], t.values[:0]
	t.small.reset()
	t.losses.used = 0
	t.err = nil
}

// DiscardGradients forgets the parameters' gradients without a step.
func (t *Tape) DiscardGradients() {
	for _, p := range t.touched {
		p.used = gobind.Tensor{}
	}
	t.touched = t.touched[:0]
}

// Input puts a tensor [N,H,W,C] of the caller's on the tape. It is not copied, is not written, and gets no gradient.
func (t *Tape) Input(x gobind.Tensor) Value { return t.newValue(x, noBlock, false) }

// Drop says that v is not used again, which lets its memory be reused at once where nothing was recorded. Recorded values are kept for
// Backward.
func (t *Tape) Drop(v Value) {
	s := &t.values[v.index]
	if s.wantsGrad {
		return
	}
	t.forget(s)
}

// forget gives back a value's memory.
func (t *Tape) forget(s *valueState) {
	t.arena.drop(s.block)
	t.arena.drop(s.plainBlock)
	s.block, s.plainBlock, s.gone = noBlock, noBlock, true
}

func (t *Tape) newValue(x gobind.Tensor, block int32, wantsGrad bool) Value {
	t.values = append(t.values, valueState{tensor: x, block: block, plainBlock: noBlock, gradBlock: noBlock, wantsGrad: wantsGrad})
	return Value{int32(len(t.values) - 1), x}
}

// activation takes memory for [n,h,w,c]. After a failure it returns the zero tensor.
func (t *Tape) activation(d gobind.DType, n, h, w, c int) (gobind.Tensor, int32) {
	block, err := t.arena.take(d.Bytes() * n * h * w * c)
	if err != nil {
		t.fail(err)
		return gobind.Tensor{}, noBlock
	}
	return t.arena.tensor(block, d, [4]int{n, h, w, c}), block
}

// like takes memory for an activation of another's shape and type.
func (t *Tape) like(x gobind.Tensor) (gobind.Tensor, int32) {
	return t.activation(x.DType, x.Shape[0], x.Shape[1], x.Shape[2], x.Shape[3])
}

// read notes that a layer named where takes v, and reports whether the layer should run.
func (t *Tape) read(v Value, where string) bool {
	if t.err != nil {
		return false
	}
	t.where = where
	if int(v.index) >= len(t.values) {
		t.fail(errors.New("its input is of an earlier pass"))
		return false
	}
	s := &t.values[v.index]
	if s.gone {
		t.fail(errors.New("its input was dropped or consumed before"))
		return false
	}
	s.reads++
	return true
}

// record appends a node for y, to be filled in.
func (t *Tape) record(backward func(*Tape, *node, gobind.Tensor, int32), x, other, y int32) *node {
	t.nodes = append(t.nodes, node{backward: backward, where: t.where, x: x, other: other, y: y})
	return &t.nodes[len(t.nodes)-1]
}

// Fail makes the tape fail, as a failing layer does; the first failure counts.
func (t *Tape) Fail(err error) {
	t.where = "model"
	t.fail(err)
}

func (t *Tape) fail(err error) {
	if t.err == nil && err != nil {
		t.err = fmt.Errorf("%s: %w", t.where, err)
	}
}

// Backward computes the gradients of all recorded losses and leaves them in the parameters' Grad. The record is spent: values are no
// longer valid.
func (t *Tape) Backward() error {
	for i := len(t.nodes) - 1; i >= 0 && t.err == nil; i-- {
		n := &t.nodes[i]
		y := &t.values[n.y]
		// Nothing reads this activation any more, its consumers came later and are done; but a raw result is part of its own gradient.
		if y.norm.IsZero() {
			t.forget(y)
		}
		if y.gradBlock != noBlock {
			t.where = n.where
			grad, block := y.grad, y.gradBlock
			y.gradBlock = noBlock
			n.backward(t, n, grad, block)
		}
		t.forget(y)
		t.nodes = t.nodes[:i]
	}
	return t.err
}

// addGrad adds a gradient to a value's, taking over the reference to its block. The sum is written over whichever of the two nobody else
// refers to, the newer one by preference since it is in cache.
func (t *Tape) addGrad(value int32, grad gobind.Tensor, block int32) {
	v := &t.values[value]
	switch {
	case !v.wantsGrad:
		t.arena.drop(block)
	case v.gradBlock == noBlock:
		v.grad, v.gradBlock = grad, block
	default:
		sum, sumBlock := grad, block
		switch {
		case t.arena.sole(block):
		case t.arena.sole(v.gradBlock):
			sum, sumBlock = v.grad, v.gradBlock
		default:
			sum, sumBlock = t.like(grad)
		}
		t.count(opAdd, t.clock(), t.stream.AddForward(v.grad, grad, false, sum))
		if sumBlock != block {
			t.arena.drop(block)
		}
		if sumBlock != v.gradBlock {
			t.arena.drop(v.gradBlock)
		}
		v.grad, v.gradBlock, v.summed = sum, sumBlock, false
	}
}

// touch returns where the gradient of a view of p goes, and whether it is added to what is there: the first use since the last step
// overwrites. Later uses within a step must be of the same view or of a part of it: where a step trains several sub-networks, the largest goes first.
func (t *Tape) touch(p *Param, view gobind.Tensor) (grad gobind.Tensor, accumulate bool) {
	switch {
	case p.used.IsZero():
		p.used = view
		t.touched = append(t.touched, p)
	case !holds(p.used, view):
		t.fail(fmt.Errorf("%s was used with a view beyond the step's first one; the largest sub-network must come first", p.Name))
	default:
		accumulate = true
	}
	return p.like(p.Grad, view), accumulate
}

// holds reports whether all of a view lies in another one of the same tensor: of a vector, or of a matrix whose rows may be wider than the view.
func holds(outer, inner gobind.Tensor) bool {
	if outer == inner {
		return true
	}
	rows, row := 1, outer.Last() // the outer view's, and the distance from one to the next
	if outer.Rank == 2 {
		rows, row = outer.Shape[0], outer.Stride[0]
	}
	at, last := inner.Offset-outer.Offset, inner.Rank-1
	if outer.Buffer != inner.Buffer || outer.Rank > 2 || at < 0 || inner.Stride[last] != 1 {
		return false
	}
	end := at / row
	for axis := range last {
		if inner.Stride[axis]%row != 0 {
			return false
		}
		end += (inner.Shape[axis] - 1) * inner.Stride[axis] / row
	}
	return end < rows && at%row+inner.Last() <= outer.Last()
}

// touchZeroed is touch for operations that always add.
func (t *Tape) touchZeroed(p *Param, view gobind.Tensor) gobind.Tensor {
	grad, accumulate := t.touch(p, view)
	if !accumulate {
		t.fail(t.stream.Fill(grad, 0))
	}
	return grad
}

// scratch takes a small tensor that lives until Reset.
func (t *Tape) scratch(shape ...int) gobind.Tensor {
	x, err := t.small.take(shape...)
	t.fail(err)
	return x
}

// scratchPairs takes a small float64 tensor [2][c].
func (t *Tape) scratchPairs(c int) gobind.Tensor {
	x := t.scratch(4 * c)
	return gobind.NewTensor(x.Buffer, gobind.F64, x.Offset/2, 2, c)
}

// clock is the time at which an operation begins, when someone counts.
func (t *Tape) clock() time.Time {
	if t.profile == nil {
		return time.Time{}
	}
	return time.Now()
}

// count takes an operation's outcome and adds its time to the profile.
func (t *Tape) count(o op, start time.Time, err error) {
	t.fail(err)
	if t.profile == nil {
		return
	}
	t.fail(t.stream.Synchronize())
	t.profile.add(o, time.Since(start))
}
