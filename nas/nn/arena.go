package nn

import (
	"github.com/segnas/segnas/gobind"
)

// arena hands out device memory for activations and gradients and takes it back in any order. Of the free spans that fit, the smallest
// is taken, and among equals the one freed last, which is the likeliest to be in cache. The spans never go back to the device, so a
// step that repeats an earlier one's requests allocates nothing.
type arena struct {
	ctx    *gobind.Context
	chunks []*gobind.Buffer
	free   []span  // the last one freed last
	blocks []block // by handle
	idle   []int32 // handles not in use
	used   int     // bytes of the blocks
	peak   int     // the most that were used at a time
}

type span struct {
	chunk         int32
	offset, bytes int
}

// block is memory in use; refs counts the values and gradients that live in it.
type block struct {
	span
	refs int32
}

const (
	noBlock    = int32(-1)
	alignment  = 64 // bytes
	leastChunk = 16 << 20
	mostAhead  = 1 << 30 // of a chunk, beyond what was asked for
)

// take returns a handle to memory for the given number of bytes, with one reference.
func (a *arena) take(bytes int) (int32, error) {
	bytes = (bytes + alignment - 1) / alignment * alignment
	best := -1
	for i := len(a.free) - 1; i >= 0; i-- {
		if a.free[i].bytes >= bytes && (best < 0 || a.free[i].bytes < a.free[best].bytes) {
			best = i
		}
	}
	if best < 0 {
		if err := a.grow(bytes); err != nil {
			return noBlock, err
		}
		best = len(a.free) - 1
	}
	from := &a.free[best]
	taken := span{from.chunk, from.offset, bytes}
	from.offset += bytes
	from.bytes -= bytes
	if from.bytes == 0 {
		a.free = append(a.free[:best], a.free[best+1:]...)
	}
	if len(a.idle) == 0 {
		a.blocks = append(a.blocks, block{})
		a.idle = append(a.idle, int32(len(a.blocks)-1))
	}
	handle := a.idle[len(a.idle)-1]
	a.idle = a.idle[:len(a.idle)-1]
	a.blocks[handle] = block{taken, 1}
	a.used += bytes
	a.peak = max(a.peak, a.used)
	return handle, nil
}

// grow adds a chunk at least as large as all before, so that there are few. Memory that is never touched costs nothing on a CPU.
func (a *arena) grow(bytes int) error {
	size := max(bytes, leastChunk, min(a.bytes(), mostAhead))
	chunk, err := a.ctx.NewBuffer(size)
	if err != nil && size > bytes {
		size = bytes
		chunk, err = a.ctx.NewBuffer(size)
	}
	if err != nil {
		return err
	}
	a.chunks = append(a.chunks, chunk)
	a.free = append(a.free, span{int32(len(a.chunks) - 1), 0, size})
	return nil
}

func (a *arena) bytes() int {
	sum := 0
	for _, chunk := range a.chunks {
		sum += chunk.Bytes()
	}
	return sum
}

// share adds a reference.
func (a *arena) share(handle int32) int32 {
	if handle != noBlock {
		a.blocks[handle].refs++
	}
	return handle
}

// sole reports whether nothing else refers to the block, so that it may be overwritten.
func (a *arena) sole(handle int32) bool { return handle != noBlock && a.blocks[handle].refs == 1 }

// drop gives up a reference; the last one frees the memory, joined with its free neighbours.
func (a *arena) drop(handle int32) {
	if handle == noBlock {
		return
	}
	b := &a.blocks[handle]
	b.refs--
	if b.refs > 0 {
		return
	}
	freed := b.span
	a.used -= freed.bytes
	a.idle = append(a.idle, handle)
	kept := a.free[:0]
	for _, f := range a.free {
		switch {
		case f.chunk == freed.chunk && f.offset+f.bytes == freed.offset:
			freed.offset, freed.bytes = f.offset, f.bytes+freed.bytes
		case f.chunk == freed.chunk && freed.offset+freed.bytes == f.offset:
			freed.bytes += f.bytes
		default:
			kept = append(kept, f)
		}
	}
	a.free = append(kept, freed)
}

// tensor returns the block as a dense tensor.
func (a *arena) tensor(handle int32, dtype gobind.DType, shape [4]int) gobind.Tensor {
	b := a.blocks[handle]
	return gobind.NewTensor(a.chunks[b.chunk], dtype, b.offset/dtype.Bytes(), shape[0], shape[1], shape[2], shape[3])
}

func (a *arena) close() {
	for _, chunk := range a.chunks {
		chunk.Close()
	}
	*a = arena{ctx: a.ctx}
}

// bump hands out the small tensors of a step (batch statistics, transformed kernels) and takes them back all at once.
type bump struct {
	ctx     *gobind.Context
	chunks  []*gobind.Buffer
	current int // chunk
	used    int // floats of it
}

const bumpFloats = 1 << 18

// take returns a dense float32 tensor whose contents are not defined.
func (b *bump) take(shape ...int) (gobind.Tensor, error) {
	t := gobind.NewTensor(nil, gobind.F32, 0, shape...)
	need := (t.Elements() + lineFloats - 1) / lineFloats * lineFloats
	for ; b.current < len(b.chunks); b.current, b.used = b.current+1, 0 {
		if 4*(b.used+need) <= b.chunks[b.current].Bytes() {
			break
		}
	}
	if b.current == len(b.chunks) {
		chunk, err := b.ctx.NewBuffer(4 * max(need, bumpFloats))
		if err != nil {
			return gobind.Tensor{}, err
		}
		b.chunks = append(b.chunks, chunk)
	}
	t.Buffer, t.Offset = b.chunks[b.current], b.used
	b.used += need
	return t, nil
}

func (b *bump) reset() { b.current, b.used = 0, 0 }

func (b *bump) close() {
	for _, chunk := range b.chunks {
		chunk.Close()
	}
	*b = bump{ctx: b.ctx}
}
