package run

import (
	"cmp"
	"context"
	"fmt"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// headlineShares are the latency limits of the headline, as what the baseline's latency is divided by: the default, the baseline's own, and two more along the
// front.
var headlineShares = []float64{latencyShare, 1, 1.4, 1.6}

// headlineAblation asks the question that a search is for: is the network that it finds better than hand-made ones of the same latency?
func headlineAblation() ablation {
	a := ablation{
		name: "headline", use: "what the search found beside hand-made networks within the same latency, all retrained alike", measures: true,
		columns:  []column{miouOn(reportedSplit), {latencyColumn, "ms"}, {predictedColumn, "ms"}, {macsColumn, "G"}, {"parameters", "M"}},
		conclude: concludeHeadline,
	}
	for i, share := range headlineShares {
		suffix := ""
		if i > 0 {
			suffix = fmt.Sprintf("-%gx", share)
		}
		within := fmt.Sprintf("within the baseline's latency over %g", share)
		a.variants = append(a.variants,
			variant{name: winnerName + suffix, what: "evolution's best " + within, score: searchedFinal(share, nil)},
			variant{name: handName + suffix, what: "the dearest network of one block throughout, kernel 3, " + within, score: handFinal(share)})
		if i > 0 {
			continue
		}
		a.variants = append(a.variants,
			variant{name: "thrifty", what: "evolution's best " + within + ", however little it uses of that", score: searchedFinal(share, func(c *search.Config) { c.Spend = 0 })},
			variant{name: "random", what: "random search's best " + within, score: searchedFinal(share, func(c *search.Config) { c.Random, c.Given = true, nil })},
			variant{name: controlName, what: "the baseline, cut out of the supernet and retrained", score: func(p *pipeline, ctx context.Context, name string) (cell, error) {
				return p.cutFinal(ctx, name, func(*pipeline, *sharedSupernet) (space.Arch, error) { return p.cfg.Space.Widest(space.Baseline()), nil })
			}},
			variant{name: baselineName, what: "the baseline from scratch", score: scratchFinal})
	}
	return a
}

// within sets the latency limit to a share of the baseline's, but no less than the smallest hand-made network takes: of small pictures, most of the time goes to
// what no network can do without.
func (p *pipeline) within(share float64) (err error) {
	base, err := p.predictor.Predict(p.cfg.Space.Widest(space.Baseline()))
	if err != nil {
		return err
	}
	sp, depth := p.cfg.Space, p.cfg.Space.Depths[0]
	least, err := p.predictor.Predict(sp.Widest(space.Uniform([space.Stages]uint8{depth, depth, depth}, space.Block{Kernel: sp.Kernels[0], Expand: sp.Expands[0]})))
	if err != nil {
		return err
	}
	c := p.cfg
	c.Limits.Latency, c.Limits.Like, c.Pareto = max(base/share, least*(1+1e-9)/(1-c.Limits.Margin)), nil, 0
	p.limits, p.limitMS, err = limits(c, p.net, p.machine, p.predictor)
	return err
}

// searchedFinal searches as tools/search does, hand-made networks and finalists included, but for what changes (nil: nothing), and trains what was found.
func searchedFinal(share float64, change func(*search.Config)) scorer {
	return func(p *pipeline, ctx context.Context, name string) (cell, error) {
		return p.cutFinal(ctx, name, func(q *pipeline, s *sharedSupernet) (space.Arch, error) {
			if err := q.within(share); err != nil {
				return space.Arch{}, err
			}
			cfg := q.cfg.Search
			cfg.Given = q.cfg.handMade()
			if change != nil {
				change(&cfg)
			}
			found, err := q.sharedSearch(ctx, "", s, cfg, q.limits)
			if err != nil {
				return space.Arch{}, err
			}
			chosen, err := q.choose(ctx, found, s.super)
			return chosen.winner.Arch, err
		})
	}
}

// handFinal trains the hand-scaled network for a latency.
func handFinal(share float64) scorer {
	return func(p *pipeline, ctx context.Context, name string) (cell, error) {
		return p.cutFinal(ctx, name, func(q *pipeline, _ *sharedSupernet) (space.Arch, error) {
			if err := q.within(share); err != nil {
				return space.Arch{}, err
			}
			return handWithin(q.cfg.Space, q.limits[0])
		})
	}
}

// handWithin is what a person would make of the baseline for a limit: one expand ratio throughout, the smallest kernel, and as many blocks as are within it.
// Of these the dearest; of equals the first.
func handWithin(sp space.Space, l search.Limit) (best space.Arch, err error) {
	dearest := -1.0
	for _, e := range sp.Expands {
		for _, d0 := range sp.Depths {
			for _, d1 := range sp.Depths {
				for _, d2 := range sp.Depths {
					a := sp.Widest(space.Uniform([space.Stages]uint8{d0, d1, d2}, space.Block{Kernel: sp.Kernels[0], Expand: e}))
					cost, err := l.Cost(a)
					if err != nil {
						return best, err
					}
					if cost <= l.Max && cost > dearest {
						best, dearest = a, cost
					}
				}
			}
		}
	}
	if dearest < 0 {
		err = misuse.Errorf("no network of one block throughout is within %s", limitsText([]search.Limit{l}))
	}
	return best, err
}

// cutFinal is cutAndTrain with the network's predicted latency.
func (p *pipeline) cutFinal(ctx context.Context, name string, choose func(q *pipeline, s *sharedSupernet) (space.Arch, error)) (cell, error) {
	if err := p.sharedTable(ctx); err != nil {
		return cell{}, err
	}
	return p.withPrediction(p.cutAndTrain(ctx, name, choose))
}

// cutAndTrain trains the chosen network from the supernet's weights on all training pictures and scores it on the reported ones. Choosing works in the
// cell's folder.
func (p *pipeline) cutAndTrain(ctx context.Context, name string, choose func(q *pipeline, s *sharedSupernet) (space.Arch, error)) (cell, error) {
	s, err := p.sharedSupernet(ctx)
	if err != nil {
		return cell{}, err
	}
	defer s.close()
	q := *p
	q.folder = &folder{path: p.folder.file(name)}
	a, err := choose(&q, s)
	if err != nil {
		return cell{}, err
	}
	model, err := supernet.Cut(s.super, a)
	if err != nil {
		return cell{}, err
	}
	defer model.Close()
	return p.finalCell(ctx, name, model, p.cfg.Retrain)
}

// scratchFinal trains the baseline from random weights.
func scratchFinal(p *pipeline, ctx context.Context, name string) (cell, error) {
	if err := p.sharedTable(ctx); err != nil {
		return cell{}, err
	}
	model, err := supernet.NewPlain(p.machine.context, p.net, space.Baseline(), p.rng(baselineWeights))
	if err != nil {
		return cell{}, err
	}
	defer model.Close()
	return p.withPrediction(p.finalCell(ctx, name, model, p.cfg.Scratch))
}

// finalCell trains a network on all training pictures and scores it on the reported ones.
func (p *pipeline) finalCell(ctx context.Context, name string, model *supernet.Plain, schedule train.Schedule) (cell, error) {
	a := model.Arch()
	if err := p.train(ctx, job{
		name: name, model: model, about: p.about(train.Plain, &a), schedule: schedule, sample: train.Fixed(a), data: p.data.TrainAll,
	}); err != nil {
		return cell{}, err
	}
	c, err := p.judge(ctx, model, p.data.Val)
	if err != nil {
		return cell{}, err
	}
	c.Arch = &a
	c.More[macsColumn], c.More["parameters"] = float64(p.net.MACs(a, p.cfg.Height, p.cfg.Width))/1e9, float64(p.net.Params(a))/1e6
	return c, nil
}

// withPrediction adds the latency of a cell's network by the table.
func (p *pipeline) withPrediction(c cell, err error) (cell, error) {
	if err != nil {
		return cell{}, err
	}
	c.More[predictedColumn], err = p.predictor.Predict(*c.Arch)
	return c, err
}

// concludeHeadline measures all networks, and compares the winners with what stands against them.
func concludeHeadline(p *pipeline, ctx context.Context, a *Ablated) error {
	if err := p.sharedTable(ctx); err != nil {
		return err
	}
	t, err := p.timeNetworks(ctx, measuredFile, a.archsOf())
	if err != nil {
		return err
	}
	a.fillLatency(t)
	table := report.Table{Title: "The winner against the others, seed by seed (95 %)", Header: []string{"winner less", "mIoU points", "latency, as a share"}}
	against := func(winner, other string) {
		var points, shares []float64
		for _, seed := range a.seeds() {
			w, o := a.ofSeeds(winner)[seed], a.ofSeeds(other)[seed]
			if w.Arch == nil || o.Arch == nil {
				return
			}
			points, shares = append(points, w.Score-o.Score), append(shares, t.ms(*w.Arch)/t.ms(*o.Arch))
		}
		mean, half := interval(points)
		if half > 0 && mean > half {
			table.Strong = append(table.Strong, [2]int{len(table.Rows), 1})
		}
		table.Rows = append(table.Rows, []string{winner + " less " + other, column{Unit: "%"}.difference(mean, half), meanText(shares, 3)})
	}
	for _, other := range []string{controlName, handName, "random", baselineName} {
		against(winnerName, other)
	}
	for _, share := range headlineShares[1:] {
		suffix := fmt.Sprintf("-%gx", share)
		if share == 1 {
			against(winnerName+suffix, controlName)
		}
		against(winnerName+suffix, handName+suffix)
	}
	a.Tables = append(a.Tables, table)
	a.Figures = append(a.Figures, a.tradeOff())
	for _, r := range a.Rows {
		a.Networks = append(a.Networks, drawn(r.Variant, a.ofSeeds(r.Variant), a.seeds()[0])...)
	}
	return nil
}

// tradeOff plots each variant's accuracy against its latency, means over the seeds with their standard deviation.
func (a *Ablated) tradeOff() report.Figure {
	f := report.Figure{Title: "Accuracy against latency, mean and standard deviation of a seed", XLabel: "measured ms", YLabel: "mIoU %, reported pictures"}
	for _, r := range a.Rows {
		f.Series = append(f.Series, report.Series{Name: r.Variant, Dots: true, X: []float64{cmp.Or(r.More[latencyColumn], r.More[predictedColumn])},
			Y: []float64{100 * r.Mean}, Error: []float64{100 * r.SD}})
	}
	return f
}
