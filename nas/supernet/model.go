package supernet

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// Outputs are the logits [N,h,w,classes] of a pass, at 1/8 of the picture's size.
type Outputs struct {
	Logits nn.Value
	Aux    []nn.Value // of the auxiliary heads, after the stem and after the fuse, when training; valid until the model's next Forward
}

// Model is a network of one or many architectures. It belongs to one goroutine at a time.
type Model interface {
	// Params returns the learned parameters, in a fixed order.
	Params() []*nn.Param
	// Norms returns the batch norms, whose running statistics are the rest of the model's state.
	Norms() []*nn.BatchNorm
	// Network returns what the model fixes around the searched blocks.
	Network() space.Network
	// Forward runs architecture a on pictures x [N,H,W,3] of any size. An architecture that the model does not hold fails the tape.
	Forward(t *nn.Tape, x nn.Value, a space.Arch, mode nn.Mode) Outputs
	// Stream is for copies between the host and the parameters while no tape runs.
	Stream() *gobind.Stream
	// Close releases the model's memory.
	Close()
}

// Deployable is a Model of one network, which a session can run.
type Deployable interface {
	Model
	// Layers returns the network as a session runs it: batch norm folded, label maps out.
	Layers() ([]gobind.Layer, error)
	// LogitsSize returns the height and width of the logits of a picture of h x w pixels.
	LogitsSize(h, w int) (height, width int)
}

// Elastic is the supernet that shares weights three ways: smaller kernels are transformed centres of the largest, smaller expand ratios
// and depths are prefixes.
type Elastic struct {
	network
	sp space.Space
}

// Naive is the one-shot supernet without sharing: every position of a block has weights of its own for each choice of kernel and expand
// ratio, and all but a stage's first, which changes the size, have a no-op among their choices. That is how depths vary: a block follows upon
// any of those before it. Which positions of a stage are no-ops is drawn once for each network, as a function of it.
type Naive struct {
	network
	sp space.Space
}

// Plain is the network of one architecture.
type Plain struct {
	network
	arch space.Arch
}

// Space returns the architectures that the supernet holds.
func (m *Elastic) Space() space.Space { return m.sp }

// Space returns the architectures that the supernet holds.
func (m *Naive) Space() space.Space { return m.sp }

// Arch returns the network's architecture.
func (m *Plain) Arch() space.Arch { return m.arch }

// network is the parts that all models are made of. They differ in what blocks they have.
type network struct {
	ctx    *gobind.Context
	net    space.Network
	store  *nn.Store
	stem   stem
	blocks [space.Stages][space.MaxDepth]map[space.Block]*mbconv // by shape
	// places returns the positions at which an architecture's blocks stand; nil: the first ones of each stage.
	places     func(space.Arch) placing
	detail     dwSep
	head       [2]dwSep
	logits     *nn.Classifier
	logitsBits *convBits
	bits       []*convBits // of all convolutions; empty: never quantised
	aux        [2]auxHead  // after the stem, after the fuse
	values     [2]nn.Value
}

func (n *network) Params() []*nn.Param    { return n.store.Params() }
func (n *network) Norms() []*nn.BatchNorm { return n.store.Norms() }
func (n *network) Network() space.Network { return n.net }
func (n *network) Stream() *gobind.Stream { return n.store.Stream() }
func (n *network) Close()                 { n.store.Close() }
func (n *network) parts() *network        { return n }

// placing is the position of each kept block of each stage.
type placing [space.Stages][space.MaxDepth]int

// prefix is the placing that keeps the first blocks.
var prefix = func() (p placing) {
	for s := range p {
		for i := range p[s] {
			p[s][i] = i
		}
	}
	return p
}()

func (n *network) placing(a space.Arch) placing {
	if n.places == nil {
		return prefix
	}
	return n.places(a)
}

// scattered places a network's blocks among deepest positions of each stage, in order, the first one first, the others drawn.
func scattered(a space.Arch, deepest [space.Stages]uint8) (p placing) {
	h := fnv.New64a()
	h.Write([]byte(a.Float().String()))
	rng := rand.New(rand.NewPCG(h.Sum64(), 0))
	for s, depth := range a.Depth {
		if depth == 0 || deepest[s] < depth {
			p[s] = prefix[s]
			continue
		}
		others := rng.Perm(int(deepest[s]) - 1)[:depth-1]
		slices.Sort(others)
		for i, at := range others {
			p[s][i+1] = at + 1
		}
	}
	return p
}

// holds returns an error unless the model has all blocks of a.
func (n *network) holds(a space.Arch) error {
	at := n.placing(a)
	for s, depth := range a.Depth {
		for i := range min(depth, space.MaxDepth) {
			if n.blocks[s][at[s][i]][a.Blocks[s][i].Shape()] == nil {
				b := a.Blocks[s][i]
				return fmt.Errorf("the model has no block of kernel %d and expand ratio %d at stage %d block %d, which %v wants", b.Kernel, b.Expand, s+1, i+1, a)
			}
		}
	}
	if err := a.Validate(); err != nil {
		return err
	}
	return n.holdsBits(a)
}

func (n *network) Forward(t *nn.Tape, x nn.Value, a space.Arch, mode nn.Mode) Outputs {
	if err := n.holds(a); err != nil {
		t.Fail(err)
		return Outputs{}
	}
	var out Outputs
	stem := n.stem.forward(t, x, a.Outer[space.OuterStem], mode)
	if mode.Trains() {
		n.values[0] = n.aux[0].forward(t, stem, mode)
	}
	context := n.context(t, stem, a, mode)
	detail := n.detail.forward(t, stem, a.Outer[space.OuterDetail], mode)
	t.Drop(stem)
	fused := t.UpsampleAdd(context, detail, fuseBy(a))
	t.Drop(context)
	if mode.Trains() {
		n.values[1] = n.aux[1].forward(t, fused, mode)
		out.Aux = n.values[:]
	}
	first := n.head[0].forward(t, fused, a.Outer[space.OuterHead1], mode)
	t.Drop(fused)
	second := n.head[1].forward(t, first, a.Outer[space.OuterHead2], mode)
	t.Drop(first)
	last, w := n.logitsBits.readOnly(t, second, a.Outer[space.OuterClassifier], mode)
	out.Logits = n.logits.Quantised(t, last, w, mode)
	t.Drop(last)
	return out
}

// fuseBy is how the context branch is upsampled.
func fuseBy(a space.Arch) gobind.Resize {
	if a.IsQuantised() {
		return gobind.Nearest
	}
	return gobind.Bilinear
}

// context runs the searched branch: as many blocks of each stage as its depth.
func (n *network) context(t *nn.Tape, stem nn.Value, a space.Arch, mode nn.Mode) nn.Value {
	x, at := stem, n.placing(a)
	for s, depth := range a.Depth {
		for i, b := range a.Blocks[s][:depth] {
			y := n.blocks[s][at[s][i]][b.Shape()].forward(t, x, b, mode)
			if x != stem {
				t.Drop(x)
			}
			x = y
		}
	}
	return x
}
