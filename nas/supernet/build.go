package supernet

import (
	"fmt"
	"math/rand/v2"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// NewElastic builds the sharing supernet for a space, with weights drawn from rng. A nil rng leaves them zero, to be loaded.
func NewElastic(ctx *gobind.Context, net space.Network, sp space.Space, rng *rand.Rand) (*Elastic, error) {
	if err := sp.Validate(); err != nil {
		return nil, err
	}
	m := &Elastic{sp: sp}
	largest := sp.Largest()
	err := m.build(ctx, net, rng, func(s *nn.Store, stage, index int, at blockPlace) map[space.Block]*mbconv {
		if index >= int(largest.Depth[stage]) {
			return nil
		}
		shared := newMBConv(s, at, largest.Blocks[stage][index], int(sp.Kernels[0]))
		choices := map[space.Block]*mbconv{}
		for _, b := range sp.Float().Choices() {
			choices[b] = shared
		}
		return choices
	}, m.quantisersOf(sp))
	if err != nil {
		return nil, err
	}
	return m, nil
}

// NewNaive builds the supernet without sharing for a space, with weights drawn from rng. A nil rng leaves them zero, to be loaded.
func NewNaive(ctx *gobind.Context, net space.Network, sp space.Space, rng *rand.Rand) (*Naive, error) {
	if err := sp.Validate(); err != nil {
		return nil, err
	}
	m := &Naive{sp: sp}
	deepest := sp.Largest().Depth
	m.places = func(a space.Arch) placing { return scattered(a, deepest) }
	err := m.build(ctx, net, rng, func(s *nn.Store, stage, index int, at blockPlace) map[space.Block]*mbconv {
		choices := map[space.Block]*mbconv{}
		if index >= int(deepest[stage]) {
			return choices
		}
		name := at.name
		for _, b := range sp.Float().Choices() {
			at.name = fmt.Sprintf("%s.k%de%d", name, b.Kernel, b.Expand)
			choices[b] = newMBConv(s, at, b, int(b.Kernel))
		}
		return choices
	}, m.quantisersOf(sp))
	if err != nil {
		return nil, err
	}
	return m, nil
}

// NewPlain builds the network of one architecture, with weights drawn from rng. A nil rng leaves them zero, to be loaded.
func NewPlain(ctx *gobind.Context, net space.Network, a space.Arch, rng *rand.Rand) (*Plain, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	m := &Plain{arch: a}
	err := m.build(ctx, net, rng, func(s *nn.Store, stage, index int, at blockPlace) map[space.Block]*mbconv {
		if index >= int(a.Depth[stage]) {
			return nil
		}
		b := a.Blocks[stage][index]
		return map[space.Block]*mbconv{b.Shape(): newMBConv(s, at, b, int(b.Kernel))}
	}, m.ownQuantisers())
	if err != nil {
		return nil, err
	}
	return m, nil
}

// blockMaker makes the blocks that can stand at a place, by their shapes.
type blockMaker func(s *nn.Store, stage, index int, at blockPlace) map[space.Block]*mbconv

// build makes all parts, and last, where they are wanted, the quantisers. After an error nothing is left to close.
func (n *network) build(ctx *gobind.Context, net space.Network, rng *rand.Rand, blocks blockMaker, quantisers func()) error {
	if err := net.Validate(); err != nil {
		return err
	}
	s, err := nn.NewStore(ctx, rng)
	if err != nil {
		return err
	}
	n.ctx, n.net, n.store = ctx, net, s
	n.stem = newStem(s)
	for stage, row := range places(net) {
		for index, at := range row {
			n.blocks[stage][index] = blocks(s, stage, index, at)
		}
	}
	width := net.Widths[space.Stages-1]
	n.detail = newDWSep(s, "detail", space.StemChannels, width, 1)
	n.head = [2]dwSep{newDWSep(s, "head.sep1", width, width, 1), newDWSep(s, "head.sep2", width, width, 1)}
	n.logits = s.NewClassifier("head.classifier", width, net.Classes)
	n.aux = [2]auxHead{newAuxHead(s, "aux.stem", space.StemChannels, net.Classes), newAuxHead(s, "aux.fuse", width, net.Classes)}
	if quantisers != nil {
		quantisers()
	}
	if err := s.Finish(); err != nil {
		s.Close()
		return err
	}
	return nil
}
