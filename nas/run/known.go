package run

import (
	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/known"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// archIn returns the architecture of a network of the search space, and of a known network the zero Arch, which it runs as well as any.
func archIn(m supernet.Model) space.Arch {
	if plain, ok := m.(*supernet.Plain); ok {
		return plain.Arch()
	}
	return space.Arch{}
}

// networkName is a known network's name, or an architecture's text.
func networkName(m supernet.Model) string {
	if k, ok := m.(*known.Model); ok {
		return k.Graph().Name
	}
	return archIn(m).String()
}

// checkNetwork refuses a known network that is none, or that comes with an architecture.
func checkNetwork(name string, withArch bool) error {
	if name == "" {
		return nil
	}
	if withArch {
		return misuse.Errorf("--network %s and --arch name a network each; give one of the two", name)
	}
	if _, err := graph.Named(name, 2); err != nil {
		return misuse.Errorf("--network: %w", err)
	}
	return nil
}

// aboutKnown describes a known network for its checkpoints.
func (p *pipeline) aboutKnown(name string) train.Description {
	d := p.about(train.Known, nil)
	d.Space, d.Name, d.Network = nil, name, space.DefaultNetwork(p.net.Classes)
	return d
}
