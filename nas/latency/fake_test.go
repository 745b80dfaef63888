package latency

import (
	"context"
	"errors"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"time"

	"github.com/segnas/segnas/nas/nvml"
	"github.com/segnas/segnas/nas/space"
)

// fakeDevice runs networks on a simulated clock: an operation takes a time that its key fixes, times the machine's slowness at
// that moment, times the operation's own noise.
type fakeDevice struct {
	id       Identity
	rng      *rand.Rand // nil: no noise
	now      time.Duration
	slowness func(now time.Duration) float64 // nil: none
	overhead time.Duration                   // of a run, beside its operations
	noise    float64                         // standard deviation of an operation's time, as a share
	spikes   float64                         // probability that an operation is interrupted
	short    bool                            // forgets to time the last operation
	opens    map[space.Arch]int
	open     int
	runs     int
	stopAt   int // the run that fails; 0: none
	card     *fakeCard
}

var errStopped = errors.New("stopped")

func newFake() *fakeDevice {
	return &fakeDevice{
		id:       Identity{Kind: "cpu", CPU: "Fake 9000", ISA: "avx2", Threads: 2, Library: "aaaa"},
		overhead: 80 * time.Microsecond, opens: map[space.Arch]int{},
	}
}

// noisy is a device like a shared virtual machine: 3 % noise, spikes, a clock that drifts by a tenth.
func noisy(seed uint64) *fakeDevice {
	d := newFake()
	d.rng = rand.New(rand.NewPCG(seed, 1))
	d.noise, d.spikes = 0.03, 0.02
	d.slowness = func(now time.Duration) float64 { return 1.05 + 0.05*math.Sin(now.Seconds()/3) }
	return d
}

func (d *fakeDevice) setup() Setup {
	return Setup{Identity: d.id, Network: space.DefaultNetwork(19), H: 90, W: 120, Batch: 1}
}

func (d *fakeDevice) Identity() Identity { return d.id }

func (d *fakeDevice) Card() nvml.Card {
	if d.card == nil {
		return nil
	}
	return d.card
}

func (d *fakeDevice) Open(ctx context.Context, net space.Network, a space.Arch, h, w, batch int) (Runner, error) {
	d.opens[a]++
	d.open++
	return &fakeRunner{device: d, ops: net.Ops(a, h, w)}, nil
}

type fakeRunner struct {
	device *fakeDevice
	ops    []space.Op
	cold   int // runs before the steady state are slower
}

func (r *fakeRunner) Close() error { r.device.open--; return nil }

func (r *fakeRunner) Run() (Sample, error) {
	d := r.device
	d.runs++
	if d.runs == d.stopAt {
		return Sample{}, errStopped
	}
	s := Sample{Total: d.overhead, Ops: make([]time.Duration, len(r.ops))}
	for i, op := range r.ops {
		t := float64(trueTime(op))
		if d.slowness != nil {
			t *= d.slowness(d.now + s.Total)
		}
		if d.rng != nil {
			t *= math.Exp(d.noise * d.rng.NormFloat64())
			if d.rng.Float64() < d.spikes {
				t *= 1.5
			}
		}
		if r.cold < 3 {
			t *= 2
		}
		s.Ops[i] = time.Duration(t)
		s.Total += s.Ops[i]
	}
	r.cold++
	d.now += s.Total
	if d.card != nil {
		d.card.joules += d.card.watts * s.Total.Seconds()
	}
	if d.short {
		s.Ops = s.Ops[:len(s.Ops)-1]
	}
	return s, nil
}

// trueTime is 5 to 15 multiply-adds a nanosecond, which the key decides, and 20 us for operations without any.
func trueTime(op space.Op) time.Duration {
	h := fnv.New32a()
	h.Write([]byte(op.Key()))
	perNS := 5 + float64(h.Sum32()%1000)/100
	return 20*time.Microsecond + time.Duration(float64(op.MACs())/perNS)
}

// trueTotal is the quiet machine's time of a whole run, and of the searched blocks.
func (d *fakeDevice) trueTotal(a space.Arch) (total, searched time.Duration) {
	s := d.setup()
	total = d.overhead
	for _, op := range s.ops(a) {
		total += trueTime(op)
		if op.Kind == space.MBConv {
			searched += trueTime(op)
		}
	}
	return total, searched
}

// bursts is a busy neighbour: every period it takes its share of the machine for a while.
func bursts(period, length time.Duration, slowness float64) func(time.Duration) float64 {
	return func(now time.Duration) float64 {
		if now%period < length {
			return slowness
		}
		return 1
	}
}
