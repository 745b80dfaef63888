package run

import (
	"context"
	"fmt"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// rankedNetworks is how many random networks are retrained.
const rankedNetworks = 12

// Columns of the rank ablation.
const (
	supernetColumn  = "supernet's"
	retrainedColumn = "retrained, search's"
	macsColumn      = "multiply-adds"
)

// rankAblation asks whether the supernet ranks networks as training them does. Each network is a variant, so that each training is kept.
func rankAblation(c Config) ablation {
	a := ablation{
		name: "rank", use: fmt.Sprintf("%d random networks: mIoU with the supernet's weights, and after retraining", rankedNetworks),
		columns: []column{miouOn(reportedSplit), {supernetColumn, "%"}, {retrainedColumn, "%"}, {macsColumn, "G"}}, conclude: concludeRank,
	}
	p := pipeline{cfg: c}
	for _, n := range p.randomNetworks(rankedNetworks) {
		a.variants = append(a.variants, variant{name: n.String(), what: "cut out and retrained", score: rankScorer(n)})
	}
	return a
}

// rankScorer retrains one network on the search's training pictures, so that the search's validation pictures judge it before and after.
func rankScorer(a space.Arch) scorer {
	return func(p *pipeline, ctx context.Context, name string) (cell, error) {
		s, err := p.sharedSupernet(ctx)
		if err != nil {
			return cell{}, err
		}
		defer s.close()
		score, err := s.cached.Evaluate(ctx, a)
		if err != nil {
			return cell{}, err
		}
		model, err := p.retrained(ctx, name, s, a, p.cfg.Retrain)
		if err != nil {
			return cell{}, err
		}
		defer model.Close()
		return p.judged(ctx, model, map[string]float64{supernetColumn: score.MIoU, macsColumn: float64(p.net.MACs(a, p.cfg.Height, p.cfg.Width)) / 1e9})
	}
}

// judged scores a network trained on the search's training pictures: on the reported pictures, and on the search's validation pictures.
func (p *pipeline) judged(ctx context.Context, m *supernet.Plain, more map[string]float64) (cell, error) {
	a := m.Arch()
	search, err := p.judge(ctx, m, p.data.SearchVal)
	if err != nil {
		return cell{}, err
	}
	c, err := p.judge(ctx, m, p.data.Val)
	if err != nil {
		return cell{}, err
	}
	more[retrainedColumn] = search.Score
	c.More, c.Arch = more, &a
	return c, nil
}

// ofColumn lists the variants' values with one seed, in the variants' order; "" is the score.
func (a *Ablated) ofColumn(name string, seed uint64) (values []float64) {
	for _, r := range a.Rows {
		c := a.ofSeeds(r.Variant)[seed]
		v := c.Score
		if name != "" {
			v = c.More[name]
		}
		values = append(values, v)
	}
	return values
}

// concludeRank correlates the orders, seed by seed, and says how far two trainings of the same networks agree: no supernet can be expected to know
// more than that.
func concludeRank(p *pipeline, _ context.Context, a *Ablated) error {
	table := report.Table{Title: "Kendall's tau of two orders of the networks, mean over the seeds (95 %)", Header: []string{"", "retrained, reported pictures", "retrained, search's pictures"}}
	for _, by := range []string{supernetColumn, macsColumn} {
		row := []string{by}
		for _, with := range []string{"", retrainedColumn} {
			var taus []float64
			for _, seed := range a.seeds() {
				taus = append(taus, metrics.KendallTauB(a.ofColumn(by, seed), a.ofColumn(with, seed)))
			}
			row = append(row, meanText(taus, 2))
		}
		table.Rows = append(table.Rows, row)
	}
	row := []string{"another seed's supernet and retraining"}
	for _, with := range []string{"", retrainedColumn} {
		var taus []float64
		for i, seed := range a.seeds() {
			for _, other := range a.seeds()[:i] {
				taus = append(taus, metrics.KendallTauB(a.ofColumn(with, seed), a.ofColumn(with, other)))
			}
		}
		row = append(row, meanText(taus, 2))
	}
	table.Rows = append(table.Rows, row)
	row = []string{"supernet's, means over the seeds"}
	for _, with := range []string{"", retrainedColumn} {
		row = append(row, fmt.Sprintf("%.2f", metrics.KendallTauB(a.means(supernetColumn), a.means(with))))
	}
	table.Rows = append(table.Rows, row)
	a.Tables = append(a.Tables, table)
	f := report.Figure{Title: "After retraining against before", XLabel: "mIoU % with the supernet's weights, search's pictures", YLabel: "mIoU % retrained, reported pictures"}
	for _, seed := range a.seeds() {
		f.Series = append(f.Series, report.Series{Name: fmt.Sprintf("seed %d", seed), Dots: true, X: percents(a.ofColumn(supernetColumn, seed)), Y: percents(a.ofColumn("", seed))})
	}
	a.Figures = append(a.Figures, f)
	return nil
}

// seeds lists the seeds of the cells.
func (a *Ablated) seeds() (all []uint64) {
	for i := range a.Seeds {
		all = append(all, a.Cells[0].Seed+uint64(i))
	}
	return all
}

// means are ofColumn's means over the seeds.
func (a *Ablated) means(name string) []float64 {
	sum := make([]float64, len(a.Rows))
	for _, seed := range a.seeds() {
		for i, v := range a.ofColumn(name, seed) {
			sum[i] += v / float64(a.Seeds)
		}
	}
	return sum
}

func percents(shares []float64) []float64 {
	all := make([]float64, len(shares))
	for i, v := range shares {
		all[i] = 100 * v
	}
	return all
}
