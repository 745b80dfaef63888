package graph

import "fmt"

// builder appends layers to a network and knows every value's channels.
type builder struct {
	Network
	channels []int
}

func newBuilder(name string, classes int) *builder {
	return &builder{Network: Network{Name: name, Classes: classes}, channels: []int{pictureChannels}}
}

func (b *builder) add(channels int, l Layer) Value {
	b.Layers = append(b.Layers, l)
	b.channels = append(b.channels, channels)
	return Value(len(b.Layers))
}

func (b *builder) conv3x3(name string, x Value, channels, stride int) Value {
	return b.add(channels, Layer{Name: name, Kind: Conv3x3, Inputs: []Value{x}, Channels: channels, Stride: stride, ReLU: true})
}

func (b *builder) depthwise(name string, x Value, stride, dilation int, relu bool) Value {
	return b.add(b.channels[x], Layer{Name: name, Kind: Depthwise, Inputs: []Value{x}, Kernel: 3, Stride: stride, Dilation: dilation, ReLU: relu})
}

func (b *builder) pointwise(name string, x Value, channels int, relu bool) Value {
	return b.add(channels, Layer{Name: name, Kind: Pointwise, Inputs: []Value{x}, Channels: channels, ReLU: relu})
}

func (b *builder) classifier(name string, x Value) Value {
	return b.add(b.Classes, Layer{Name: name, Kind: Pointwise, Inputs: []Value{x}, Channels: b.Classes, Bias: true})
}

func (b *builder) pool(x Value, bins int) Value {
	return b.add(b.channels[x], Layer{Kind: AvgPool, Inputs: []Value{x}, Kernel: bins})
}

func (b *builder) upsample(x, like Value) Value {
	return b.add(b.channels[x], Layer{Kind: Upsample, Inputs: []Value{x, like}})
}

func (b *builder) sum(x, y Value, relu bool) Value {
	return b.add(b.channels[x], Layer{Kind: Add, Inputs: []Value{x, y}, ReLU: relu})
}

func (b *builder) concat(values ...Value) Value {
	channels := 0
	for _, v := range values {
		channels += b.channels[v]
	}
	return b.add(channels, Layer{Kind: Concat, Inputs: values})
}

// sep is a depthwise-separable convolution. inner: ReLU between its two layers, too.
func (b *builder) sep(name string, x Value, channels, stride int, inner bool) Value {
	return b.pointwise(name+".pointwise", b.depthwise(name+".depthwise", x, stride, 1, inner), channels, true)
}

// bottleneck is an inverted residual block of kernel 3 (Sandler et al. 2018, table 1); with expand ratio 1 nothing is expanded.
func (b *builder) bottleneck(name string, x Value, expand, channels, stride, dilation int) Value {
	y := x
	if expand > 1 {
		y = b.pointwise(name+".expand", x, expand*b.channels[x], true)
	}
	y = b.depthwise(name+".depthwise", y, stride, dilation, true)
	y = b.pointwise(name+".project", y, channels, false)
	if stride == 1 && channels == b.channels[x] {
		return b.sum(x, y, false)
	}
	return y
}

// aux adds an auxiliary head, which training alone has: the supernet's own, a depthwise-separable convolution and a classifier.
func (b *builder) aux(name string, x Value) {
	const channels = 64
	begin := len(b.Layers)
	logits := b.classifier(name+".classifier", b.sep(name+".sep", x, channels, 1, true))
	for i := begin; i < len(b.Layers); i++ {
		b.Layers[i].Training = true
	}
	b.Aux = append(b.Aux, logits)
}

// stage adds a stage of bottlenecks of which the first has the stride.
func (b *builder) stage(number int, x Value, expand, channels, count, stride int, dilations ...int) Value {
	for i := range count {
		dilation := 1
		if i < len(dilations) {
			dilation = dilations[i]
		}
		x = b.bottleneck(fmt.Sprintf("stage%d.block%d", number, i+1), x, expand, channels, stride, dilation)
		stride = 1
	}
	return x
}
