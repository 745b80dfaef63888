package gobind

/*
#include "call.h"
*/
import "C"

import (
	"fmt"
	"unsafe"
)

// Buffer is memory of a context's device, zeroed when made.
type Buffer struct {
	c     *C.segnas_buffer
	host  []byte // nil where the device's memory is not the host's
	bytes int
	close closer
}

// NewBuffer returns a buffer of the given size.
func (x *Context) NewBuffer(bytes int) (*Buffer, error) {
	if err := x.checkOpen("a buffer"); err != nil {
		return nil, err
	}
	if bytes < 0 {
		return nil, &Error{InvalidArgument, fmt.Sprintf("a buffer of %d bytes", bytes)}
	}
	call := newCall()
	defer C.free(unsafe.Pointer(call))
	handle := (**C.segnas_buffer)(C.calloc(1, C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(handle))
	if err := call.check(C.segnas_buffer_create(x.shared.c, C.size_t(bytes), handle, &call.err)); err != nil {
		return nil, err
	}
	b := &Buffer{c: *handle, bytes: bytes}
	if host := C.segnas_buffer_host(b.c); host != nil {
		b.host = unsafe.Slice((*byte)(host), bytes)
	}
	buffer, shared := b.c, x.shared.use()
	b.close = closeOnce(b, func() {
		C.segnas_buffer_destroy(buffer)
		shared.drop()
	})
	return b, nil
}

// NewTensor returns a dense tensor in a zeroed buffer of its own, which t.Buffer.Close releases.
func (x *Context) NewTensor(dtype DType, shape ...int) (Tensor, error) {
	t := NewTensor(nil, dtype, 0, shape...)
	b, err := x.NewBuffer(t.Elements() * dtype.Bytes())
	t.Buffer = b
	return t, err
}

// Close releases the memory. No view of it, no call that uses it and no slice of HostBytes may be in use.
func (b *Buffer) Close() {
	b.close.run()
	b.host = nil
}

// Bytes returns the buffer's size.
func (b *Buffer) Bytes() int { return b.bytes }

// HostBytes returns the buffer's own memory, or nil where the device's memory is not the host's. The slice is valid while the buffer is
// reachable and open.
func (b *Buffer) HostBytes() []byte { return b.host }

// Host returns the elements of a dense tensor in place, or nil where the device's memory is not the host's. T must be the Go type of
// t.DType; anything else, or a view that is strided or does not fit its buffer, panics.
func Host[T float32 | uint8 | int64 | float64](t Tensor) []T {
	var zero T
	if t.Buffer.host == nil {
		return nil
	}
	mustMatch(t, zero)
	size := t.DType.Bytes()
	bytes := t.Buffer.host[t.Offset*size : (t.Offset+t.Elements())*size]
	if len(bytes) == 0 {
		return nil
	}
	return unsafe.Slice((*T)(unsafe.Pointer(&bytes[0])), t.Elements())
}

// mustMatch panics unless t is a dense tensor of T's.
func mustMatch[T float32 | uint8 | int64 | float64](t Tensor, zero T) {
	var dtype DType
	switch any(zero).(type) {
	case float32:
		dtype = F32
	case uint8:
		dtype = U8
	case int64:
		dtype = I64
	case float64:
		dtype = F64
	}
	if t.DType != dtype {
		t.refuse(fmt.Sprintf("dtype %d used as %T", t.DType, zero))
	}
	if !t.Dense() {
		t.refuse("a strided view used as a slice")
	}
}
