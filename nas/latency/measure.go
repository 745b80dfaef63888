package latency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// Measurement is one network's measured time for a batch.
type Measurement struct {
	Arch     space.Arch `json:"arch"`
	Total    Stats      `json:"total"`    // the whole run
	Searched Stats      `json:"searched"` // the searched blocks of it together
	// Joules is the energy of a picture, idle parts of the card included, where the card counts it.
	Joules float64 `json:"joules,omitempty"`
}

// MeasureNetworks measures networks in turns, Options.Together of them at a time, by the table's own estimator. The result has an
// entry for each of archs, in order; an architecture that occurs twice is measured once.
func MeasureNetworks(ctx context.Context, dev Device, setup Setup, archs []space.Arch, opt Options) (ms []Measurement, cond Conditions, err error) {
	var distinct []space.Arch
	place := map[space.Arch]int{}
	for _, a := range archs {
		if _, seen := place[a]; !seen {
			place[a] = len(distinct)
			distinct = append(distinct, a)
		}
	}
	found, cond, err := measureEach(ctx, dev, setup, subjectsOf(dev, setup, distinct), opt, func(*bench, []*network, []Measurement) error { return nil })
	if err != nil {
		return nil, cond, err
	}
	for _, a := range archs {
		ms = append(ms, found[place[a]])
	}
	return ms, cond, nil
}

// Contender is any network that is measured whole beside those of the space.
type Contender struct {
	Name string
	Open func(context.Context) (Runner, error)
}

// MeasureContenders measures networks as MeasureNetworks does, beside the same canary; the times are in the contenders' order.
func MeasureContenders(ctx context.Context, dev Device, setup Setup, contenders []Contender, opt Options) (times []Stats, cond Conditions, err error) {
	subjects := make([]subject, len(contenders))
	for i, c := range contenders {
		subjects[i] = subject{name: c.Name, open: c.Open}
	}
	found, cond, err := measureEach(ctx, dev, setup, subjects, opt, func(*bench, []*network, []Measurement) error { return nil })
	for _, m := range found {
		times = append(times, m.Total)
	}
	return times, cond, err
}

// measureEach measures the networks in groups of about equal size, and calls finish with every group and its measurements.
func measureEach(ctx context.Context, dev Device, setup Setup, subjects []subject, opt Options,
	finish func(b *bench, nets []*network, ms []Measurement) error) (ms []Measurement, cond Conditions, err error) {
	if len(subjects) == 0 {
		return nil, Conditions{}, nil
	}
	if err := setup.check(dev); err != nil {
		return nil, Conditions{}, err
	}
	b, err := newBench(ctx, dev, setup, opt)
	if err != nil {
		return nil, Conditions{}, err
	}
	defer func() { err = errors.Join(b.watch.explain(err), b.close()) }()
	total, most := b.opt.Rounds*len(subjects), 0
	if err := b.watch.settle(ctx, b.base, func(note string) { b.opt.Progress(0, total, note) }); err != nil {
		return nil, Conditions{}, err
	}
	var levels []float64 // quiet level to which each measurement is scaled
	groups := evenly(subjects, b.opt.Together)
	for i, group := range groups {
		before := b.opt.Rounds * len(ms)
		progress := func(done int, note string) {
			most = max(most, before+done) // a better quiet level takes turns back
			b.opt.Progress(most, total, fmt.Sprintf("pass %d of %d, %s", i+1, len(groups), note))
		}
		nets, err := b.measure(ctx, group, progress)
		if err != nil {
			return nil, Conditions{}, err
		}
		for _, n := range nets {
			ms = append(ms, b.measurement(n))
			levels = append(levels, b.canary.quiet())
		}
		progress(b.opt.Rounds*len(group), "done")
		if err := finish(b, nets, ms[len(ms)-len(nets):]); err != nil {
			return nil, Conditions{}, err
		}
	}
	for i := range ms {
		to := b.canary.quiet() / levels[i]
		ms[i].Total, ms[i].Searched = ms[i].Total.Scaled(to), ms[i].Searched.Scaled(to)
	}
	return ms, b.conditions(), nil
}

// check refuses a device that is not the setup's, and sizes that no network can have.
func (s Setup) check(dev Device) error {
	if id := dev.Identity(); id != s.Identity {
		return fmt.Errorf("measure on %v for a setup of %v", id, s.Identity)
	}
	return s.validate()
}

func (s Setup) validate() error {
	if s.H < 1 || s.W < 1 || s.Batch < 1 {
		return misuse.Errorf("batches of %d pictures of %dx%d: all three must be at least 1", s.Batch, s.H, s.W)
	}
	return s.Network.Validate()
}

// evenly cuts subjects into the fewest groups of at most size, as equal as can be.
func evenly(subjects []subject, size int) [][]subject {
	count := (len(subjects) + size - 1) / size
	groups := make([][]subject, count)
	for i := range groups {
		groups[i] = subjects[i*len(subjects)/count : (i+1)*len(subjects)/count]
	}
	return groups
}

func (b *bench) measurement(n *network) Measurement {
	var total, searched pool
	for _, t := range n.turns {
		for _, run := range t.runs {
			total.add(run.Total, b.scale(t))
			searched.add(searchedPart(n.ops, run), b.scale(t))
		}
	}
	total.rejected = n.rejected * b.opt.Take
	searched.rejected = total.rejected
	return Measurement{Arch: n.arch, Total: total.stats(), Searched: searched.stats(), Joules: n.joules}
}

// searchedPart is the time of the searched blocks in one run of the operations.
func searchedPart(ops []space.Op, run Sample) time.Duration {
	var sum time.Duration
	for i, op := range ops {
		if op.Kind == space.MBConv {
			sum += run.Ops[i]
		}
	}
	return sum
}
