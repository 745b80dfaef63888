package known

import (
	"fmt"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/graph"
)

// Layers returns the network as a session runs it: batch norm folded by the running statistics, label maps out, one timing group.
//
// Joined channels do not exist there. A pointwise layer that reads them is the sum of pointwise layers of the parts, and of an upsampled part it is the
// upsampled pointwise layer of what was upsampled: interpolation weights sum to one, and act on each channel alike.
func (m *Model) Layers() ([]gobind.Layer, error) {
	l := lowering{model: m, readers: m.graph.Readers(), made: make([]int, len(m.values))}
	for v := range l.made {
		l.made[v] = -1
	}
	l.made[graph.Picture] = 0
	logits := l.value(m.graph.Logits)
	l.add(gobind.Layer{Kind: gobind.LayerLabels, Input: logits, Input2: -1})
	return l.layers, l.err
}

// LogitsSize implements supernet.Deployable.
func (m *Model) LogitsSize(h, w int) (height, width int) {
	logits := m.graph.Shapes(h, w)[m.graph.Logits]
	return logits.H, logits.W
}

// lowering makes layers where they are first wanted, so that what feeds only one layer stands right before it and can be fused with it.
type lowering struct {
	model   *Model
	readers []int
	made    []int // session value by graph value; -1: not yet
	layers  []gobind.Layer
	err     error
}

func (l *lowering) add(layer gobind.Layer) (value int) {
	l.layers = append(l.layers, layer)
	return len(l.layers)
}

func (l *lowering) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

func (l *lowering) layer(v graph.Value) graph.Layer { return l.model.graph.Layers[v-1] }

func (l *lowering) isA(v graph.Value, kind graph.Kind) bool {
	return v != graph.Picture && l.layer(v).Kind == kind
}

// value returns where a value of the graph is, and makes it where it is not yet there.
func (l *lowering) value(v graph.Value) int {
	if l.made[v] < 0 {
		l.made[v] = l.lower(v)
	}
	return l.made[v]
}

func (l *lowering) lower(v graph.Value) int {
	of := l.layer(v)
	switch of.Kind {
	case graph.Conv3x3, graph.Depthwise:
		return l.convolution(v)
	case graph.Pointwise:
		if x := of.Inputs[0]; l.isA(x, graph.Concat) {
			return l.joined(v, l.layer(x).Inputs)
		}
		return l.pointwise(v, -1, of.ReLU)
	case graph.AvgPool:
		return l.add(gobind.Layer{Kind: gobind.LayerAvgPool, Input: l.value(of.Inputs[0]), Input2: -1, Kernel: of.Kernel})
	case graph.Upsample:
		like := l.value(of.Inputs[1])
		return l.add(gobind.Layer{Kind: gobind.LayerUpsample, Input: l.value(of.Inputs[0]), Input2: like})
	case graph.Add:
		return l.sum(of)
	}
	l.fail(fmt.Errorf("%s: a session has no layer for value %d, of kind %d", l.model.graph.Name, v, of.Kind))
	return 0
}

// folded returns a convolution's weights and biases with its batch norm folded in.
func (l *lowering) folded(v graph.Value) (weights, bias []float32) {
	var err error
	s := l.model.store.Stream()
	switch learned := l.model.layers[v-1]; {
	case learned.dense != nil:
		weights, bias, err = learned.dense.Folded(s)
	case learned.depthwise != nil:
		weights, bias, err = learned.depthwise.Folded(s)
	case learned.pointwise != nil:
		weights, bias, err = learned.pointwise.Folded(s)
	default:
		weights, bias, err = learned.classifier.Folded(s)
	}
	if err != nil {
		l.fail(err)
	}
	return weights, bias
}

// convolution is a dense or depthwise one.
func (l *lowering) convolution(v graph.Value) int {
	of := l.layer(v)
	made := gobind.Layer{Kind: gobind.LayerConv3x3, Input: l.value(of.Inputs[0]), Input2: -1, Stride: of.Stride, ReLU: of.ReLU, Channels: of.Channels}
	if of.Kind == graph.Depthwise {
		made.Kind, made.Kernel, made.Dilation = gobind.LayerDWConv, of.Kernel, of.Dilation
	}
	made.Weights, made.Bias = l.folded(v)
	return l.add(made)
}

// pointwise adds to a session's value, unless that is -1.
func (l *lowering) pointwise(v graph.Value, onto int, relu bool) int {
	of := l.layer(v)
	made := gobind.Layer{Kind: gobind.LayerPWConv, Input: l.value(of.Inputs[0]), Input2: onto, Channels: of.Channels, ReLU: relu}
	made.Weights, made.Bias = l.folded(v)
	return l.add(made)
}

// joined is a pointwise layer of the channels of several values: first those at full size, then those that are upsampled.
func (l *lowering) joined(v graph.Value, parts []graph.Value) int {
	of := l.layer(v)
	weights, bias := l.folded(v)
	if l.err != nil {
		return 0
	}
	shapes := l.model.graph.Shapes(1, 1)
	rows := make([][]float32, len(parts)) // of the weights
	for i, part := range parts {
		n := shapes[part].C * of.Channels
		rows[i], weights = weights[:n], weights[n:]
	}
	none, sum, left := make([]float32, of.Channels), -1, len(parts)
	for _, upsampled := range []bool{false, true} {
		for i, part := range parts {
			if l.isA(part, graph.Upsample) != upsampled {
				continue
			}
			left--
			last := left == 0 && of.ReLU
			made := gobind.Layer{Kind: gobind.LayerPWConv, Input2: sum, Channels: of.Channels, Weights: rows[i], Bias: none, ReLU: last}
			if sum < 0 {
				made.Bias = bias
			}
			if !upsampled || sum < 0 { // with nothing at full size to add to, the first one is upsampled before
				made.Input = l.value(part)
				sum = l.add(made)
				continue
			}
			made.Input, made.Input2, made.ReLU = l.value(l.layer(part).Inputs[0]), -1, false
			sum = l.add(gobind.Layer{Kind: gobind.LayerUpsampleAdd, Input: l.add(made), Input2: sum, ReLU: last})
		}
	}
	return sum
}

// sum is a pointwise layer that adds the other term, where one of the terms is the linear result of one and nobody else wants it; else an upsampling to
// the same size, which changes nothing.
func (l *lowering) sum(of graph.Layer) int {
	x, y := of.Inputs[0], of.Inputs[1]
	for _, terms := range [][2]graph.Value{{x, y}, {y, x}} {
		if l.onlyAdded(terms[1]) {
			return l.pointwise(terms[1], l.value(terms[0]), of.ReLU)
		}
	}
	second := l.value(y)
	return l.add(gobind.Layer{Kind: gobind.LayerUpsampleAdd, Input: l.value(x), Input2: second, ReLU: of.ReLU})
}

// onlyAdded reports whether v is a pointwise layer's linear result that one layer reads and that is not there yet.
func (l *lowering) onlyAdded(v graph.Value) bool {
	if !l.isA(v, graph.Pointwise) || l.readers[v] != 1 || l.made[v] >= 0 {
		return false
	}
	of := l.layer(v)
	return !of.ReLU && !l.isA(of.Inputs[0], graph.Concat)
}
