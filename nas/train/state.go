package train

import (
	"math/rand/v2"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/known"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// Capture copies a model's weights and running statistics and, when wanted, the optimiser's momentum into a checkpoint whose other
// fields are left to the caller.
func Capture(m supernet.Model, momentum bool) (Checkpoint, error) {
	state, err := supernet.State(m, momentum)
	if err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{Tensors: make([]safetensors.Tensor, len(state))}
	for i, t := range state {
		c.Tensors[i] = safetensors.Tensor(t)
	}
	return c, nil
}

// Restore sets a model's state to the checkpoint's. Momentum that the checkpoint lacks becomes zero. A checkpoint of a model of
// another make is misuse.
func (c Checkpoint) Restore(m supernet.Model) error {
	state := make([]supernet.NamedTensor, len(c.Tensors))
	for i, t := range c.Tensors {
		state[i] = supernet.NamedTensor(t)
	}
	if err := supernet.Load(m, state); err != nil {
		return misuse.Errorf("the checkpoint does not fit its model: %w", err)
	}
	return nil
}

// Build makes the model that a description describes, with weights drawn from rng; a nil rng leaves them zero, to be restored.
func (d Description) Build(context *gobind.Context, rng *rand.Rand) (supernet.Model, error) {
	switch d.Kind {
	case Elastic:
		return modelOrNil(supernet.NewElastic(context, d.Network, *d.Space, rng))
	case Naive:
		return modelOrNil(supernet.NewNaive(context, d.Network, *d.Space, rng))
	case Known:
		network, err := graph.Named(d.Name, d.Network.Classes)
		if err != nil {
			return nil, err
		}
		return modelOrNil(known.New(context, network, rng))
	default:
		return modelOrNil(supernet.NewPlain(context, d.Network, *d.Arch, rng))
	}
}

// modelOrNil keeps a nil pointer from becoming a Model that is not nil.
func modelOrNil[M supernet.Model](m M, err error) (supernet.Model, error) {
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Open reads a checkpoint file and builds its model, with the moving average of the weights where the training kept one. The caller closes the model.
func Open(context *gobind.Context, path string) (supernet.Model, Checkpoint, error) {
	c, err := LoadFile(path)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	c = c.trained()
	m, err := c.Model.Build(context, nil)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	if err := c.Restore(m); err != nil {
		m.Close()
		return nil, Checkpoint{}, misuse.Errorf("%s: %w", path, err)
	}
	return m, c, nil
}

// OpenNetwork is OpenPlain that opens known networks, too; a must be nil for them.
func OpenNetwork(context *gobind.Context, path string, a *space.Arch) (supernet.Deployable, Checkpoint, error) {
	m, c, err := Open(context, path)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	network, ok := m.(*known.Model)
	if !ok {
		plain, c, err := plainOf(m, c, path, a)
		if err != nil {
			return nil, Checkpoint{}, err
		}
		return plain, c, nil
	}
	if a != nil {
		m.Close()
		return nil, Checkpoint{}, misuse.Errorf("%s holds %s, not %v", path, c.Model.Name, a)
	}
	return network, c, nil
}

// OpenPlain is Open for a network of the search space: a supernet's sub-network a is cut out. A nil a is the checkpoint's own network, and misuse for a
// supernet.
func OpenPlain(context *gobind.Context, path string, a *space.Arch) (*supernet.Plain, Checkpoint, error) {
	m, c, err := Open(context, path)
	if err != nil {
		return nil, Checkpoint{}, err
	}
	return plainOf(m, c, path, a)
}

// plainOf takes m over.
func plainOf(m supernet.Model, c Checkpoint, path string, a *space.Arch) (*supernet.Plain, Checkpoint, error) {
	if plain, ok := m.(*supernet.Plain); ok && (a == nil || *a == plain.Arch()) {
		return plain, c, nil
	}
	defer m.Close()
	switch {
	case c.Model.Kind == Known:
		return nil, Checkpoint{}, misuse.Errorf("%s holds %s, which is no network of the search space; train, eval and segment take it", path, c.Model.Name)
	case a == nil:
		return nil, Checkpoint{}, misuse.Errorf("%s holds a supernet, not one network; eval takes one of its networks with --arch, and a run's winner is in winner.safetensors", path)
	case c.Model.Kind == Plain:
		return nil, Checkpoint{}, misuse.Errorf("%s holds the network %v, not %v", path, c.Model.Arch, a)
	case !c.Model.Space.Contains(*a):
		return nil, Checkpoint{}, misuse.Errorf("%s holds networks of the space %q, and %v is not one of them", path, c.Model.Space, a)
	}
	plain, err := supernet.Cut(m, *a)
	return plain, c, err
}
