package supernet

import (
	"fmt"

	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

// Cut makes a plain network of the sub-network a of m: it copies the parts of the weights that a uses, transformed kernels made
// permanent, with their running statistics. Run with a, both give the same bits. Momentum begins at zero. The running statistics are those
// of other widths too when m is a supernet: recalibrate before evaluating. Clips that m lacks are zero: they are to be fitted.
func Cut(m Model, a space.Arch) (*Plain, error) {
	source, ok := m.(interface{ parts() *network })
	if !ok {
		return nil, fmt.Errorf("a %T cannot be cut", m)
	}
	from := source.parts()
	if err := from.holds(a.Float()); err != nil {
		return nil, err
	}
	plain, err := NewPlain(from.ctx, from.net, a, nil)
	if err != nil {
		return nil, err
	}
	if err := plain.copyFrom(from); err != nil {
		plain.Close()
		return nil, fmt.Errorf("cutting out %v: %w", a, err)
	}
	return plain, nil
}

func (m *Plain) copyFrom(from *network) error {
	t, err := nn.NewTape(m.ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	m.stem.conv.CopyFrom(t, from.stem.conv)
	for i := range m.stem.sep {
		m.stem.sep[i].copyFrom(t, &from.stem.sep[i])
	}
	at := from.placing(m.arch)
	for s, depth := range m.arch.Depth {
		for i, b := range m.arch.Blocks[s][:depth] {
			m.blocks[s][i][b.Shape()].copyFrom(t, from.blocks[s][at[s][i]][b.Shape()])
		}
	}
	m.detail.copyFrom(t, &from.detail)
	for i := range m.head {
		m.head[i].copyFrom(t, &from.head[i])
	}
	m.logits.CopyFrom(t, from.logits)
	m.logitsBits.copyFrom(t, from.logitsBits)
	for i := range m.aux {
		m.aux[i].sep.copyFrom(t, &from.aux[i].sep)
		m.aux[i].logits.CopyFrom(t, from.aux[i].logits)
	}
	if t.Err() != nil {
		return t.Err()
	}
	return t.Stream().Synchronize()
}

func (l *dwSep) copyFrom(t *nn.Tape, from *dwSep) {
	l.depthwise.CopyFrom(t, from.depthwise)
	l.pointwise.CopyFrom(t, from.pointwise)
	for i, c := range l.bits {
		c.copyFrom(t, from.bits[i])
	}
}

func (m *mbconv) copyFrom(t *nn.Tape, from *mbconv) {
	m.expand.CopyFrom(t, from.expand)
	m.depthwise.CopyFrom(t, from.depthwise)
	m.project.CopyFrom(t, from.project)
	for i, c := range m.bits {
		c.copyFrom(t, from.bits[i])
	}
}
