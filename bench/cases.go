package bench

import "github.com/segnas/segnas/gobind"

// operation is one call to time: what it costs at least, and how to make it.
type operation struct {
	name  string
	layer layer
	macs  int64
	bytes int64 // that must move if nothing stays in a cache: each tensor once for every pass over it
	// tensors are made by shape, in the order in which run takes them.
	tensors []tensor
	run     func(s *gobind.Stream, t []gobind.Tensor) error
}

type tensor struct {
	dtype gobind.DType
	shape []int
}

func f32(shape ...int) tensor { return tensor{gobind.F32, shape} }

const (
	ignored  = 255
	poolBins = 6 // the most of a pyramid's, each way
)

// operationsOf lists the forward operation of a layer, and what training adds to it.
func operationsOf(l layer) []operation {
	x := f32(l.n, l.inH, l.inW, l.inC)
	y := f32(l.n, l.outH, l.outW, l.outC)
	switch l.op {
	case "conv3x3":
		return convolution(l, x, f32(9*l.inC, l.outC), y, (*gobind.Stream).Conv3x3Forward, nil, (*gobind.Stream).Conv3x3BackwardWeight)
	case "dwconv":
		ops := convolution(l, x, f32(l.kernel*l.kernel, l.inC), y,
			(*gobind.Stream).DWConvForward, (*gobind.Stream).DWConvBackwardInput, (*gobind.Stream).DWConvBackwardWeight)
		ops = append(ops, batchNorm(l, y)...)
		ops = append(ops, fakeQuant(l, y)...)
		return append(ops, normed(l, x, f32(l.kernel*l.kernel, l.inC), y)...)
	case "pwconv":
		return append(pointwise(l, x, f32(l.inC, l.outC), y), normed(l, x, f32(l.inC, l.outC), y)...)
	case "upsample_add":
		bins := f32(l.n, min(poolBins, l.inH), min(poolBins, l.inW), l.inC)
		return []operation{
			{"upsample_add_forward", l, 0, int64(4*l.inputs() + 8*l.outputs()), []tensor{x, y, y},
				func(s *gobind.Stream, t []gobind.Tensor) error {
					return s.UpsampleAddForward(t[0], t[1], gobind.Bilinear, t[2])
				}},
			// What it reads is the end of the context branch, which pyramid pooling averages.
			{"avg_pool_forward", l, 0, int64(4 * l.inputs()), []tensor{x, bins},
				func(s *gobind.Stream, t []gobind.Tensor) error { return s.AvgPoolForward(t[0], t[1]) }},
			{"avg_pool_backward", l, 0, int64(4 * l.inputs()), []tensor{bins, x},
				func(s *gobind.Stream, t []gobind.Tensor) error { return s.AvgPoolBackward(t[0], t[1]) }},
		}
	default:
		return labelling(l, x)
	}
}

func convolution(l layer, x, w, y tensor, forward func(*gobind.Stream, gobind.Tensor, gobind.Tensor, int, gobind.Tensor) error,
	input func(*gobind.Stream, gobind.Tensor, gobind.Tensor, int, gobind.Tensor) error,
	weight func(*gobind.Stream, gobind.Tensor, gobind.Tensor, int, bool, gobind.Tensor) error) []operation {
	bytes := int64(4 * (l.inputs() + l.weights() + l.outputs()))
	ops := []operation{
		{l.op + "_forward", l, l.macs(), bytes, []tensor{x, w, y},
			func(s *gobind.Stream, t []gobind.Tensor) error { return forward(s, t[0], t[1], l.stride, t[2]) }},
		{l.op + "_backward_weight", l, l.macs(), bytes, []tensor{x, y, w},
			func(s *gobind.Stream, t []gobind.Tensor) error { return weight(s, t[0], t[1], l.stride, false, t[2]) }},
	}
	if input != nil {
		ops = append(ops, operation{l.op + "_backward_input", l, l.macs(), bytes, []tensor{y, w, x},
			func(s *gobind.Stream, t []gobind.Tensor) error { return input(s, t[0], t[1], l.stride, t[2]) }})
	}
	return ops
}

func pointwise(l layer, x, w, y tensor) []operation {
	bytes := int64(4 * (l.inputs() + l.weights() + l.outputs()))
	return []operation{
		{"pwconv_forward", l, l.macs(), bytes, []tensor{x, w, y},
			func(s *gobind.Stream, t []gobind.Tensor) error {
				return s.PWConvForward(t[0], t[1], gobind.Tensor{}, t[2])
			}},
		{"pwconv_backward_input", l, l.macs(), bytes, []tensor{y, w, x},
			func(s *gobind.Stream, t []gobind.Tensor) error { return s.PWConvBackwardInput(t[0], t[1], t[2]) }},
		{"pwconv_backward_weight", l, l.macs(), bytes, []tensor{x, y, w},
			func(s *gobind.Stream, t []gobind.Tensor) error {
				return s.PWConvBackwardWeight(t[0], t[1], false, t[2])
			}},
	}
}

// batchNorm is timed on the outputs of depthwise convolutions, the widest tensors of the network. Its statistics need a pass of
// their own before the pass that writes.
func batchNorm(l layer, y tensor) []operation {
	const eps, update = 1e-5, 0.1
	channel := f32(l.outC)
	return []operation{
		{"batchnorm_forward", l, 0, int64(4 * 3 * l.outputs()), []tensor{y, channel, channel, channel, channel, channel, channel, y},
			func(s *gobind.Stream, t []gobind.Tensor) error {
				return s.BatchNormForward(t[0], t[1], t[2], eps, update, true, t[3], t[4], t[5], t[6], t[7])
			}},
		{"batchnorm_backward", l, 0, int64(4 * 5 * l.outputs()), []tensor{y, y, channel, channel, channel, channel, channel, channel, y},
			func(s *gobind.Stream, t []gobind.Tensor) error {
				return s.BatchNormBackward(t[0], t[1], t[2], t[3], t[4], t[5], true, false, false, t[6], t[7], t[8])
			}},
	}
}

// fakeQuant is timed on the same tensors, with a clip for all and one for each channel. y lies apart from x, dx in dy's place.
func fakeQuant(l layer, y tensor) []operation {
	q := gobind.Quantiser{Bits: 4, Gradient: gobind.ClipStep, Scale: 1}
	var ops []operation
	for _, c := range []struct {
		of   string
		clip tensor
	}{{"tensor", f32(1)}, {"channels", f32(l.outC)}} {
		ops = append(ops,
			operation{"fakequant_forward_" + c.of, l, 0, int64(4 * 2 * l.outputs()), []tensor{y, c.clip, y},
				func(s *gobind.Stream, t []gobind.Tensor) error { return s.FakeQuantForward(q, t[0], t[1], t[2]) }},
			operation{"fakequant_backward_" + c.of, l, 0, int64(4 * 3 * l.outputs()), []tensor{y, c.clip, y, c.clip},
				func(s *gobind.Stream, t []gobind.Tensor) error {
					return s.FakeQuantBackward(q, t[0], t[1], t[2], false, t[2], t[3])
				}})
	}
	return ops
}

// normed is a convolution as training runs it, between normalised activations: forward x is read and y written; backward x, y and y's gradient
// are read and x's gradient is written, for both gradients and the sums. What batch norm adds is no pass of its own, nor what quantising adds.
func normed(l layer, x, w, y tensor) []operation {
	return append(normedBy(l, x, w, y, "_norm", gobind.NormRows, 2), normedBy(l, x, w, y, "_quantised_norm", gobind.QuantisedNormRows, 3)...)
}

func normedBy(l layer, x, w, y tensor, name string, normRows, sumsRows int) []operation {
	xNorm, yNorm := f32(normRows, l.inC), f32(normRows, l.outC)
	sums, moments := tensor{gobind.F64, []int{sumsRows, l.inC}}, tensor{gobind.F64, []int{2, l.outC}}
	forward := operation{l.op + name + "_forward", l, l.macs(), int64(4 * (l.inputs() + l.weights() + l.outputs())), []tensor{x, xNorm, w, y, moments},
		func(s *gobind.Stream, t []gobind.Tensor) error {
			if l.op == "dwconv" {
				return s.DWConvNormForward(t[0], t[1], true, t[2], l.stride, t[3], t[4])
			}
			return s.PWConvNormForward(t[0], t[1], true, t[2], gobind.Tensor{}, t[3], t[4])
		}}
	backward := operation{l.op + name + "_backward", l, 2 * l.macs(), int64(4 * (2*l.inputs() + 2*l.weights() + 2*l.outputs())),
		[]tensor{x, xNorm, w, y, yNorm, y, w, x, sums},
		func(s *gobind.Stream, t []gobind.Tensor) error {
			if l.op == "dwconv" {
				return s.DWConvNormBackward(t[0], t[1], true, t[2], l.stride, t[3], t[4], true, t[5], false, t[6], t[7], t[8])
			}
			return s.PWConvNormBackward(t[0], t[1], true, t[2], t[3], t[4], true, t[5], false, t[6], t[7], t[8])
		}}
	return []operation{forward, backward}
}

// labelling upsamples the logits to the picture's size inside the kernel: for the label map, and for the loss.
func labelling(l layer, logits tensor) []operation {
	labels := tensor{gobind.U8, []int{l.n, l.outH, l.outW}}
	pixels := int64(l.n * l.outH * l.outW)
	return []operation{
		{"argmax", l, 0, int64(4*l.inputs()) + pixels, []tensor{logits, labels},
			func(s *gobind.Stream, t []gobind.Tensor) error { return s.Argmax(t[0], t[1]) }},
		{"cross_entropy", l, 0, int64(8*l.inputs()) + pixels, []tensor{logits, labels, {gobind.F64, []int{2}}, logits},
			func(s *gobind.Stream, t []gobind.Tensor) error {
				return s.CrossEntropy(t[0], t[1], ignored, gobind.Tensor{}, 1, t[2], t[3])
			}},
		// The losses are written once, and read once for each of the three digits of their bits and once more for the labels.
		{"hard_pixels", l, 0, int64(4*l.inputs()) + 22*pixels, []tensor{logits, labels, labels},
			func(s *gobind.Stream, t []gobind.Tensor) error {
				return s.HardPixels(t[0], t[1], ignored, mostHardLoss, int(pixels)/hardShare, t[2])
			}},
		{"distillation", l, 0, int64(12 * l.inputs()), []tensor{logits, logits, {gobind.F64, []int{2}}, logits},
			func(s *gobind.Stream, t []gobind.Tensor) error { return s.Distillation(t[0], t[1], 1, t[2], t[3]) }},
	}
}

// What is kept of the pixels in training by default: those of a probability below 0.7, and a sixteenth at least.
const (
	mostHardLoss = 0.357
	hardShare    = 16
)
