package run

import (
	"context"
	"fmt"
	"slices"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/quant"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/space"
)

// Columns of quantised networks.
const (
	bitOpsColumn = "bit operations"
	bytesColumn  = "model"
)

// bitOpShares are the searches' limits, as shares of the bit operations of the baseline at 8 bits: the two published points, 240 and 200 of 432 G.
var bitOpShares = []float64{0.556, 0.463}

// uniformBits are the widths of the hand-made choices, the one that others are compared with first.
var uniformBits = []uint8{8, 6, 4}

// quantisedAblation asks what few bits cost, and what a search of architectures and bit widths together gets back (SegQNAS). All networks are cut out
// of one supernet, which is trained in floating point first, and retrained alike.
func quantisedAblation() ablation {
	a := ablation{
		name: "quantised", use: "few bits: the baseline with the same widths throughout, and networks whose widths were searched with their architecture",
		columns:  []column{miouOn(reportedSplit), {latencyColumn, "ms"}, {bitOpsColumn, "G"}, {bytesColumn, "KB"}, {macsColumn, "G"}, {"parameters", "M"}},
		conclude: concludeQuantised,
	}
	for _, bits := range uniformBits {
		a.variants = append(a.variants, variant{
			name: fmt.Sprintf("%d-bit", bits), what: fmt.Sprintf("the baseline, weights and activations of %d bits", bits),
			score: fixedFinal(space.Baseline().Quantised(space.Bits{W: bits, A: bits})),
		})
	}
	a.variants = append(a.variants, variant{name: "float", what: "the baseline in floating point", score: fixedFinal(space.Baseline())})
	for _, share := range bitOpShares {
		a.variants = append(a.variants, variant{
			name: fmt.Sprintf("searched-%g", share), what: fmt.Sprintf("evolution's best of at most %g of the 8-bit baseline's bit operations", share),
			score: searchedBits(share),
		})
	}
	for i := range a.variants {
		a.variants[i].change = func(c *Config) {
			c.Space = withUniformBits(c.Space)
			c.learnBits()
		}
	}
	return a
}

func withUniformBits(sp space.Space) space.Space {
	sp.Bits = slices.Sorted(slices.Values(uniformBits))
	return sp
}

// fixedFinal cuts out and trains a network that was not searched.
func fixedFinal(a space.Arch) scorer {
	return func(p *pipeline, ctx context.Context, name string) (cell, error) {
		c, err := p.cutAndTrain(ctx, name, func(*pipeline, *sharedSupernet) (space.Arch, error) { return a, nil })
		return p.withBits(c), err
	}
}

// searchedBits searches within a share of the 8-bit baseline's bit operations, and trains what was found.
func searchedBits(share float64) scorer {
	return func(p *pipeline, ctx context.Context, name string) (cell, error) {
		c, err := p.cutAndTrain(ctx, name, func(q *pipeline, s *sharedSupernet) (space.Arch, error) {
			c := q.cfg
			c.Limits = Limits{BitOps: share * float64(quant.BitOps(q.net, space.Baseline().Quantised(space.Bits{W: 8, A: 8}), c.Height, c.Width))}
			found, err := q.sharedSearch(ctx, "", s, c.Search, countedLimits(c, q.net))
			if err != nil {
				return space.Arch{}, err
			}
			return found.Best.Arch, nil
		})
		return p.withBits(c), err
	}
}

// withBits adds a network's bit operations and bytes.
func (p *pipeline) withBits(c cell) cell {
	if c.Arch != nil {
		c.More[bitOpsColumn] = float64(quant.BitOps(p.net, *c.Arch, p.cfg.Height, p.cfg.Width)) / 1e9
		c.More[bytesColumn] = float64(quant.ModelBytes(p.net, *c.Arch)) / 1e3
	}
	return c
}

// timeQuantised measures the networks as they run: with bit widths in integers. A device that cannot leaves the latencies out.
func timeQuantised(p *pipeline, ctx context.Context, a *Ablated) error {
	sp := withUniformBits(p.cfg.Space)
	setup, err := p.machine.setup(sp, p.net, p.cfg.Height, p.cfg.Width, p.streams.Err)
	if err != nil || setup.Identity.Precision != latency.Integers {
		return err
	}
	archs := a.archsOf()
	t, err := p.timeOnce(measuredFile, archs, func() (*measured, error) { return p.inTurns(ctx, sp, setup, archs) })
	if err != nil {
		return err
	}
	a.Device = setup.Identity
	a.fillLatency(t)
	a.Notes = append(a.Notes, fmt.Sprintf("Latencies are measured in integers (%s), that of the network in floating point in %v.", latency.Integers, p.machine.session.Precision))
	return nil
}

// concludeQuantised measures the networks, plots accuracy against time, bit operations and bytes, and tells where the searches took bits away.
func concludeQuantised(p *pipeline, ctx context.Context, a *Ablated) error {
	if err := timeQuantised(p, ctx, a); err != nil {
		return err
	}
	for _, of := range []column{{latencyColumn, "ms"}, {bitOpsColumn, "G"}, {bytesColumn, "KB"}} {
		f := report.Figure{Title: "Accuracy against " + of.Name + ", mean and standard deviation of a seed", XLabel: of.Name + " " + of.Unit, YLabel: "mIoU %, reported pictures"}
		for _, r := range a.Rows {
			if x := r.More[of.Name]; x > 0 {
				f.Series = append(f.Series, report.Series{Name: r.Variant, Dots: true, X: []float64{x}, Y: []float64{100 * r.Mean}, Error: []float64{100 * r.SD}})
			}
		}
		if len(f.Series) > 0 {
			a.Figures = append(a.Figures, f)
		}
	}
	table := report.Table{Title: "Bits of weights / activations, mean over the blocks and the seeds",
		Header: []string{"variant", "stage 1", "stage 2", "stage 3", "stem's end", "detail", "head 1", "head 2", "classifier", "depths", "expand ratio", "5x5 kernels %"}}
	for _, r := range a.Rows {
		var archs []space.Arch
		for _, c := range a.ofSeeds(r.Variant) {
			if c.Arch != nil && c.Arch.IsQuantised() {
				archs = append(archs, *c.Arch)
			}
		}
		if len(archs) > 0 {
			table.Rows = append(table.Rows, append([]string{r.Variant}, bitPolicy(archs)...))
		}
		a.Networks = append(a.Networks, drawn(r.Variant, a.ofSeeds(r.Variant), a.seeds()[0])...)
	}
	a.Tables = append(a.Tables, table)
	return nil
}

// meanBits adds up bit widths.
type meanBits struct{ w, a, n float64 }

func (m *meanBits) add(b space.Bits) { m.w, m.a, m.n = m.w+float64(b.W), m.a+float64(b.A), m.n+1 }
func (m *meanBits) String() string   { return fmt.Sprintf("%.1f / %.1f", m.w/m.n, m.a/m.n) }

// bitPolicy is the mean of several networks' choices: a cell a column of concludeQuantised's table.
func bitPolicy(archs []space.Arch) (cells []string) {
	var stages [space.Stages]meanBits
	var outer [space.OuterParts]meanBits
	var depths [space.Stages]float64
	var blocks, expands, wide float64
	for _, a := range archs {
		for s, depth := range a.Depth {
			depths[s] += float64(depth)
			for _, b := range a.Blocks[s][:depth] {
				stages[s].add(b.Bits)
				blocks, expands = blocks+1, expands+float64(b.Expand)
				if b.Kernel > 3 {
					wide++
				}
			}
		}
		for i, b := range a.Outer {
			outer[i].add(b)
		}
	}
	for i := range stages {
		cells = append(cells, stages[i].String())
	}
	for i := range outer {
		cells = append(cells, outer[i].String())
	}
	n := float64(len(archs))
	return append(cells, fmt.Sprintf("%.1f, %.1f, %.1f", depths[0]/n, depths[1]/n, depths[2]/n), fmt.Sprintf("%.1f", expands/blocks), fmt.Sprintf("%.0f", 100*wide/blocks))
}
