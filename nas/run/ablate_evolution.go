package run

import (
	"context"
	"fmt"

	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// bestList is a cell's best score after each evaluation of its search.
const bestList = "best so far"

// predictedColumn is the latency by the table.
const predictedColumn = "predicted"

// evolutionAblation asks whether evolution finds more than as many draws of lots, within the default latency.
func evolutionAblation() ablation {
	score := func(random bool) scorer {
		return func(p *pipeline, ctx context.Context, name string) (cell, error) {
			if err := p.sharedTable(ctx); err != nil {
				return cell{}, err
			}
			return p.scoreSearch(ctx, name, random, p.limits)
		}
	}
	return ablation{
		name: "evolution", use: "the best network within the default latency, by evolution and by random search, at equal evaluations", measures: true,
		columns: []column{miouOn(searchSplit), {reportedColumn, "%"}, {retrainedColumn, "%"}, {predictedColumn, "ms"}, {macsColumn, "G"}},
		variants: []variant{
			{name: "evolution", what: "mutants and crosses of each generation's best", score: score(false)},
			{name: "random", what: "networks drawn at random", score: score(true)},
		},
		conclude: concludeEvolution,
	}
}

// reportedColumn is the mIoU of a retrained network on the reported pictures.
const reportedColumn = "retrained, reported"

// scoreSearch searches within limits, and retrains what was found: its score is with the supernet's weights, which is what a search can see.
func (p *pipeline) scoreSearch(ctx context.Context, name string, random bool, limits []search.Limit) (cell, error) {
	s, err := p.sharedSupernet(ctx)
	if err != nil {
		return cell{}, err
	}
	defer s.close()
	cfg := p.cfg.Search
	cfg.Random = random
	found, err := p.sharedSearch(ctx, name, s, cfg, limits)
	if err != nil {
		return cell{}, err
	}
	a := found.Best.Arch
	model, err := p.retrained(ctx, name, s, a, p.cfg.Retrain)
	if err != nil {
		return cell{}, err
	}
	defer model.Close()
	predicted, err := p.predictor.Predict(a)
	if err != nil {
		return cell{}, err
	}
	c, err := p.judged(ctx, model, map[string]float64{predictedColumn: predicted, macsColumn: float64(p.net.MACs(a, p.cfg.Height, p.cfg.Width)) / 1e9})
	if err != nil {
		return cell{}, err
	}
	c.More[reportedColumn], c.Score = c.Score, found.Best.MIoU
	c.Lists = map[string][]float64{bestList: bestSoFar(found)}
	return c, nil
}

// sharedSearch searches a shared supernet, with its trace in the cell's folder.
func (p *pipeline) sharedSearch(ctx context.Context, name string, s *sharedSupernet, cfg search.Config, limits []search.Limit) (*search.Result, error) {
	cfg.Seed, cfg.TracePath, cfg.Fingerprint = p.cfg.Seed, p.folder.file(name, traceFile), s.cached.Fingerprint
	bar := NewProgress(p.streams.Err, "search", "networks", 0, cfg.Evaluations())
	cfg.Progress = func(e search.Event) { bar.Set(e.Done, fmt.Sprintf("best mIoU %.1f %%", 100*e.Best.MIoU)) }
	found, err := search.Run(ctx, cfg, p.cfg.Space, s.cached, limits)
	if err != nil {
		return nil, err
	}
	bar.Finish(fmt.Sprintf("best mIoU %.1f %%", 100*found.Best.MIoU))
	return found, nil
}

func bestSoFar(r *search.Result) (best []float64) {
	top := 0.0
	for _, e := range r.All {
		top = max(top, e.MIoU)
		best = append(best, top)
	}
	return best
}

// concludeEvolution plots the best score after each evaluation, mean over the seeds.
func concludeEvolution(p *pipeline, _ context.Context, a *Ablated) error {
	f := report.Figure{Title: "Best network so far, mean over the seeds", XLabel: "networks evaluated", YLabel: "mIoU % with the supernet's weights, search's pictures"}
	for _, r := range a.Rows {
		cells := a.ofSeeds(r.Variant)
		s := report.Series{Name: r.Variant}
		for i := 0; ; i++ {
			sum, n := 0.0, 0
			for _, c := range cells {
				if list := c.Lists[bestList]; i < len(list) {
					sum += list[i]
					n++
				}
			}
			if n < len(cells) {
				break
			}
			s.X, s.Y = append(s.X, float64(i+1)), append(s.Y, 100*sum/float64(n))
		}
		f.Series = append(f.Series, s)
		a.Networks = append(a.Networks, drawn(r.Variant, cells, a.seeds()[0])...)
	}
	a.Figures = append(a.Figures, f)
	return nil
}

// drawn is the network that a cell found.
func drawn(name string, cells map[uint64]cell, seed uint64) []report.Network {
	if c := cells[seed]; c.Arch != nil {
		return []report.Network{{Name: fmt.Sprintf("%s, seed %d", name, seed), Arch: *c.Arch}}
	}
	return nil
}

// archsOf lists the cells' networks, in the cells' order, each once.
func (a *Ablated) archsOf() (all []space.Arch) {
	seen := map[space.Arch]bool{}
	for _, c := range a.Cells {
		if c.Arch != nil && !seen[*c.Arch] {
			seen[*c.Arch] = true
			all = append(all, *c.Arch)
		}
	}
	return all
}
