package gobind

/*
#include "call.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Stream runs operations one after another. It has one user at a time; while a call runs, another goroutine's gets status Busy.
// A call returns when its work is done (CPU) or enqueued (other devices; Synchronize waits).
type Stream struct {
	c     *C.segnas_stream
	call  *call
	busy  atomic.Bool
	used  [C.GOBIND_MOST_TENSORS]*Buffer // of the running call: reachable until it returns
	close closer
}

// NewStream returns a stream of the context's device.
func (x *Context) NewStream() (*Stream, error) {
	if err := x.checkOpen("a stream"); err != nil {
		return nil, err
	}
	call := newCall()
	handle := (**C.segnas_stream)(C.calloc(1, C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(handle))
	if err := call.check(C.segnas_stream_create(x.shared.c, handle, &call.err)); err != nil {
		C.free(unsafe.Pointer(call))
		return nil, err
	}
	s := &Stream{c: *handle, call: call}
	stream, shared := s.c, x.shared.use()
	s.close = closeOnce(s, func() {
		C.segnas_stream_destroy(stream)
		C.free(unsafe.Pointer(call))
		shared.drop()
	})
	return s, nil
}

// Close ends the stream; no call may be running.
func (s *Stream) Close() { s.close.run() }

// Synchronize waits until everything enqueued on the stream is done.
func (s *Stream) Synchronize() error {
	if err := s.enter(); err != nil {
		return err
	}
	return s.leave(C.segnas_stream_synchronize(s.c, &s.call.err))
}

// ScratchBytes returns how much working memory the stream holds for its calls.
func (s *Stream) ScratchBytes() int { return int(C.segnas_stream_scratch_bytes(s.c)) }

// enter begins a call: it claims the stream, whose C structures the call's arguments are written to.
func (s *Stream) enter() error {
	if s.busy.Swap(true) {
		return &Error{Busy, "the stream is in use by another goroutine"}
	}
	if s.close.closed() {
		s.busy.Store(false)
		return &Error{InvalidArgument, "the stream is closed"}
	}
	return nil
}

// arg writes t as the call's argument i and returns its address, NULL for an argument left out.
func (s *Stream) arg(i int, t *Tensor) *C.segnas_tensor {
	if t.IsZero() {
		return nil
	}
	a := &s.call.tensor[i]
	a.buffer = nil // closed or missing: refused by the call's checks
	if b := t.Buffer; b != nil && !b.close.closed() {
		a.buffer = b.c
		s.used[i] = b
	}
	a.offset = C.int64_t(t.Offset)
	a.dtype = C.int32_t(t.DType)
	a.rank = C.int32_t(t.Rank)
	for axis := range t.Rank {
		a.shape[axis] = C.int64_t(t.Shape[axis])
		a.stride[axis] = C.int64_t(t.Stride[axis])
	}
	return a
}

// leave ends a call.
func (s *Stream) leave(status C.segnas_status) error {
	err := s.call.check(status)
	clear(s.used[:])
	s.busy.Store(false)
	runtime.KeepAlive(s)
	return err
}

// errAt is where the call's C function writes its refusal.
func (s *Stream) errAt() *C.segnas_error { return &s.call.err }

func flag(on bool) C.int32_t {
	if on {
		return 1
	}
	return 0
}

// Upload copies a host slice, borrowed for the call, into a dense tensor of the same number of elements.
func Upload[T float32 | uint8 | int64 | float64](s *Stream, target Tensor, source []T) error {
	return s.transfer(target, mustMatchLength(target, source), true)
}

// Download copies a dense tensor into a host slice of the same number of elements, after everything enqueued before it.
func Download[T float32 | uint8 | int64 | float64](s *Stream, target []T, source Tensor) error {
	return s.transfer(source, mustMatchLength(source, target), false)
}

// mustMatchLength returns the bytes of a host slice that is as long as t, nil when empty; else it panics.
func mustMatchLength[T float32 | uint8 | int64 | float64](t Tensor, host []T) []byte {
	var zero T
	mustMatch(t, zero)
	if len(host) != t.Elements() {
		t.refuse(fmt.Sprintf("%d host values", len(host)))
	}
	if len(host) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&host[0])), len(host)*t.DType.Bytes())
}

func (s *Stream) transfer(t Tensor, host []byte, upload bool) error {
	if len(host) == 0 {
		return nil
	}
	if err := s.enter(); err != nil {
		return err
	}
	if t.Buffer == nil || t.Buffer.close.closed() {
		s.busy.Store(false)
		return &Error{InvalidArgument, "a copy between the host and a tensor without a buffer"}
	}
	offset, size := C.size_t(t.Offset*t.DType.Bytes()), C.size_t(len(host))
	var status C.segnas_status
	if upload {
		status = C.segnas_buffer_write(s.c, t.Buffer.c, offset, unsafe.Pointer(&host[0]), size, s.errAt())
	} else {
		status = C.segnas_buffer_read(s.c, t.Buffer.c, offset, unsafe.Pointer(&host[0]), size, s.errAt())
	}
	runtime.KeepAlive(t.Buffer)
	return s.leave(status)
}
