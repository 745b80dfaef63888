package gobind

/*
#include "call.h"
*/
import "C"

import (
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Options choose a context's device and kernels. The zero value is the CPU with its best instruction set and one thread per
// processor.
type Options struct {
	Threads   int    // worker threads, the caller's included; 0: SEGNAS_THREADS, else one per available processor
	ISA       string // cap on the CPU's instruction set: scalar, avx2, avx512, neon; empty: SEGNAS_ISA, else the best
	Device    string // "cpu" or empty; "cuda:N" loads the plug-in
	PluginDir string // where to look for plug-ins first; empty: SEGNAS_PLUGIN_DIR, beside the program, build/lib of the source tree
}

// Context is a device with its threads and kernels. It may be used by any goroutine.
type Context struct {
	shared *sharedContext
	close  closer
}

// sharedContext ends the C context when the Context and everything made from it were closed, in whatever order that happens.
type sharedContext struct {
	c     *C.segnas_context
	users atomic.Int64
}

func (s *sharedContext) use() *sharedContext {
	s.users.Add(1)
	return s
}

func (s *sharedContext) drop() {
	if s.users.Add(-1) == 0 {
		C.segnas_context_destroy(s.c)
	}
}

// closer runs a release function once: by Close, or else by the garbage collector.
type closer struct {
	done    *atomic.Bool
	release func()
}

// closeOnce arms owner's closer. release must not refer to owner, which would then never be collected.
func closeOnce[T any](owner *T, release func()) closer {
	c := closer{done: new(atomic.Bool), release: release}
	runtime.AddCleanup(owner, closer.run, c)
	return c
}

func (c closer) run() {
	if !c.done.Swap(true) {
		c.release()
	}
}

func (c closer) closed() bool { return c.done.Load() }

// Runs reports whether the context runs sessions of that precision.
func (x *Context) Runs(p Precision) bool {
	return C.segnas_context_precision(x.shared.c, C.int32_t(p)) != 0
}

// NewContext opens a device. Close the context when done; what was made from it keeps the device open until closed as well.
func NewContext(o Options) (*Context, error) {
	options := (*C.segnas_context_options)(C.calloc(1, C.sizeof_segnas_context_options))
	defer C.free(unsafe.Pointer(options))
	options.size = C.sizeof_segnas_context_options
	if o.Threads < 0 {
		return nil, &Error{InvalidArgument, "a context needs at least 1 thread; 0 means one per processor"}
	}
	options.threads = C.uint32_t(o.Threads)
	for _, field := range []struct {
		value  string
		target **C.char
	}{{o.Device, &options.device}, {o.ISA, &options.isa}, {pluginDir(o.PluginDir), &options.plugin_dir}} {
		text, free := optionalString(field.value)
		defer free()
		*field.target = text
	}
	call := newCall()
	defer C.free(unsafe.Pointer(call))
	handle := (**C.segnas_context)(C.calloc(1, C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(handle))
	if err := call.check(C.segnas_context_create(options, handle, &call.err)); err != nil {
		return nil, err
	}
	shared := &sharedContext{c: *handle}
	x := &Context{shared: shared.use()}
	x.close = closeOnce(x, shared.drop)
	return x, nil
}

// Close ends the context; the device itself is released when all that was made from it is closed too.
func (x *Context) Close() { x.close.run() }

// Threads returns the number of worker threads, the caller's included.
func (x *Context) Threads() int { return int(C.segnas_context_threads(x.shared.c)) }

// ISA returns the instruction set in use: scalar, avx2, avx512 or neon.
func (x *Context) ISA() string { return C.GoString(C.segnas_context_isa(x.shared.c)) }

// Device returns "cpu" or the plug-in's name of its device.
func (x *Context) Device() string { return C.GoString(C.segnas_context_device(x.shared.c)) }

func (x *Context) checkOpen(what string) error {
	if x.close.closed() {
		return &Error{InvalidArgument, what + " of a closed context"}
	}
	return nil
}

type call C.gobind_call

func newCall() *call { return (*call)(C.calloc(1, C.sizeof_gobind_call)) }

// check turns the status of a call that was given &c.err into an error.
func (c *call) check(status C.segnas_status) error {
	if status == C.SEGNAS_OK {
		return nil
	}
	text := C.GoString(&c.err.text[0])
	if text == "" { // a backend that is short of words
		text = C.GoString(C.segnas_status_name(status))
	}
	return &Error{Status(status), text}
}
