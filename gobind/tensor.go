package gobind

import "fmt"

// MaxRank is the largest number of axes of a Tensor.
const MaxRank = 5

// DType is the type of a tensor's elements.
type DType int32

const (
	F32  DType = iota
	U8         // labels, pictures
	I64        // counts
	F64        // sums handed back to the host
	F16        // activations and their gradients on GPUs: half precision
	BF16       // likewise: the upper half of a float32
)

// Bytes returns the size of one element.
func (d DType) Bytes() int {
	switch d {
	case F32:
		return 4
	case U8:
		return 1
	case F16, BF16:
		return 2
	default:
		return 8
	}
}

// Tensor is a view of a buffer: plain data that owns nothing. Offset and Stride count elements; axes from Rank on are zero. The zero
// Tensor stands for an argument that is left out.
type Tensor struct {
	Buffer *Buffer
	Offset int
	DType  DType
	Rank   int
	Shape  [MaxRank]int
	Stride [MaxRank]int
}

// NewTensor returns a dense view (innermost axis last) that begins at element offset of b. Whether it fits is checked by the
// operations that use it.
func NewTensor(b *Buffer, dtype DType, offset int, shape ...int) Tensor {
	if len(shape) < 1 || len(shape) > MaxRank {
		panic(fmt.Sprintf("gobind: a tensor of rank %d; 1 to %d are possible", len(shape), MaxRank))
	}
	t := Tensor{Buffer: b, Offset: offset, DType: dtype}
	t.setShape(shape)
	return t
}

func (t *Tensor) setShape(shape []int) {
	t.Rank = len(shape)
	t.Shape, t.Stride = [MaxRank]int{}, [MaxRank]int{}
	stride := 1
	for i := len(shape) - 1; i >= 0; i-- {
		t.Shape[i], t.Stride[i] = shape[i], stride
		stride *= shape[i]
	}
}

// IsZero reports whether t is the zero Tensor, the argument left out.
func (t Tensor) IsZero() bool { return t.Buffer == nil && t.Rank == 0 }

// Elements returns the number of elements.
func (t Tensor) Elements() int {
	n := 1
	for _, s := range t.Shape[:t.Rank] {
		n *= s
	}
	return n
}

// refuse panics. It stands apart so that t need not be on the heap elsewhere.
//
//go:noinline
func (t Tensor) refuse(what string) {
	panic(fmt.Sprintf("gobind: %s, tensor of shape %v", what, t.Shape[:t.Rank]))
}

// Dense reports whether the elements lie one after another, innermost axis last.
func (t Tensor) Dense() bool {
	stride := 1
	for i := t.Rank - 1; i >= 0; i-- {
		if t.Shape[i] != 1 && t.Stride[i] != stride {
			return false
		}
		stride *= t.Shape[i]
	}
	return true
}

// SameShape reports whether a and b have the same rank and sizes.
func (t Tensor) SameShape(b Tensor) bool { return t.Rank == b.Rank && t.Shape == b.Shape }

// Last returns the size of the innermost axis: the channels of an activation, the columns of a matrix.
func (t Tensor) Last() int { return t.Shape[t.Rank-1] }

// Slice returns the view of indices [from, to) along an axis. It panics, like slicing, when they are out of range.
func (t Tensor) Slice(axis, from, to int) Tensor {
	if axis < 0 || axis >= t.Rank || from < 0 || from > to || to > t.Shape[axis] {
		t.refuse(fmt.Sprintf("slice [%d:%d] of axis %d", from, to, axis))
	}
	t.Offset += from * t.Stride[axis]
	t.Shape[axis] = to - from
	return t
}

// Prefix returns the first rows and columns of a matrix: [0:rows, 0:cols].
func (t Tensor) Prefix(rows, cols int) Tensor { return t.Slice(0, 0, rows).Slice(1, 0, cols) }

// Reshape returns the same elements of a dense tensor under another shape. It panics when the counts differ or t is not dense.
func (t Tensor) Reshape(shape ...int) Tensor {
	if !t.Dense() {
		t.refuse("reshape of a strided view")
	}
	before := t.Elements()
	t.setShape(shape)
	if t.Elements() != before {
		t.refuse(fmt.Sprintf("reshape of %d elements", before))
	}
	return t
}

// Rows returns an activation [N,H,W,C] or any view whose outer axes follow each other as the matrix [N*H*W, C].
func (t Tensor) Rows() Tensor {
	last := t.Rank - 1
	pitch := 1
	if last > 0 {
		pitch = t.Stride[last-1]
	}
	rows := t.Elements() / t.Shape[last]
	r := t
	r.Rank = 2
	r.Shape = [MaxRank]int{rows, t.Shape[last]}
	r.Stride = [MaxRank]int{pitch, t.Stride[last]}
	return r
}
