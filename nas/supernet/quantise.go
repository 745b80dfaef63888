package supernet

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// Quantised arithmetic (SegQNAS) is imitated where a convolution reads: its input and its weights are fake-quantised, each with clips of its own. A
// block's input is quantised once, for its first convolution and its shortcut, so that between two blocks there is one tensor, of the second's bit
// width. Batch norm, sums, the auxiliary heads, the first convolution and the first depthwise-separable one stay float32, and so do the logits, which are
// upsampled bilinearly; the context branch is upsampled to its nearest neighbours.

// convBits are a convolution's quantisers.
type convBits struct {
	input, weight *nn.Quantiser
	of            *nn.Param // the weight
}

// bitWidths are those that a convolution can be asked for.
type bitWidths struct{ w, a []uint8 }

// only is the bit widths of one network.
func only(b space.Bits) bitWidths { return bitWidths{[]uint8{b.W}, []uint8{b.A}} }

// read returns x and the weights as the convolution takes them.
func (c *convBits) read(t *nn.Tape, x nn.Value, b space.Bits, mode nn.Mode) (nn.Value, nn.WeightBits) {
	if b == (space.Bits{}) {
		return x, nn.WeightBits{}
	}
	return t.FakeQuant(x, c.input, int(b.A), mode), nn.WeightBits{Quantiser: c.weight, Bits: int(b.W)}
}

// readOnly is read of what nothing else reads, which is no longer to be used.
func (c *convBits) readOnly(t *nn.Tape, x nn.Value, b space.Bits, mode nn.Mode) (nn.Value, nn.WeightBits) {
	if b == (space.Bits{}) {
		return x, nn.WeightBits{}
	}
	return t.FakeQuantOnly(x, c.input, int(b.A), mode), nn.WeightBits{Quantiser: c.weight, Bits: int(b.W)}
}

// dropCopy drops what read made of x.
func dropCopy(t *nn.Tape, made, x nn.Value) {
	if made != x {
		t.Drop(made)
	}
}

// addQuantisers gives every quantised convolution its quantisers, of the bit widths that a part outside the blocks, or a block, can have.
func (n *network) addQuantisers(outer func(part int) bitWidths, block func(stage, index int) bitWidths) {
	add := func(weight *nn.Param, signed bool, b bitWidths) *convBits {
		c := &convBits{
			input:  n.store.NewQuantiser(strings.TrimSuffix(weight.Name, ".weight")+".input", signed, b.a),
			weight: n.store.NewQuantiser(weight.Name, true, b.w), of: weight,
		}
		n.bits = append(n.bits, c)
		return c
	}
	sep := func(l *dwSep, signed bool, part int) {
		l.bits = [2]*convBits{add(l.depthwise.Weight, signed, outer(part)), add(l.pointwise.Weight, false, outer(part))}
	}
	sep(&n.stem.sep[1], false, space.OuterStem)
	for s := range n.blocks {
		for i := range n.blocks[s] {
			first := s == 0 && i == 0 // reads the stem, behind a ReLU
			for _, m := range inOrder(n.blocks[s][i]) {
				b := block(s, i)
				m.bits = [3]*convBits{add(m.expand.Weight, !first, b), add(m.depthwise.Weight, false, b), add(m.project.Weight, false, b)}
			}
		}
	}
	sep(&n.detail, false, space.OuterDetail)
	sep(&n.head[0], true, space.OuterHead1)
	sep(&n.head[1], false, space.OuterHead2)
	n.logitsBits = add(n.logits.Weight, false, outer(space.OuterClassifier))
}

// inOrder returns the different blocks of a place, in the order of their shapes.
func inOrder(choices map[space.Block]*mbconv) (all []*mbconv) {
	shapes := slices.SortedFunc(maps.Keys(choices), func(a, b space.Block) int {
		return (int(a.Kernel)-int(b.Kernel))*100 + int(a.Expand) - int(b.Expand)
	})
	for _, shape := range shapes {
		if !slices.Contains(all, choices[shape]) {
			all = append(all, choices[shape])
		}
	}
	return all
}

// quantisersOf returns what adds a supernet's quantisers: every convolution has all bit widths of the space. nil: a space in floating point.
func (n *network) quantisersOf(sp space.Space) func() {
	if !sp.IsQuantised() {
		return nil
	}
	all := bitWidths{sp.Bits, sp.Bits}
	return func() { n.addQuantisers(func(int) bitWidths { return all }, func(int, int) bitWidths { return all }) }
}

// ownQuantisers returns what adds the quantisers of the network's own bit widths; nil: floating point.
func (m *Plain) ownQuantisers() func() {
	if !m.arch.IsQuantised() {
		return nil
	}
	return func() {
		m.addQuantisers(func(part int) bitWidths { return only(m.arch.Outer[part]) },
			func(stage, index int) bitWidths { return only(m.arch.Blocks[stage][index].Bits) })
	}
}

// holdsBits returns an error unless the model has the clips for a's bit widths.
func (n *network) holdsBits(a space.Arch) error {
	if !a.IsQuantised() {
		return nil
	}
	at := n.placing(a)
	check := func(c *convBits, b space.Bits) error {
		if c == nil || c.weight.Clip(int(b.W)) == nil || c.input.Clip(int(b.A)) == nil {
			return fmt.Errorf("the model has no clips for the bit widths of %v", a)
		}
		return nil
	}
	for s, depth := range a.Depth {
		for i, b := range a.Blocks[s][:depth] {
			if err := check(n.blocks[s][at[s][i]][b.Shape()].bits[0], b.Bits); err != nil {
				return err
			}
		}
	}
	for i, c := range [space.OuterParts]*convBits{n.stem.sep[1].bits[0], n.detail.bits[0], n.head[0].bits[0], n.head[1].bits[0], n.logitsBits} {
		if err := check(c, a.Outer[i]); err != nil {
			return err
		}
	}
	return nil
}

// copyFrom copies the clips that both have.
func (c *convBits) copyFrom(t *nn.Tape, from *convBits) {
	if c != nil && from != nil {
		c.input.CopyFrom(t, from.input)
		c.weight.CopyFrom(t, from.weight)
	}
}

// Widest returns the model's architecture of all of its weights, and of the most bits.
func Widest(m Model) (a space.Arch, err error) {
	switch m := m.(type) {
	case *Plain:
		return m.arch, nil
	case *Elastic:
		return m.sp.Largest(), nil
	case *Naive:
		return m.sp.Largest(), nil
	}
	return a, fmt.Errorf("a %T has no architecture", m)
}

// Quantisers returns a model's quantisers; none of one in floating point.
func Quantisers(m Model) []*nn.Quantiser {
	if p, ok := m.(interface{ parts() *network }); ok {
		return p.parts().store.Quantisers()
	}
	return nil
}

// FitWeights fits the weights' clips of a quantised model to its weights.
func FitWeights(m Model) error {
	p, ok := m.(interface{ parts() *network })
	if !ok {
		return nil
	}
	for _, c := range p.parts().bits {
		if err := c.weight.FitWeights(m.Stream(), c.of); err != nil {
			return err
		}
	}
	return m.Stream().Synchronize()
}
