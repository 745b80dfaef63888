// Package bench times the operations of libsegnas on the layers of the hand-made baseline, beside what the machine could do at best.
//
//	go test -run '^$' -bench . ./bench                                    everything (minutes)
//	go test -run '^$' -bench 'Operations/dwconv' ./bench                  one kind
//	SEGNAS_ISA=avx2 SEGNAS_THREADS=1 go test -run '^$' -bench . ./bench   capped
//
// The output is Go's benchmark format, which benchstat reads. Compare two versions by runs that alternate, and by their ratio.
package bench

import (
	"fmt"
	"slices"

	"github.com/segnas/segnas/nas/space"
)

// layer is one operation of an inference network on a batch. Sizes are in pixels.
type layer struct {
	op       string // conv3x3, dwconv, pwconv, upsample_add or labels
	place    string // where the network has it first
	n        int    // pictures
	inH, inW int
	inC      int
	outH     int
	outW     int
	outC     int
	kernel   int
	stride   int
}

// shape names what the operation's time depends on.
func (l layer) shape() string {
	text := fmt.Sprintf("%dx%dx%dx%d-%dx%dx%d", l.n, l.inH, l.inW, l.inC, l.outH, l.outW, l.outC)
	if l.kernel > 1 {
		text += fmt.Sprintf("-k%ds%d", l.kernel, l.stride)
	}
	return text
}

func (l layer) inputs() int  { return l.n * l.inH * l.inW * l.inC }
func (l layer) outputs() int { return l.n * l.outH * l.outW * l.outC }

func (l layer) weights() int {
	switch l.op {
	case "conv3x3":
		return 9 * l.inC * l.outC
	case "dwconv":
		return l.kernel * l.kernel * l.inC
	case "pwconv":
		return l.inC * l.outC
	default:
		return 0
	}
}

// macs are the multiply-adds of the convolution, which its two gradients have as well; 0 for the others.
func (l layer) macs() int64 { return int64(l.weights()) * int64(l.n) * int64(l.outH) * int64(l.outW) }

// chain builds layers one after another.
type chain struct {
	layers     []layer
	place      string
	n, h, w, c int
}

func (x *chain) add(op, part string, outC, kernel, stride int) {
	l := layer{op: op, place: x.place + part, n: x.n, inH: x.h, inW: x.w, inC: x.c, outC: outC, kernel: kernel, stride: stride}
	l.outH, l.outW = (x.h-1)/stride+1, (x.w-1)/stride+1
	x.layers = append(x.layers, l)
	x.h, x.w, x.c = l.outH, l.outW, l.outC
}

func (x *chain) depthwiseSeparable(part string, outC, stride int) {
	x.add("dwconv", part, x.c, 3, stride)
	x.add("pwconv", part, outC, 1, 1)
}

// layersOf lists the layers of op on n pictures.
func layersOf(op space.Op, n int) []layer {
	x := chain{place: op.Name, n: n, h: op.InH, w: op.InW, c: op.InC}
	switch op.Kind {
	case space.Stem:
		x.add("conv3x3", ".conv1", 32, 3, 2)
		x.depthwiseSeparable(".conv2", 48, 2)
		x.depthwiseSeparable(".conv3", op.OutC, 2)
	case space.MBConv:
		x.add("pwconv", ".expand", op.Expand*op.InC, 1, 1)
		x.add("dwconv", ".depthwise", x.c, op.Kernel, op.Stride)
		x.add("pwconv", ".project", op.OutC, 1, 1)
	case space.Detail:
		x.depthwiseSeparable("", op.OutC, 1)
	case space.Fuse:
		x.layers = []layer{{"upsample_add", op.Name, n, op.InH, op.InW, op.InC, op.OutH, op.OutW, op.OutC, 0, 0}}
	case space.Head:
		x.depthwiseSeparable(".conv1", op.InC, 1)
		x.depthwiseSeparable(".conv2", op.InC, 1)
		x.add("pwconv", ".classifier", op.OutC, 1, 1)
		x.layers = append(x.layers, layer{"labels", op.Name + ".labels", n, op.InH, op.InW, op.OutC, op.OutH, op.OutW, op.OutC, 0, 0})
	}
	return x.layers
}

// networkLayers lists the layers of the baseline with 19 classes for n pictures of h x w pixels.
func networkLayers(n, h, w int) []layer {
	var layers []layer
	for _, op := range space.DefaultNetwork(19).Ops(space.Baseline(), h, w) {
		layers = append(layers, layersOf(op, n)...)
	}
	return layers
}

// distinct keeps the first of the layers that are alike.
func distinct(layers []layer) []layer {
	var kept []layer
	for _, l := range layers {
		if !slices.ContainsFunc(kept, func(k layer) bool { return k.op == l.op && k.shape() == l.shape() }) {
			kept = append(kept, l)
		}
	}
	return kept
}
