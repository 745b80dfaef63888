package nn

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/segnas/segnas/gobind"
)

// Param is a learned tensor with its gradient and momentum, three dense arrays of one shape.
type Param struct {
	Name                  string
	Value, Grad, Momentum gobind.Tensor
	Decay                 bool // weight decay applies: convolution weights only

	used gobind.Tensor // view of Value that has a gradient; zero: none
}

// Used returns the view of Value that got a gradient since the last optimiser step, and whether there is one. The rest of Grad is
// meaningless.
func (p *Param) Used() (view gobind.Tensor, ok bool) { return p.used, !p.used.IsZero() }

// like returns the part of target, p.Grad or p.Momentum, that corresponds to a view of p.Value.
func (p *Param) like(target, view gobind.Tensor) gobind.Tensor {
	view.Buffer = target.Buffer
	view.Offset += target.Offset - p.Value.Offset
	return view
}

// Store owns the memory of a network's parameters and running statistics.
type Store struct {
	ctx        *gobind.Context
	stream     *gobind.Stream
	rng        *rand.Rand // nil: parameters stay zero, to be copied or loaded
	chunks     []*gobind.Buffer
	free       int // floats left in the last chunk
	params     []*Param
	norms      []*BatchNorm
	quantisers []*Quantiser
	err        error
}

// NewStore returns an empty store. Weights are drawn from rng (He et al. 2015, fan-in); with a nil rng they stay zero until copied or
// loaded. The first failure while parameters are made is kept: call Finish before use.
func NewStore(ctx *gobind.Context, rng *rand.Rand) (*Store, error) {
	stream, err := ctx.NewStream()
	if err != nil {
		return nil, err
	}
	return &Store{ctx: ctx, stream: stream, rng: rng}, nil
}

// Err returns the first failure.
func (s *Store) Err() error { return s.err }

// Finish waits until the parameters have their first values, so that any stream may use them, and returns the first failure.
func (s *Store) Finish() error {
	if s.err == nil {
		s.note(s.stream.Synchronize())
	}
	return s.err
}

// Close releases the parameters' memory.
func (s *Store) Close() {
	s.stream.Close()
	for _, chunk := range s.chunks {
		chunk.Close()
	}
}

// Params returns the parameters in the order in which they were made.
func (s *Store) Params() []*Param { return s.params }

// Norms returns the batch norms in the order in which they were made.
func (s *Store) Norms() []*BatchNorm { return s.norms }

// Stream is for copies between the host and the parameters while no tape runs.
func (s *Store) Stream() *gobind.Stream { return s.stream }

const (
	chunkFloats = 1 << 18
	lineFloats  = 16 // a cache line of 64 bytes
)

// tensor takes a zeroed tensor from the chunks.
func (s *Store) tensor(shape ...int) gobind.Tensor {
	t := gobind.NewTensor(nil, gobind.F32, 0, shape...)
	need := (t.Elements() + lineFloats - 1) / lineFloats * lineFloats
	if need > s.free {
		size := max(need, chunkFloats)
		chunk, err := s.ctx.NewBuffer(4 * size)
		if err != nil {
			s.note(err)
			return t
		}
		s.chunks, s.free = append(s.chunks, chunk), size
	}
	t.Buffer = s.chunks[len(s.chunks)-1]
	t.Offset = t.Buffer.Bytes()/4 - s.free
	s.free -= need
	return t
}

// note keeps the first failure.
func (s *Store) note(err error) {
	if s.err == nil && err != nil {
		s.err = fmt.Errorf("parameters: %w", err)
	}
}

func (s *Store) param(name string, decay bool, shape ...int) *Param {
	p := &Param{Name: name, Value: s.tensor(shape...), Grad: s.tensor(shape...), Momentum: s.tensor(shape...), Decay: decay}
	s.params = append(s.params, p)
	return p
}

// weight makes a convolution weight, normally distributed with variance 2/fanIn.
func (s *Store) weight(name string, fanIn int, shape ...int) *Param {
	p := s.param(name, true, shape...)
	if s.rng == nil || s.err != nil {
		return p
	}
	deviation := math.Sqrt(2 / float64(fanIn))
	values := make([]float32, p.Value.Elements())
	for i := range values {
		values[i] = float32(s.rng.NormFloat64() * deviation)
	}
	s.upload(p.Value, values)
	return p
}

func (s *Store) constant(t gobind.Tensor, value float32) {
	if s.err == nil {
		s.note(s.stream.Fill(t, value))
	}
}

// identity makes the n x n matrix of a kernel transform that changes nothing.
func (s *Store) identity(name string, n int) *Param {
	p := s.param(name, false, n, n)
	values := make([]float32, n*n)
	for i := range n {
		values[i*n+i] = 1
	}
	s.upload(p.Value, values)
	return p
}

func (s *Store) upload(t gobind.Tensor, values []float32) {
	if s.err == nil {
		s.note(gobind.Upload(s.stream, t, values))
	}
}
