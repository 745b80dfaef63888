package space

import "github.com/segnas/segnas/nas/misuse"

// The stem is not searched: a dense 3x3 convolution and two depthwise-separable ones, all of stride 2.
const (
	pictureChannels = 3
	stemConv        = 32
	stemMiddle      = 48
	// StemChannels is the width of the stem's output, at 1/8 of the picture's height and width.
	StemChannels = 64
	stemStride   = 8
)

// Network is what a segmentation network fixes around the searched blocks. The detail branch, the fuse and the head are as wide
// as the last stage.
type Network struct {
	Classes int         `json:"classes"`
	Strides [Stages]int `json:"strides"` // of each stage's first block: 1 or 2
	Widths  [Stages]int `json:"widths"`  // output channels of each stage
}

// DefaultNetwork returns the network as the method writes it: strides 1, 2, 2 and widths 64, 96, 128.
func DefaultNetwork(classes int) Network {
	return Network{Classes: classes, Strides: [Stages]int{1, 2, 2}, Widths: [Stages]int{64, 96, 128}}
}

// Validate returns a misuse error unless the network can be built.
func (n Network) Validate() error {
	if n.Classes < 1 || n.Classes > 255 {
		return misuse.Errorf("network of %d classes; 1 to 255 are allowed, since 255 marks ignored pixels", n.Classes)
	}
	for s := range n.Strides {
		if n.Strides[s] != 1 && n.Strides[s] != 2 {
			return misuse.Errorf("stage %d has stride %d; 1 or 2 are allowed", s+1, n.Strides[s])
		}
		if n.Widths[s] < 1 {
			return misuse.Errorf("stage %d has %d output channels; at least 1 is needed", s+1, n.Widths[s])
		}
	}
	return nil
}

// Ops returns the operations of the inference network of a, in the order in which they run, for a picture of h x w pixels
// (any positive size). The training's auxiliary heads are no part of it. n and a must be valid.
func (n Network) Ops(a Arch, h, w int) []Op {
	h8, w8 := down(h, stemStride), down(w, stemStride)
	ops := make([]Op, 0, 1+Stages*MaxDepth+5)
	ops = append(ops, Op{
		Kind: Stem, Name: "stem", InH: h, InW: w, InC: pictureChannels, OutH: h8, OutW: w8, OutC: StemChannels,
		Kernel: 3, Stride: stemStride, Bits: a.Outer[OuterStem],
	})
	x, quantised := ops[0], a.IsQuantised()
	for s, depth := range a.Depth {
		for i, b := range a.Blocks[s][:depth] {
			stride := 1
			if i == 0 {
				stride = n.Strides[s]
			}
			x = Op{
				Kind: MBConv, Name: blockName(s, i),
				InH: x.OutH, InW: x.OutW, InC: x.OutC,
				OutH: down(x.OutH, stride), OutW: down(x.OutW, stride), OutC: n.Widths[s],
				Kernel: int(b.Kernel), Stride: stride, Expand: int(b.Expand),
				Residual: stride == 1 && x.OutC == n.Widths[s], Bits: b.Bits,
				Unsigned: quantised && s == 0 && i == 0, Last: quantised && s == Stages-1 && i == int(depth)-1,
			}
			ops = append(ops, x)
		}
	}
	c := n.Widths[Stages-1]
	detail := Op{Kind: Detail, Name: "detail", InH: h8, InW: w8, InC: StemChannels, OutH: h8, OutW: w8, OutC: c, Kernel: 3, Stride: 1, Bits: a.Outer[OuterDetail]}
	fuse := Op{Kind: Fuse, Name: "fuse", InH: x.OutH, InW: x.OutW, InC: c, OutH: h8, OutW: w8, OutC: c}
	head := Op{Kind: Head, Name: "head", InH: h8, InW: w8, InC: c, OutH: h, OutW: w, OutC: n.Classes, Kernel: 3, Stride: 1}
	if !quantised {
		return append(ops, detail, fuse, head)
	}
	fuse.Kind = Nearest
	part := Op{Kind: Separable, InH: h8, InW: w8, InC: c, OutH: h8, OutW: w8, OutC: c, Kernel: 3, Stride: 1}
	first, second := part, part
	first.Name, first.Bits = "head.sep1", a.Outer[OuterHead1]
	second.Name, second.Bits = "head.sep2", a.Outer[OuterHead2]
	head.Kind, head.Kernel, head.Bits = Classifier, 0, a.Outer[OuterClassifier]
	return append(ops, detail, fuse, first, second, head)
}

// blockName is stage1.block1 and so on. A search lists the operations of thousands of networks, so it is kept cheap.
func blockName(s, i int) string {
	return "stage" + string(rune('1'+s)) + ".block" + string(rune('1'+i))
}

// MACs returns the multiply-adds of the inference network of a for a picture of h x w pixels.
func (n Network) MACs(a Arch, h, w int) int64 {
	var sum int64
	for _, op := range n.Ops(a, h, w) {
		sum += op.MACs()
	}
	return sum
}

// Params returns the parameters of the inference network of a, as Op.Params counts them.
func (n Network) Params(a Arch) int64 {
	var sum int64
	for _, op := range n.Ops(a, stemStride, stemStride) {
		sum += op.Params()
	}
	return sum
}

// down is the output size of convolutions of padding k/2 and strides whose product is stride, a power of two: every halving
// rounds up, and so does the whole.
func down(size, stride int) int { return (size + stride - 1) / stride }
