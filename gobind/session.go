package gobind

/*
#include "call.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"
)

// LayerKind is what a Layer of a deployed network computes.
type LayerKind int

const (
	LayerConv3x3     LayerKind = iota // Weights [9*Cin][Channels], Bias [Channels]
	LayerDWConv                       // Weights [Kernel*Kernel][C], Bias [C]
	LayerPWConv                       // Weights [Cin][Channels], Bias [Channels]; Input2 >= 0 is added after the bias
	LayerUpsampleAdd                  // Input resized bilinearly to Input2's size and added to it
	LayerLabels                       // logits resized to the network input's size and argmaxed: the last layer
	LayerAvgPool                      // Input averaged over Kernel x Kernel bins, fewer where it is smaller: segnas.h says which pixels are whose
	LayerUpsample                     // Input resized bilinearly to Input2's size
	LayerNearestAdd                   // Input resized to its nearest neighbours at Input2's size and added to it; sessions of Int8 alone
)

// Layer is one layer of a deployed network, batch norm folded into its weights. Layer i makes value i+1; value 0 is the network's input.
type Layer struct {
	Kind     LayerKind
	Input    int // value
	Input2   int // value, or -1
	Channels int // of the output of LayerConv3x3 and LayerPWConv; 0 elsewhere
	Kernel   int // LayerDWConv: 3, 5 or 7; LayerAvgPool: bins on a side
	Stride   int // LayerConv3x3 and LayerDWConv: 1 or 2
	Dilation int // LayerDWConv of stride 1: pixels from one tap to the next; 0 is 1
	ReLU     bool
	Group    int // timing group, >= 0, never decreasing from layer to layer
	Weights  []float32
	Bias     []float32
	// A convolution in integers, which sessions of Int8 run and others do not look at. The weights of output channel o are whole multiples of
	// WeightSteps[o], at most 2^(WeightBits-1)-1 of them to either side of zero; what the layer reads is rounded to whole multiples of InputStep.
	WeightBits  int       // 2 to 8; 0: the layer is float32, and the four below are zero
	InputBits   int       // 2 to 8
	InputSigned bool      // multiples from -(2^(InputBits-1)-1) to 2^(InputBits-1)-1; false: from 0 to 2^InputBits-1
	InputStep   float32   // in units of the values read, 2^-40 to 2^40
	WeightSteps []float32 // in units of Weights, each > 0, one for each output channel
}

// Precision is how a session keeps and computes its numbers.
type Precision int

const (
	Float32  Precision = iota
	BFloat16           // values and weights of products rounded to bfloat16, sums in float32: segnas.h, SEGNAS_PRECISION_BF16
	Float16            // the same with half precision, on GPUs alone: SEGNAS_PRECISION_F16
	Int8               // integers of 2 to 8 bits, of networks whose layers have WeightBits: SEGNAS_PRECISION_INT8
)

// Precisions lists all, the finest first.
func Precisions() []Precision { return []Precision{Float32, Float16, BFloat16, Int8} }

// String returns "f32", "bf16", "f16" or "int8".
func (p Precision) String() string {
	switch p {
	case BFloat16:
		return "bf16"
	case Float16:
		return "f16"
	case Int8:
		return "int8"
	}
	return "f32"
}

// Fusion says whether a block's layers run as one step. The bits are the same.
type Fusion int

// The ways to fuse: where it is faster, always, never.
const (
	FuseWhereFaster Fusion = iota
	FuseAlways
	FuseNever
)

// SessionOptions are what is free about a session. The zero value is float32 throughout.
type SessionOptions struct {
	Precision Precision
	// Scale and Shift, of a value for each channel: the input is pictures of bytes, read as byte*Scale + Shift, and RunBytes runs the session.
	// nil: the input is float32.
	Scale, Shift []float32
	Fusion       Fusion
}

// Session is a deployed network, planned once and replayed without allocating. It has one user at a time.
type Session struct {
	c      *C.segnas_session
	call   *call
	busy   atomic.Bool
	input  int // values
	bytes  bool
	output int // bytes
	groups int
	close  closer
}

// plan is a network as the C interface takes it, pinned until release.
type plan struct {
	pinner  runtime.Pinner
	layers  *C.segnas_layer
	options *C.segnas_session_options
	groups  int
	shape   [4]C.int32_t // n, h, w, c
}

func newPlan(layers []Layer, n, h, w, c int, o SessionOptions) (*plan, error) {
	if err := checkLengths(layers, c); err != nil {
		return nil, err
	}
	if len(o.Scale) != len(o.Shift) || (o.Scale != nil && len(o.Scale) != c) {
		return nil, &Error{InvalidArgument, fmt.Sprintf("%d scales and %d shifts for pictures of %d channels", len(o.Scale), len(o.Shift), c)}
	}
	p := &plan{shape: [4]C.int32_t{C.int32_t(n), C.int32_t(h), C.int32_t(w), C.int32_t(c)}}
	p.layers = (*C.segnas_layer)(C.calloc(C.size_t(len(layers)+1), C.sizeof_segnas_layer))
	for i, l := range layers {
		unsafe.Slice(p.layers, len(layers))[i] = C.segnas_layer{
			size: C.sizeof_segnas_layer, kind: C.int32_t(l.Kind), input: C.int32_t(l.Input), input2: C.int32_t(l.Input2),
			channels: C.int32_t(l.Channels), kernel: C.int32_t(l.Kernel), stride: C.int32_t(l.Stride), relu: flag(l.ReLU), group: C.int32_t(l.Group), dilation: C.int32_t(l.Dilation),
			weights: pinned(&p.pinner, l.Weights), bias: pinned(&p.pinner, l.Bias),
			weight_bits: C.int32_t(l.WeightBits), input_bits: C.int32_t(l.InputBits), input_signed: flag(l.InputSigned), input_step: C.float(l.InputStep),
			weight_steps: pinned(&p.pinner, l.WeightSteps),
		}
		p.groups = max(p.groups, l.Group+1)
	}
	p.options = (*C.segnas_session_options)(C.calloc(1, C.sizeof_segnas_session_options))
	*p.options = C.segnas_session_options{size: C.sizeof_segnas_session_options, precision: C.int32_t(o.Precision), input: C.SEGNAS_F32, fusion: C.int32_t(o.Fusion)}
	if o.Scale != nil {
		p.options.input, p.options.scale, p.options.shift = C.SEGNAS_U8, pinned(&p.pinner, o.Scale), pinned(&p.pinner, o.Shift)
	}
	return p, nil
}

func (p *plan) release() {
	C.free(unsafe.Pointer(p.layers))
	C.free(unsafe.Pointer(p.options))
	p.pinner.Unpin()
}

// NewSession plans a network for inputs [n,h,w,c]. Weights and biases are copied.
func (x *Context) NewSession(layers []Layer, n, h, w, c int, o SessionOptions) (*Session, error) {
	if err := x.checkOpen("a session"); err != nil {
		return nil, err
	}
	p, err := newPlan(layers, n, h, w, c, o)
	if err != nil {
		return nil, err
	}
	defer p.release()
	call := newCall()
	handle := (**C.segnas_session)(C.calloc(1, C.size_t(unsafe.Sizeof(uintptr(0)))))
	defer C.free(unsafe.Pointer(handle))
	status := C.segnas_session_create(x.shared.c, p.layers, C.int32_t(len(layers)), p.shape[0], p.shape[1], p.shape[2], p.shape[3], p.options, handle, &call.err)
	if err := call.check(status); err != nil {
		C.free(unsafe.Pointer(call))
		return nil, err
	}
	s := &Session{c: *handle, call: call, input: n * h * w * c, bytes: o.Scale != nil, groups: p.groups}
	s.output = int(C.segnas_session_output_bytes(s.c))
	session, shared := s.c, x.shared.use()
	s.close = closeOnce(s, func() {
		C.segnas_session_destroy(session)
		C.free(unsafe.Pointer(call))
		shared.drop()
	})
	return s, nil
}

// MeasureSession returns what Session.ActivationBytes and WeightBytes would be, without making the session: nothing is packed, and the
// layers' weights are not read.
func (x *Context) MeasureSession(layers []Layer, n, h, w, c int, o SessionOptions) (activations, weights int, err error) {
	if err := x.checkOpen("a plan"); err != nil {
		return 0, 0, err
	}
	p, err := newPlan(layers, n, h, w, c, o)
	if err != nil {
		return 0, 0, err
	}
	defer p.release()
	call := newCall()
	defer C.free(unsafe.Pointer(call))
	sizes := (*[2]C.size_t)(C.calloc(2, C.size_t(unsafe.Sizeof(C.size_t(0)))))
	defer C.free(unsafe.Pointer(sizes))
	status := C.segnas_session_measure(x.shared.c, p.layers, C.int32_t(len(layers)), p.shape[0], p.shape[1], p.shape[2], p.shape[3], p.options, &sizes[0], &sizes[1], &call.err)
	return int(sizes[0]), int(sizes[1]), call.check(status)
}

// pinned returns the address of a host array that C structures may point to until the pinner unpins.
func pinned(p *runtime.Pinner, values []float32) *C.float {
	if len(values) == 0 {
		return nil
	}
	p.Pin(&values[0])
	return (*C.float)(&values[0])
}

// checkLengths refuses host arrays shorter or longer than their layers need: C reads as much as the shapes say.
func checkLengths(layers []Layer, inputChannels int) error {
	channels := []int{inputChannels}
	for i, l := range layers {
		if l.Input < 0 || l.Input > i || l.Input2 > i {
			return &Error{InvalidArgument, fmt.Sprintf("layer %d takes values %d and %d; only values 0 to %d come before it", i, l.Input, l.Input2, i)}
		}
		in := channels[l.Input]
		out, weights := in, 0
		switch l.Kind {
		case LayerConv3x3:
			out, weights = l.Channels, 9*in*l.Channels
		case LayerPWConv:
			out, weights = l.Channels, in*l.Channels
		case LayerDWConv:
			weights = l.Kernel * l.Kernel * in
		}
		bias := 0
		if weights > 0 {
			bias = out
		}
		if len(l.Weights) != weights || len(l.Bias) != bias {
			return &Error{InvalidArgument, fmt.Sprintf("layer %d has %d weights and %d biases, should have %d and %d", i, len(l.Weights), len(l.Bias), weights, bias)}
		}
		steps := 0
		if l.WeightBits != 0 {
			steps = bias
		}
		if len(l.WeightSteps) != steps {
			return &Error{InvalidArgument, fmt.Sprintf("layer %d has %d weight steps, should have %d", i, len(l.WeightSteps), steps)}
		}
		channels = append(channels, out)
	}
	return nil
}

// Close releases the session; it must not be running.
func (s *Session) Close() { s.close.run() }

// OutputBytes returns the size of the output: one byte a pixel for labels, four a value for float32 outputs.
func (s *Session) OutputBytes() int { return s.output }

// Groups returns the number of timing groups.
func (s *Session) Groups() int { return s.groups }

// ActivationBytes returns the peak memory of activations, scratch included.
func (s *Session) ActivationBytes() int { return int(C.segnas_session_activation_bytes(s.c)) }

// WeightBytes returns the memory of the packed weights.
func (s *Session) WeightBytes() int { return int(C.segnas_session_weight_bytes(s.c)) }

// Run computes the label map [N,H,W] of input [N,H,W,C]. groupTimes, of length Groups, receives the time that each timing group took,
// stamped inside the run; nil: not wanted. The slices are borrowed for the call.
func (s *Session) Run(input []float32, labels []uint8, groupTimes []time.Duration) error {
	if len(labels) != s.output {
		return &Error{InvalidArgument, fmt.Sprintf("the session's output has %d bytes, not %d", s.output, len(labels))}
	}
	return s.run(unsafe.Pointer(unsafe.SliceData(input)), len(input), false, unsafe.Pointer(unsafe.SliceData(labels)), groupTimes)
}

// RunBytes is Run for a session whose input is pictures of bytes.
func (s *Session) RunBytes(pictures, labels []uint8, groupTimes []time.Duration) error {
	if len(labels) != s.output {
		return &Error{InvalidArgument, fmt.Sprintf("the session's output has %d bytes, not %d", s.output, len(labels))}
	}
	return s.run(unsafe.Pointer(unsafe.SliceData(pictures)), len(pictures), true, unsafe.Pointer(unsafe.SliceData(labels)), groupTimes)
}

// RunFloat32 is Run for a network whose last layer is not LayerLabels.
func (s *Session) RunFloat32(input, output []float32, groupTimes []time.Duration) error {
	if 4*len(output) != s.output {
		return &Error{InvalidArgument, fmt.Sprintf("the session's output has %d bytes, not %d", s.output, 4*len(output))}
	}
	return s.run(unsafe.Pointer(unsafe.SliceData(input)), len(input), false, unsafe.Pointer(unsafe.SliceData(output)), groupTimes)
}

func (s *Session) run(input unsafe.Pointer, values int, bytes bool, output unsafe.Pointer, groupTimes []time.Duration) error {
	if values != s.input || bytes != s.bytes {
		return &Error{InvalidArgument, fmt.Sprintf("the session's input has %d values of %s, not %d of %s", s.input, inputType(s.bytes), values, inputType(bytes))}
	}
	if groupTimes != nil && len(groupTimes) != s.groups {
		return &Error{InvalidArgument, fmt.Sprintf("the session has %d timing groups, not %d", s.groups, len(groupTimes))}
	}
	if s.busy.Swap(true) {
		return &Error{Busy, "the session is in use by another goroutine"}
	}
	defer s.busy.Store(false)
	if s.close.closed() {
		return &Error{InvalidArgument, "the session is closed"}
	}
	times := (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(groupTimes)))
	err := s.call.check(C.segnas_session_run(s.c, input, output, times, &s.call.err))
	runtime.KeepAlive(s)
	return err
}

func inputType(bytes bool) string {
	if bytes {
		return "u8"
	}
	return "float32"
}
