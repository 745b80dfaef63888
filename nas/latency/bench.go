package latency

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/nvml"
	"github.com/segnas/segnas/nas/space"
)

const (
	warmWindow  = 4    // runs whose median is compared with that of the runs before
	warmSteady  = 0.02 // medians this close, as a share, are steady
	warmWindows = 16   // windows at most: a machine that never settles is the canary's business
)

// bench measures networks in turns on one device, beside one canary that stays open all the while.
type bench struct {
	dev    Device
	setup  Setup
	opt    Options
	canary canary
	base   *network      // the canary's network, open all the while
	perRun time.Duration // of base, once warm
	watch  *watch        // nil: the device has no card

	turns, rejected, disturbed int // so far, as in Conditions
}

// network is one network while it is measured.
type network struct {
	subject
	runner   Runner
	turns    []turn
	rejected int     // turns
	joules   float64 // of a picture; 0: not measured
}

// subject is what is measured: a network of the space, or any other, of which only whole runs count.
type subject struct {
	name string
	arch space.Arch // zero of another network
	ops  []space.Op // as the runner times them; nil of another network
	open func(context.Context) (Runner, error)
}

// subjectOf is the network of an architecture.
func subjectOf(dev Device, setup Setup, a space.Arch) subject {
	return subject{a.String(), a, setup.ops(a), func(ctx context.Context) (Runner, error) {
		return dev.Open(ctx, setup.Network, setup.as(a), setup.H, setup.W, setup.Batch)
	}}
}

func subjectsOf(dev Device, setup Setup, archs []space.Arch) []subject {
	subjects := make([]subject, len(archs))
	for i, a := range archs {
		subjects[i] = subjectOf(dev, setup, a)
	}
	return subjects
}

// turn is the recorded runs of one network between the canary's visits ends-1 and ends.
type turn struct {
	ends      int
	runs      []Sample
	throttled nvml.Reasons // around it
}

func newBench(ctx context.Context, dev Device, setup Setup, opt Options) (*bench, error) {
	opt = opt.withDefaults()
	b := &bench{dev: dev, setup: setup, opt: opt, canary: canary{tolerance: opt.Tolerance}, watch: watchOf(dev)}
	var err error
	if b.base, b.perRun, err = b.open(ctx, subjectOf(dev, setup, setup.canary())); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *bench) close() error { return b.base.runner.Close() }

// open opens a network, warms it up and returns it with its steady time.
func (b *bench) open(ctx context.Context, s subject) (*network, time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	r, err := s.open(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("open network %s at %dx%d: %w", s.name, b.setup.H, b.setup.W, err)
	}
	n := &network{subject: s, runner: r}
	steady, err := n.warm(ctx)
	if err != nil {
		return nil, 0, errors.Join(err, r.Close())
	}
	return n, steady, nil
}

// run is one run; a device that does not time every operation is a fault of its implementation.
func (n *network) run(ctx context.Context) (Sample, error) {
	if err := ctx.Err(); err != nil {
		return Sample{}, err
	}
	s, err := n.runner.Run()
	if err != nil {
		return Sample{}, fmt.Errorf("run network %s: %w", n.name, err)
	}
	if n.ops != nil && len(s.Ops) != len(n.ops) {
		return Sample{}, fmt.Errorf("run network %s: the device timed %d operations of %d", n.name, len(s.Ops), len(n.ops))
	}
	return s, nil
}

// warm runs the network until the median of a few runs is steady and returns that median.
func (n *network) warm(ctx context.Context) (time.Duration, error) {
	var before float64
	for range warmWindows {
		totals := make([]float64, warmWindow)
		for i := range totals {
			s, err := n.run(ctx)
			if err != nil {
				return 0, err
			}
			totals[i] = float64(s.Total)
		}
		now := metrics.Median(totals)
		steady := before > 0 && max(now, before) <= min(now, before)*(1+warmSteady)
		before = now
		if steady {
			break
		}
	}
	return duration(before), nil
}

// take is a turn: one run that brings the network's weights back into the caches, then the recorded ones.
func (n *network) take(ctx context.Context, count int) ([]Sample, error) {
	if _, err := n.run(ctx); err != nil {
		return nil, err
	}
	runs := make([]Sample, count)
	for i := range runs {
		var err error
		if runs[i], err = n.run(ctx); err != nil {
			return nil, err
		}
	}
	return runs, nil
}

// visit runs the canary once more.
func (b *bench) visit(ctx context.Context) error {
	runs, err := b.base.take(ctx, b.opt.Take)
	if err != nil {
		return err
	}
	level := slices.MinFunc(runs, func(x, y Sample) int { return cmp.Compare(x.Total, y.Total) }).Total
	if level <= 0 {
		return fmt.Errorf("run network %s: the device reports %v for a whole run", b.base.name, level)
	}
	b.canary.levels = append(b.canary.levels, float64(level))
	_, err = b.watch.observe()
	return err
}

// measure opens the networks together, runs them in turns and returns them with turns enough; progress counts the accepted
// turns on top of done.
func (b *bench) measure(ctx context.Context, subjects []subject, progress func(done int, note string)) (nets []*network, err error) {
	defer func() {
		for _, n := range nets {
			err = errors.Join(err, n.runner.Close())
		}
	}()
	progress(0, "warm up")
	for _, s := range subjects {
		n, _, err := b.open(ctx, s)
		if err != nil {
			return nets, err
		}
		nets = append(nets, n)
	}
	if err := b.visit(ctx); err != nil {
		return nets, err
	}
	for range b.opt.Rounds * b.opt.Attempts {
		if err := b.round(ctx, nets); err != nil {
			return nets, err
		}
		if err := b.cool(nets); err != nil {
			return nets, err
		}
		accepted, taken, enough := b.count(nets)
		progress(accepted, b.note(taken))
		if enough {
			break
		}
	}
	for _, n := range nets {
		b.choose(n)
	}
	return nets, b.energies(ctx, nets)
}

// round gives every network one turn, the canary in between as often as Options.Interval asks.
func (b *bench) round(ctx context.Context, nets []*network) error {
	turnTime := max(1, b.perRun*time.Duration(b.opt.Take+1))
	per := int(max(1, b.opt.Interval/turnTime))
	for group := range slices.Chunk(nets, per) {
		for _, n := range group {
			runs, err := n.take(ctx, b.opt.Take)
			if err != nil {
				return err
			}
			throttled, err := b.watch.observe()
			if err != nil {
				return err
			}
			if throttled != 0 {
				b.watch.reject(throttled)
			}
			n.turns = append(n.turns, turn{ends: len(b.canary.levels), runs: runs, throttled: throttled})
		}
		if err := b.visit(ctx); err != nil {
			return err
		}
	}
	return nil
}

// cool ends a measurement that has lost so many turns of a network to throttling that too few can be left in the end.
func (b *bench) cool(nets []*network) error {
	for _, n := range nets {
		throttled := 0
		for _, t := range n.turns {
			if t.throttled != 0 {
				throttled++
			}
		}
		if throttled > b.opt.Rounds*(b.opt.Attempts-1) {
			return b.watch.tooMuch(n, throttled, len(n.turns))
		}
	}
	return nil
}

// count returns the accepted turns, at most Rounds a network, all turns, and whether every network has enough. A better quiet
// level found later takes back earlier acceptance.
func (b *bench) count(nets []*network) (accepted, taken int, enough bool) {
	quiet := b.canary.quiet()
	enough = true
	for _, n := range nets {
		calm := 0
		for _, t := range n.turns {
			if t.throttled == 0 && b.canary.calm(t.ends, quiet) {
				calm++
			}
		}
		accepted += min(calm, b.opt.Rounds)
		taken += len(n.turns)
		enough = enough && calm >= b.opt.Rounds
	}
	return accepted, taken, enough
}

func (b *bench) note(taken int) string {
	last := b.canary.levels[len(b.canary.levels)-1]
	return fmt.Sprintf("%d turns taken, canary %+.0f%%", taken, 100*(last/b.canary.quiet()-1))
}

// choose keeps the network's accepted turns. A machine that was never quiet long enough leaves too few: then the Rounds turns
// beside the least slow canaries are kept, and the network counts as disturbed. Throttled turns are never kept; cool has seen to it that
// others are left.
func (b *bench) choose(n *network) {
	taken := len(n.turns)
	n.turns = slices.DeleteFunc(n.turns, func(t turn) bool { return t.throttled != 0 })
	all := len(n.turns)
	quiet := b.canary.quiet()
	slices.SortStableFunc(n.turns, func(x, y turn) int { return cmp.Compare(b.canary.worst(x.ends), b.canary.worst(y.ends)) })
	calm := 0
	for calm < all && b.canary.calm(n.turns[calm].ends, quiet) {
		calm++
	}
	if calm < b.opt.Rounds {
		calm = min(b.opt.Rounds, all)
		b.disturbed++
	}
	n.turns, n.rejected = n.turns[:calm], taken-calm
	b.turns += taken
	b.rejected += all - calm
}

// scale brings a turn's times to the canary's quiet level.
func (b *bench) scale(t turn) float64 { return b.canary.quiet() / b.canary.noise(t.ends) }

func (b *bench) conditions() Conditions {
	c := b.canary.conditions()
	c.Turns, c.Rejected, c.Disturbed, c.Card = b.turns, b.rejected, b.disturbed, b.watch.conditions()
	return c
}
