package export

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
)

// Output says with what a graph ends.
type Output string

// What a graph can end with.
const (
	Labels Output = "labels" // uint8 [N,H,W]: the class of every pixel
	Logits Output = "logits" // float32 [N,classes,h,w], at 1/8 of the picture's size
)

// Options are the fixed sizes of a graph and what it ends with.
type Options struct {
	Batch, Height, Width int
	Output               Output
}

const (
	// InputName names the graph's input: float32 [N,3,H,W], normalised.
	InputName = "picture"

	pictureChannels = 3
	pointwiseKernel = 1
	denseKernel     = 3
)

// Build writes a network as an ONNX model.
func Build(n Network, about About, o Options) (*Model, error) {
	if o.Batch < 1 || o.Height < 1 || o.Width < 1 {
		return nil, misuse.Errorf("%d pictures of %dx%d pixels: all must be at least 1", o.Batch, o.Height, o.Width)
	}
	if len(n.Layers) == 0 || len(n.Names) != len(n.Layers) {
		return nil, fmt.Errorf("a network of %d layers with %d names", len(n.Layers), len(n.Names))
	}
	layers := n.Layers
	labelled := layers[len(layers)-1].Kind == gobind.LayerLabels
	switch o.Output {
	case Logits:
		if labelled {
			layers = layers[:len(layers)-1]
		}
	case Labels:
		if !labelled {
			return nil, fmt.Errorf("the network ends without labels")
		}
	default:
		return nil, misuse.Errorf("output %q is not known; there are %s and %s", o.Output, Labels, Logits)
	}
	l := lowering{batch: int64(o.Batch), values: []value{{InputName, pictureChannels, int64(o.Height), int64(o.Width)}}, bytes: map[int]string{}}
	for i, layer := range layers {
		if i > 0 && reflect.DeepEqual(layer, layers[i-1]) { // for a reader that rounds it otherwise: here both read one value
			l.values = append(l.values, l.values[i])
			continue
		}
		if err := l.layer(layer, n.Names[i]); err != nil {
			return nil, err
		}
	}
	metadata, err := about.metadata(n.Arch)
	if err != nil {
		return nil, err
	}
	l.finish(o.Output)
	return &Model{
		Producer: "segnas", Version: about.Version, Metadata: metadata, Graph: l.graph,
		Doc: fmt.Sprintf("Labels %dx%d pictures: input RGB as (value/255 - %g) / %g, NCHW; output %s.", o.Height, o.Width, about.Mean, about.Std, o.Output),
	}, nil
}

// value is a value of the network as the graph has it: [batch, channels, h, w].
type value struct {
	name           string
	channels, h, w int64
}

// lowering turns layers into nodes. A node's output has the node's name.
type lowering struct {
	batch  int64
	values []value        // by number, as in gobind.Layer
	bytes  map[int]string // of values that layers in integers read, what they read
	graph  Graph
}

func (l *lowering) layer(layer gobind.Layer, name string) error {
	x := l.values[layer.Input]
	x.name = l.rounded(layer, name)
	y := x
	switch layer.Kind {
	case gobind.LayerConv3x3:
		y.channels = int64(layer.Channels)
		y = l.conv(x, y, name, denseKernel, layer.Stride, 1, layer)
	case gobind.LayerDWConv:
		y = l.conv(x, y, name, layer.Kernel, layer.Stride, x.channels, layer)
	case gobind.LayerPWConv:
		y.channels = int64(layer.Channels)
		y = l.conv(x, y, name, pointwiseKernel, 1, 1, layer)
		if layer.Input2 >= 0 {
			y.name = l.node(name+".add", "Add", []string{y.name, l.added(layer)})
		}
	case gobind.LayerUpsampleAdd, gobind.LayerNearestAdd:
		to, how := l.values[layer.Input2], bilinear
		if layer.Kind == gobind.LayerNearestAdd {
			how = nearestNeighbour
		}
		y.name = l.resize(x, name, to.h, to.w, how)
		y.name = l.node(name+".add", "Add", []string{y.name, to.name})
		y.h, y.w = to.h, to.w
	case gobind.LayerLabels:
		y.h, y.w = l.values[0].h, l.values[0].w
		y.name = l.resize(x, name+".upsample", y.h, y.w, bilinear)
		y.name = l.node(name+".argmax", "ArgMax", []string{y.name}, integer("axis", 1), integer("keepdims", 0))
		y.name = l.node(name, "Cast", []string{y.name}, integer("to", int64(Uint8)))
	default:
		return fmt.Errorf("layer %s is of a kind (%d) that export does not know", name, layer.Kind)
	}
	if layer.ReLU {
		y.name = l.node(name+".relu", "Relu", []string{y.name})
	}
	l.values = append(l.values, y)
	return nil
}

// node adds a node and returns the name of its output.
func (l *lowering) node(name, op string, inputs []string, attributes ...Attribute) string {
	l.graph.Nodes = append(l.graph.Nodes, Node{Name: name, Op: op, Inputs: inputs, Output: name, Attributes: attributes})
	return name
}

// conv adds a convolution with its constants and returns its value; y comes with the channels.
func (l *lowering) conv(x, y value, name string, kernel, stride int, group int64, layer gobind.Layer) value {
	k, s := int64(kernel), int64(stride)
	perGroup := x.channels / group
	weight := l.weight(Tensor{Name: name + ".weight", Type: Float, Shape: []int64{y.channels, perGroup, k, k},
		Floats: transposed(layer.Weights, int(y.channels), int(perGroup))}, layer)
	bias := l.constant(Tensor{Name: name + ".bias", Type: Float, Shape: []int64{y.channels}, Floats: slices.Clone(layer.Bias)})
	pad := k / 2
	y.name = l.node(name, "Conv", []string{x.name, weight, bias},
		integers("kernel_shape", k, k), integers("strides", s, s), integers("pads", pad, pad, pad, pad), integer("group", group))
	y.h, y.w = (x.h-1)/s+1, (x.w-1)/s+1
	return y
}

// transposed turns weights [taps][in][out] into [out][in][taps]. A depthwise convolution has one input channel a group.
func transposed(weights []float32, out, in int) []float32 {
	taps := len(weights) / (in * out)
	t := make([]float32, len(weights))
	for u := range taps {
		for c := range in {
			for o := range out {
				t[(o*in+c)*taps+u] = weights[(u*in+c)*out+o]
			}
		}
	}
	return t
}

// The ways to resize, as attributes.
var (
	bilinear         = []Attribute{text("mode", "linear"), text("coordinate_transformation_mode", "half_pixel")}
	nearestNeighbour = []Attribute{text("mode", "nearest"), text("coordinate_transformation_mode", "half_pixel"), text("nearest_mode", halfUp)}
)

// resize adds a resizing to a given size and returns the name of its output. roi and scales are left out.
func (l *lowering) resize(x value, name string, h, w int64, how []Attribute) string {
	sizes := l.constant(Tensor{Name: name + ".sizes", Type: Int64, Shape: []int64{4}, Ints: []int64{l.batch, x.channels, h, w}})
	return l.node(name, "Resize", []string{x.name, "", "", sizes}, how...)
}

// finish names the graph and its ends. The last node's output takes the name of what it is.
func (l *lowering) finish(output Output) {
	g, x, y := &l.graph, l.values[0], l.values[len(l.values)-1]
	g.Name = "segnas"
	g.Input = Value{InputName, Float, []int64{l.batch, x.channels, x.h, x.w}}
	g.Output = Value{string(output), Float, []int64{l.batch, y.channels, y.h, y.w}}
	if output == Labels {
		g.Output.Type, g.Output.Shape = Uint8, []int64{l.batch, y.h, y.w}
	}
	g.Nodes[len(g.Nodes)-1].Output = g.Output.Name
}

func integer(name string, v int64) Attribute {
	return Attribute{Name: name, Kind: IntAttribute, Int: v}
}

func integers(name string, v ...int64) Attribute {
	return Attribute{Name: name, Kind: IntsAttribute, Ints: v}
}

func text(name, v string) Attribute {
	return Attribute{Name: name, Kind: TextAttribute, Text: v}
}
