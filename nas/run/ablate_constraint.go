package run

import (
	"context"
	"fmt"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// constrainedNetworks is how many random networks are measured beside those that were found.
const constrainedNetworks = 40

// latencyColumn is a measured latency.
const latencyColumn = "latency"

// constraintAblation asks what it is worth to limit the latency that a table predicts, instead of multiply-adds.
func constraintAblation() ablation {
	return ablation{
		name: "constraint", use: "the best network by evolution within the baseline's latency over 1.2, or within its multiply-adds over 1.2", measures: true,
		columns: []column{miouOn(searchSplit), {reportedColumn, "%"}, {predictedColumn, "ms"}, {latencyColumn, "ms"}, {macsColumn, "G"}},
		variants: []variant{
			{name: "latency", what: "latency by the table", score: func(p *pipeline, ctx context.Context, name string) (cell, error) {
				if err := p.sharedTable(ctx); err != nil {
					return cell{}, err
				}
				return p.scoreSearch(ctx, name, false, p.limits)
			}},
			{name: "multiply-adds", what: "multiply-adds, whatever time they take", score: func(p *pipeline, ctx context.Context, name string) (cell, error) {
				if err := p.sharedTable(ctx); err != nil {
					return cell{}, err
				}
				return p.scoreSearch(ctx, name, false, p.macsLimit())
			}},
		},
		conclude: concludeConstraint,
	}
}

// macsLimit is the share of the baseline that the default latency limit is, in multiply-adds.
func (p *pipeline) macsLimit() []search.Limit {
	macs := func(a space.Arch) (float64, error) { return float64(p.net.MACs(a, p.cfg.Height, p.cfg.Width)), nil }
	base, _ := macs(space.Baseline())
	return []search.Limit{{Name: "macs", Unit: "MACs", Max: base / latencyShare * (1 - p.cfg.Limits.Margin), Cost: macs}}
}

// timeNetworks measures networks on the pipeline's device, at the table's level, unless the file holds them already.
func (p *pipeline) timeNetworks(ctx context.Context, file string, archs []space.Arch) (*measured, error) {
	return p.timeOnce(file, archs, func() (*measured, error) { return p.timed(ctx, archs) })
}

// timeOnce measures networks unless the file holds them already.
func (p *pipeline) timeOnce(file string, archs []space.Arch, measure func() (*measured, error)) (*measured, error) {
	t := new(measured)
	path := p.folder.file(file)
	found, err := finished(path, t)
	if err != nil {
		return nil, err
	}
	for _, a := range archs {
		found = found && t.ms(a) > 0
	}
	if found {
		return t, nil
	}
	if t, err = measure(); err != nil {
		return nil, err
	}
	return t, writeJSON(path, t)
}

// fillLatency sets the rows' measured latency, the mean over the seeds.
func (a *Ablated) fillLatency(t *measured) {
	for i, r := range a.Rows {
		var all []float64
		for _, c := range a.ofSeeds(r.Variant) {
			if c.Arch != nil {
				all = append(all, t.ms(*c.Arch))
			}
		}
		if len(all) > 0 {
			a.Rows[i].More[latencyColumn], _ = interval(all)
		}
	}
}

// concludeConstraint measures what was found and random networks, and correlates both costs with the measured latency.
func concludeConstraint(p *pipeline, ctx context.Context, a *Ablated) error {
	if err := p.sharedTable(ctx); err != nil {
		return err
	}
	random := p.randomNetworks(constrainedNetworks)
	t, err := p.timeNetworks(ctx, measuredFile, append(a.archsOf(), random...))
	if err != nil {
		return err
	}
	a.fillLatency(t)
	var macs, predicted, measured []float64
	for _, n := range random {
		ms, err := p.predictor.Predict(n)
		if err != nil {
			return err
		}
		macs, predicted, measured = append(macs, float64(p.net.MACs(n, p.cfg.Height, p.cfg.Width))/1e9), append(predicted, ms), append(measured, t.ms(n))
	}
	a.Tables = append(a.Tables, report.Table{
		Title:  fmt.Sprintf("Against the measured latency of %d random networks", len(random)),
		Header: []string{"by", "Spearman", "Kendall's tau", "Pearson"},
		Rows: [][]string{
			{"latency table", fmt.Sprintf("%.3f", metrics.Spearman(predicted, measured)), fmt.Sprintf("%.3f", metrics.KendallTauB(predicted, measured)), fmt.Sprintf("%.3f", metrics.Pearson(predicted, measured))},
			{"multiply-adds", fmt.Sprintf("%.3f", metrics.Spearman(macs, measured)), fmt.Sprintf("%.3f", metrics.KendallTauB(macs, measured)), fmt.Sprintf("%.3f", metrics.Pearson(macs, measured))},
		},
		Note: fmt.Sprintf("The table is off by %.1f %% on average (MAPE).", 100*metrics.MAPE(predicted, measured)),
	})
	over := 0
	for _, c := range a.ofSeeds("multiply-adds") {
		if t.ms(*c.Arch) > p.limitMS {
			over++
		}
	}
	a.Notes = append(a.Notes, fmt.Sprintf("The latency asked for is %.4g ms; of the %d networks found within multiply-adds, %d take longer.", p.limitMS, a.Seeds, over))
	a.Figures = append(a.Figures,
		report.Figure{Title: "Latency by the table", XLabel: "predicted ms", YLabel: "measured ms", Series: []report.Series{{Name: "random networks", Dots: true, X: predicted, Y: measured}}},
		report.Figure{Title: "Latency by multiply-adds", XLabel: "multiply-adds G", YLabel: "measured ms", Series: []report.Series{{Name: "random networks", Dots: true, X: macs, Y: measured}}})
	return nil
}
