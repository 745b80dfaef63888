package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/nvml"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// pictureChannels are red, green and blue.
const pictureChannels = 3

// sessionDevice measures deployed networks: the very sessions that segment pictures.
type sessionDevice struct {
	context  *gobind.Context
	identity latency.Identity
	session  gobind.SessionOptions
	card     nvml.Card
}

// device is the machine as networks of a space are measured on it.
func (m *machine) device(sp space.Space) sessionDevice {
	return sessionDevice{m.context, m.measures(sp), m.session, m.card}
}

// Card implements latency.Carded.
func (d sessionDevice) Card() nvml.Card { return d.card }

// Identity implements latency.Device.
func (d sessionDevice) Identity() latency.Identity { return d.identity }

// randomNetwork makes a network to be measured. To the time in integers it matters how many weights are large: clips are fitted as a training's first ones are.
func randomNetwork(context *gobind.Context, net space.Network, a space.Arch, rng *rand.Rand) (*supernet.Plain, error) {
	model, err := supernet.NewPlain(context, net, a, rng)
	if err != nil {
		return nil, err
	}
	if err := supernet.FitWeights(model); err != nil {
		model.Close()
		return nil, err
	}
	return model, nil
}

// Open implements latency.Device. The network's weights and its picture are random.
func (d sessionDevice) Open(_ context.Context, net space.Network, a space.Arch, h, w, batch int) (latency.Runner, error) {
	rng := rand.New(rand.NewPCG(1, 1))
	model, err := randomNetwork(d.context, net, a, rng)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	how := d.session
	if a.IsQuantised() {
		how.Precision = gobind.Int8
	}
	session, err := deploy(d.context, model, batch, h, w, how)
	if err != nil {
		return nil, err
	}
	if ops := len(net.Ops(a, h, w)); session.Groups() != ops {
		session.Close()
		return nil, fmt.Errorf("the deployed network of %v has %d timing groups for %d operations", a, session.Groups(), ops)
	}
	return d.runner(session, batch, h, w, rng), nil
}

// runner runs a session on random pictures.
func (d sessionDevice) runner(session *gobind.Session, batch, h, w int, rng *rand.Rand) *sessionRunner {
	r := &sessionRunner{
		session: session, input: make([]float32, batch*h*w*pictureChannels),
		labels: make([]uint8, session.OutputBytes()), groups: make([]time.Duration, session.Groups()),
		events: d.identity.Kind != cpuDevice,
	}
	for i := range r.input {
		r.input[i] = 4*rng.Float32() - 2 // the range of normalised pictures
	}
	return r
}

// deploy plans a network for pictures of one size.
func deploy(context *gobind.Context, model supernet.Deployable, batch, h, w int, o gobind.SessionOptions) (*gobind.Session, error) {
	layers, err := model.Layers()
	if err != nil {
		return nil, err
	}
	return context.NewSession(layers, batch, h, w, pictureChannels, o)
}

type sessionRunner struct {
	session *gobind.Session
	input   []float32
	labels  []uint8
	groups  []time.Duration // of the last run
	events  bool            // a GPU's: the groups lie between one run's events without a gap, and the host's clock counts for nothing
}

// Run implements latency.Runner.
func (r *sessionRunner) Run() (latency.Sample, error) {
	start := time.Now()
	if err := r.session.Run(r.input, r.labels, r.groups); err != nil {
		return latency.Sample{}, err
	}
	s := latency.Sample{Total: time.Since(start), Ops: append([]time.Duration(nil), r.groups...)}
	if r.events {
		s.Total = 0
		for _, group := range s.Ops {
			s.Total += group
		}
	}
	return s, nil
}

// Close implements latency.Runner.
func (r *sessionRunner) Close() error {
	r.session.Close()
	return nil
}
