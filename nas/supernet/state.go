package supernet

import (
	"slices"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/nn"
)

// NamedTensor is one dense float32 array of a model's state, innermost axis last.
type NamedTensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// State returns a copy of a model's parameters and running statistics and, when wanted, the optimiser's momentum. The names are unique
// within a model, and a sub-network that was cut out has the names of its supernet's parts. What other streams do to the model must be done:
// streams do not wait for one another.
func State(m Model, momentum bool) ([]NamedTensor, error) {
	var state []NamedTensor
	err := eachTensor(m, momentum, func(s *gobind.Stream, name string, t gobind.Tensor) error {
		entry := NamedTensor{Name: name, Shape: slices.Clone(t.Shape[:t.Rank]), Data: make([]float32, t.Elements())}
		state = append(state, entry)
		return gobind.Download(s, entry.Data, t)
	})
	return state, err
}

// Load sets a model's state to one that State returned for a model of the same make, in any order. Without momentum in it, the momentum
// becomes zero. A missing, surplus or misshapen tensor is misuse, and the model is then as it was.
func Load(m Model, state []NamedTensor) error {
	given := make(map[string]*NamedTensor, len(state))
	for i := range state {
		if given[state[i].Name] != nil {
			return misuse.Errorf("tensor %s is there twice", state[i].Name)
		}
		given[state[i].Name] = &state[i]
	}
	momentum := false
	if params := m.Params(); len(params) > 0 {
		momentum = given[momentumName(params[0])] != nil
	}
	count := 0
	err := eachTensor(m, momentum, func(_ *gobind.Stream, name string, t gobind.Tensor) error {
		count++
		return given[name].fits(name, t)
	})
	if err != nil {
		return err
	}
	if count != len(state) {
		return misuse.Errorf("%d tensors, of which the model has only %d", len(state), count)
	}
	if !momentum {
		if err := clearMomentum(m); err != nil {
			return err
		}
	}
	err = eachTensor(m, momentum, func(s *gobind.Stream, name string, t gobind.Tensor) error {
		return gobind.Upload(s, t, given[name].Data)
	})
	if err != nil {
		return err
	}
	return m.Stream().Synchronize()
}

// fits returns an error unless the entry can be loaded into t.
func (e *NamedTensor) fits(name string, t gobind.Tensor) error {
	switch shape := t.Shape[:t.Rank]; {
	case e == nil:
		return misuse.Errorf("tensor %s is missing", name)
	case !slices.Equal(e.Shape, shape):
		return misuse.Errorf("tensor %s has shape %v, the model's has %v", name, e.Shape, shape)
	case len(e.Data) != t.Elements():
		return misuse.Errorf("tensor %s holds %d values, its shape %v needs %d", name, len(e.Data), shape, t.Elements())
	}
	return nil
}

func momentumName(p *nn.Param) string { return p.Name + ".momentum" }

// eachTensor visits the tensors of a model's state in a fixed order.
func eachTensor(m Model, momentum bool, visit func(s *gobind.Stream, name string, t gobind.Tensor) error) error {
	s := m.Stream()
	for _, p := range m.Params() {
		if err := visit(s, p.Name, p.Value); err != nil {
			return err
		}
		if !momentum {
			continue
		}
		if err := visit(s, momentumName(p), p.Momentum); err != nil {
			return err
		}
	}
	for _, b := range m.Norms() {
		if err := visit(s, b.Name+".mean", b.Mean); err != nil {
			return err
		}
		if err := visit(s, b.Name+".variance", b.Variance); err != nil {
			return err
		}
	}
	return nil
}

func clearMomentum(m Model) error {
	s := m.Stream()
	for _, p := range m.Params() {
		if err := s.Fill(p.Momentum, 0); err != nil {
			return err
		}
	}
	return nil
}
