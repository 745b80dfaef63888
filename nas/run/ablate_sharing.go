package run

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// sharedNetworks is how many random networks stand for a supernet: as many as in the thesis's table.
const sharedNetworks = 100

// sharingAblation asks what each way of sharing weights gives a supernet: the thesis's three rows.
func sharingAblation(c Config) ablation {
	return ablation{
		name: "sharing", use: fmt.Sprintf("mean mIoU of %d random sub-networks of supernets that share more or less, at equal multiply-adds of training", sharedNetworks),
		columns: supernetColumns(), score: supernetScorer(sharedNetworks), conclude: drawSharing,
		variants: []variant{
			{name: "shrinking", what: "weights shared among kernels and widths, depths freed in phases"},
			{name: "sharing", what: "weights shared among kernels and widths, all depths from the start", change: (*Config).unphased},
			{name: "shrinking-warm", what: "as the first, but every phase at the first one's learning rate", change: func(c *Config) {
				c.Shrinking = slices.Clone(c.Shrinking)
				for i := range c.Shrinking {
					c.Shrinking[i].LR = c.Shrinking[0].LR
				}
			}},
			{name: "naive", what: "weights of its own for every choice of a block, depth as a no-op", change: func(c *Config) {
				c.unphased()
				c.Supernet = train.Naive
			}},
		},
	}
}

// unphased trains the supernet in one phase over all depths, at the first phase's rate, for as many multiply-adds as the phases took.
func (c *Config) unphased() {
	phases := c.Shrinking
	all := c.passMACs(0)
	whole := 0.0
	for _, phase := range phases {
		whole += phase.WholeSteps() * c.passMACs(phase.MinDepth) / all
	}
	c.Shrinking = phases[:1].Scaled(whole / phases[0].WholeSteps())
	c.Shrinking[0].MinDepth = 0
}

// passMACs is the mean over drawn networks of the multiply-adds of one picture, of any number of classes: ratios are what it serves for.
func (c *Config) passMACs(minDepth uint8) float64 {
	const draws = 2000
	net := c.Network(2)
	rng := rand.New(rand.NewPCG(ablationNetworks, uint64(minDepth)))
	sum := 0.0
	for range draws {
		sum += float64(net.MACs(c.Space.SampleDepths(rng, minDepth), c.Height, c.Width))
	}
	return sum / draws
}

func supernetColumns() []column {
	return []column{miouOn(searchSplit), {"largest", "%"}, {"least", "%"}, {"quartile 1", "%"}, {"quartile 3", "%"}, {"most", "%"}}
}

// networksList is a cell's scores of random networks.
const networksList = "networks"

// supernetScorer trains the supernet and scores random networks of it, the same for every variant and seed.
func supernetScorer(networks int) scorer {
	return func(p *pipeline, ctx context.Context, _ string) (cell, error) {
		s, err := p.sharedSupernet(ctx)
		if err != nil {
			return cell{}, err
		}
		defer s.close()
		return p.scoreRandom(ctx, networks, func(a space.Arch) (float64, error) {
			score, err := s.cached.Evaluate(ctx, a)
			return score.MIoU, err
		})
	}
}

// scoreRandom sums up the scores of random networks and the largest one.
func (p *pipeline) scoreRandom(ctx context.Context, networks int, score func(space.Arch) (float64, error)) (cell, error) {
	bar := NewProgress(p.streams.Err, "score", "networks", 0, networks)
	var all []float64
	for i, a := range p.randomNetworks(networks) {
		if err := ctx.Err(); err != nil {
			return cell{}, err
		}
		v, err := score(a)
		if err != nil {
			return cell{}, err
		}
		all = append(all, v)
		bar.Set(i+1, fmt.Sprintf("mIoU %.1f %%", 100*v))
	}
	mean, _ := interval(all)
	bar.Finish(fmt.Sprintf("mean mIoU %.1f %%", 100*mean))
	largest, err := score(p.cfg.Space.Largest())
	if err != nil {
		return cell{}, err
	}
	q1, _, q3 := metrics.Quartiles(all)
	return cell{Score: mean, Lists: map[string][]float64{networksList: all}, More: map[string]float64{
		"largest": largest, "quartile 1": q1, "quartile 3": q3, "least": slices.Min(all), "most": slices.Max(all),
	}}, nil
}

// randomNetworks draws networks, the same for every seed.
func (p *pipeline) randomNetworks(n int) []space.Arch {
	rng := rand.New(rand.NewPCG(ablationNetworks, 0))
	all := make([]space.Arch, n)
	for i := range all {
		all[i] = p.cfg.Space.Sample(rng)
	}
	return all
}

// drawSharing plots all random networks of the variants.
func drawSharing(p *pipeline, _ context.Context, a *Ablated) error {
	a.Figures = append(a.Figures, spreadFigure(a, "mIoU of the random sub-networks, all seeds"))
	return nil
}

// spreadFigure plots each variant's random networks, a series for each seed.
func spreadFigure(a *Ablated, title string) report.Figure {
	f := report.Figure{Title: title, YLabel: a.Columns[0].header()}
	for _, r := range a.Rows {
		f.Ticks = append(f.Ticks, r.Variant)
	}
	for _, seed := range a.seeds() {
		s := report.Series{Name: fmt.Sprintf("seed %d", seed), Dots: true}
		for i, r := range a.Rows {
			for _, v := range a.ofSeeds(r.Variant)[seed].Lists[networksList] {
				s.X, s.Y = append(s.X, float64(i)), append(s.Y, 100*v)
			}
		}
		f.Series = append(f.Series, s)
	}
	return f
}
