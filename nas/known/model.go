// Package known trains and deploys the networks of package graph, those that searched networks are compared with: their models take part in training,
// evaluation and checkpoints as supernet's do.
package known

import (
	"fmt"
	"math/rand/v2"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// Model is a known network with its weights. It implements supernet.Model; as there, it belongs to one goroutine at a time.
type Model struct {
	graph  graph.Network
	store  *nn.Store
	layers []layer
	last   []int // layer that reads a value's numbers last at inference; -1: none
	values []nn.Value
	aux    []nn.Value
}

// layer is what a layer of the graph has learned: at most one of these.
type layer struct {
	dense      *nn.ConvBN
	depthwise  *nn.DWConvBN
	pointwise  *nn.PWConvBN
	classifier *nn.Classifier
}

// New builds a network with weights drawn from rng. A nil rng leaves them zero, to be loaded.
func New(ctx *gobind.Context, network graph.Network, rng *rand.Rand) (*Model, error) {
	store, err := nn.NewStore(ctx, rng)
	if err != nil {
		return nil, err
	}
	values := len(network.Layers) + 1
	m := &Model{
		graph: network, store: store, layers: make([]layer, values-1), last: make([]int, values),
		values: make([]nn.Value, values), aux: make([]nn.Value, len(network.Aux)),
	}
	shapes := network.Shapes(1, 1)
	for v := range m.last {
		m.last[v] = -1
	}
	for i, l := range network.Layers {
		m.layers[i] = newLayer(store, l, shapes[l.Inputs[0]].C)
		for _, v := range l.Numbers() {
			if !l.Training {
				m.last[v] = i
			}
		}
	}
	if err := store.Finish(); err != nil {
		store.Close()
		return nil, err
	}
	return m, nil
}

func newLayer(s *nn.Store, l graph.Layer, in int) (made layer) {
	switch {
	case l.Kind == graph.Conv3x3:
		made.dense = s.NewConvBN(l.Name, in, l.Channels, l.Stride)
	case l.Kind == graph.Depthwise:
		made.depthwise = s.NewDWConvBN(l.Name, in, l.Kernel, l.Kernel, l.Stride)
		made.depthwise.Dilation, made.depthwise.Linear = l.Dilation, !l.ReLU
	case l.Kind == graph.Pointwise && l.Bias:
		made.classifier = s.NewClassifier(l.Name, in, l.Channels)
	case l.Kind == graph.Pointwise:
		made.pointwise = s.NewPWConvBN(l.Name, in, l.Channels, l.ReLU)
	}
	return made
}

// Graph returns the network that the model is of.
func (m *Model) Graph() graph.Network { return m.graph }

// Params returns the learned parameters, those of auxiliary heads included, in a fixed order.
func (m *Model) Params() []*nn.Param { return m.store.Params() }

// Norms returns the batch norms in a fixed order.
func (m *Model) Norms() []*nn.BatchNorm { return m.store.Norms() }

// Stream implements supernet.Model.
func (m *Model) Stream() *gobind.Stream { return m.store.Stream() }

// Network returns the number of classes in the form that supernet.Model wants; nothing else of it is said of this network.
func (m *Model) Network() space.Network { return space.DefaultNetwork(m.graph.Classes) }

// Close releases the model's memory.
func (m *Model) Close() { m.store.Close() }

// Forward runs the network on pictures x [N,H,W,3] of any size; the logits have the size of the graph's last value. There is one architecture, so the
// argument is not looked at.
func (m *Model) Forward(t *nn.Tape, x nn.Value, _ space.Arch, mode nn.Mode) supernet.Outputs {
	m.values[graph.Picture] = x
	for i, l := range m.graph.Layers {
		if l.Training && !mode.Trains() {
			continue
		}
		m.values[i+1] = m.run(t, i, mode)
		if t.Err() != nil {
			return supernet.Outputs{}
		}
		for _, v := range l.Numbers() {
			if v != graph.Picture && m.last[v] == i && !mode.Trains() {
				t.Drop(m.values[v])
			}
		}
	}
	out := supernet.Outputs{Logits: m.values[m.graph.Logits]}
	if mode.Trains() {
		for i, v := range m.graph.Aux {
			m.aux[i] = m.values[v]
		}
		out.Aux = m.aux
	}
	return out
}

// run runs layer i.
func (m *Model) run(t *nn.Tape, i int, mode nn.Mode) nn.Value {
	l, learned := m.graph.Layers[i], m.layers[i]
	x := m.values[l.Inputs[0]]
	h, w := x.Size()
	switch l.Kind {
	case graph.Conv3x3:
		return learned.dense.Forward(t, x, mode)
	case graph.Depthwise:
		return learned.depthwise.Forward(t, x, l.Kernel, mode)
	case graph.Pointwise:
		if l.Bias {
			return learned.classifier.Forward(t, x, mode)
		}
		return learned.pointwise.Forward(t, x, l.Channels, mode)
	case graph.AvgPool:
		return t.AvgPool(x, min(l.Kernel, h), min(l.Kernel, w))
	case graph.Upsample:
		h, w = m.values[l.Inputs[1]].Size()
		return t.Upsample(x, h, w)
	case graph.Add:
		return m.sum(t, x, m.values[l.Inputs[1]], l.ReLU)
	case graph.Concat:
		return m.concat(t, x, l.Inputs[1:], mode)
	}
	t.Fail(fmt.Errorf("a layer of unknown kind %d", l.Kind))
	return x
}

func (m *Model) sum(t *nn.Tape, x, y nn.Value, relu bool) nn.Value {
	sum := t.Add(x, y)
	if !relu {
		return sum
	}
	positive := t.ReLU(sum)
	t.Drop(sum)
	return positive
}

// concat joins values pair by pair; they are small where networks do so.
func (m *Model) concat(t *nn.Tape, x nn.Value, more []graph.Value, mode nn.Mode) nn.Value {
	for i, v := range more {
		joined := t.Concat(x, m.values[v])
		if i > 0 && !mode.Trains() {
			t.Drop(x)
		}
		x = joined
	}
	return x
}
