// Package graph describes segmentation networks as graphs of layers, in the field's own names, and counts what they cost. The known networks that
// searched ones are compared with are such graphs; nas/known trains and deploys them. Everything here is plain data and safe for concurrent use.
package graph

// Kind is what a Layer computes.
type Kind int

const (
	Conv3x3   Kind = iota // dense 3x3, padding 1
	Depthwise             // Kernel x Kernel, padding Dilation*(Kernel/2)
	Pointwise
	AvgPool  // over Kernel x Kernel bins, no more than there are rows or columns: bin i of b takes rows floor(i H/b) to ceil((i+1) H/b), columns likewise
	Upsample // of Inputs[0], bilinear with half-pixel centres, to the size of Inputs[1]
	Add
	Concat // of channels
)

// Value names a layer's output, or the picture.
type Value int

// Picture is the network's input: three channels.
const (
	Picture         Value = 0
	pictureChannels       = 3
)

// Layer is one layer. Convolutions are followed by batch norm, then by ReLU where ReLU is set; with Bias they have a bias and nothing after it.
type Layer struct {
	Name     string // of its parameters; "" where it has none
	Kind     Kind
	Inputs   []Value
	Channels int // of the output of Conv3x3 and Pointwise
	Kernel   int // of Depthwise: 3, 5 or 7; of AvgPool: bins on a side
	Stride   int // of Conv3x3 and Depthwise: 1 or 2
	Dilation int // of Depthwise with stride 1; 0 is 1
	ReLU     bool
	Bias     bool
	Training bool // part of an auxiliary head: it is dropped at inference, and not counted
}

// Network is a graph whose layer i makes value i+1; inputs come first.
type Network struct {
	Name      string
	Classes   int
	Layers    []Layer
	Logits    Value
	Aux       []Value // of the auxiliary heads
	Published Published
}

// Published is what the network's authors, or the authors of its best-known copy, report of it; zero where they do not.
type Published struct {
	MACs   float64 // for a picture of 1024x2048
	Params float64
	Source string
}

// Shape is a value's height, width and channels.
type Shape struct{ H, W, C int }

// Shapes returns the shapes of all values for a picture of h x w pixels; the first is the picture's.
func (n Network) Shapes(h, w int) []Shape {
	shapes := make([]Shape, 1, len(n.Layers)+1)
	shapes[Picture] = Shape{h, w, pictureChannels}
	for _, l := range n.Layers {
		x := shapes[l.Inputs[0]]
		y := x
		switch l.Kind {
		case Conv3x3:
			y = Shape{strided(x.H, l.Stride), strided(x.W, l.Stride), l.Channels}
		case Depthwise:
			y.H, y.W = strided(x.H, l.Stride), strided(x.W, l.Stride)
		case Pointwise:
			y.C = l.Channels
		case AvgPool:
			y.H, y.W = min(l.Kernel, x.H), min(l.Kernel, x.W)
		case Upsample:
			like := shapes[l.Inputs[1]]
			y.H, y.W = like.H, like.W
		case Concat:
			for _, more := range l.Inputs[1:] {
				y.C += shapes[more].C
			}
		}
		shapes = append(shapes, y)
	}
	return shapes
}

func strided(size, stride int) int { return (size-1)/stride + 1 }

// weights returns how many weights a convolution has for each output channel; 0 for other layers.
func (l Layer) weights(in Shape) int64 {
	switch l.Kind {
	case Conv3x3:
		return 9 * int64(in.C)
	case Depthwise:
		return int64(l.Kernel * l.Kernel)
	case Pointwise:
		return int64(in.C)
	}
	return 0
}

// MACs returns the multiply-adds of the convolutions for a picture of h x w pixels, as space.Network.MACs counts them: interpolation, averages,
// additions, batch norm, activations and the auxiliary heads are not counted.
func (n Network) MACs(h, w int) int64 {
	shapes := n.Shapes(h, w)
	var sum int64
	for i, l := range n.Layers {
		if y := shapes[i+1]; !l.Training {
			sum += l.weights(shapes[l.Inputs[0]]) * int64(y.C) * int64(y.H) * int64(y.W)
		}
	}
	return sum
}

// Params returns the learned parameters of the inference network, as space.Network.Params counts them: weights, batch-norm scale and shift, biases.
func (n Network) Params() int64 {
	shapes := n.Shapes(1, 1)
	var sum int64
	for i, l := range n.Layers {
		each := l.weights(shapes[l.Inputs[0]])
		if each == 0 || l.Training {
			continue
		}
		perChannel := int64(2)
		if l.Bias {
			perChannel = 1
		}
		sum += (each + perChannel) * int64(shapes[i+1].C)
	}
	return sum
}

// Readers returns how many layers of the inference network take each value's numbers; of Upsample's second input only the size is taken.
func (n Network) Readers() []int {
	readers := make([]int, len(n.Layers)+1)
	for _, l := range n.Layers {
		for _, v := range l.Numbers() {
			if !l.Training {
				readers[v]++
			}
		}
	}
	return readers
}

// Numbers returns the inputs whose numbers the layer takes.
func (l Layer) Numbers() []Value {
	if l.Kind == Upsample {
		return l.Inputs[:1]
	}
	return l.Inputs
}
