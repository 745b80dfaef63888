package run

import (
	"context"
	"fmt"
	"slices"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// recalibrationAblation asks what a network's statistics of its own are worth.
func recalibrationAblation() ablation {
	return ablation{
		name: "recalibration", use: fmt.Sprintf("mean mIoU of %d random sub-networks of one supernet, batch-norm statistics computed anew for each or kept", sharedNetworks),
		columns: supernetColumns(),
		variants: []variant{
			{name: "anew", what: "computed anew over a few training batches", score: scoredBy(sharedNetworks, func(*train.Evaluator) {})},
			{name: "kept", what: "the supernet's running ones, which are those of other widths too", score: scoredBy(sharedNetworks, func(e *train.Evaluator) {
				e.Recalibration, e.Clips = nil, false
			})},
		},
		conclude: concludeOrder("kept statistics against recalibrated ones"),
	}
}

// clipsNetworks are fewer: a network's clips take several times as long as its evaluation.
const clipsNetworks = 30

// clipsAblation asks what a quantised network's clips of its own are worth.
func clipsAblation() ablation {
	bits := func(c *Config) {
		if !c.Space.IsQuantised() {
			c.Space.Bits = slices.Sorted(slices.Values(uniformBits))
		}
		c.learnBits()
	}
	return ablation{
		name: "clips", use: fmt.Sprintf("mean mIoU of %d random quantised sub-networks of one supernet, their activations' clips kept or fitted to each", clipsNetworks),
		columns: supernetColumns(),
		variants: []variant{
			{name: "kept", what: "the supernet's, trained with all sub-networks", change: bits, score: scoredBy(clipsNetworks, func(e *train.Evaluator) { e.Clips = false })},
			{name: "fitted", what: "those of least squared error over the batches that statistics are computed on", change: bits,
				score: scoredBy(clipsNetworks, func(e *train.Evaluator) { e.Clips = true })},
		},
		conclude: concludeOrder("fitted clips against kept ones"),
	}
}

// scoredBy scores random networks of the shared supernet, which an evaluator that is changed recalibrates.
func scoredBy(networks int, change func(e *train.Evaluator)) scorer {
	return func(p *pipeline, ctx context.Context, _ string) (cell, error) {
		s, err := p.sharedSupernet(ctx)
		if err != nil {
			return cell{}, err
		}
		defer s.close()
		e := *s.evaluator
		change(&e)
		return p.scoreRandom(ctx, networks, func(a space.Arch) (float64, error) {
			score, err := e.Evaluate(ctx, a)
			return score.MIoU, err
		})
	}
}

// concludeOrder plots the networks both ways, and says whether their order stays.
func concludeOrder(ways string) func(*pipeline, context.Context, *Ablated) error {
	return func(_ *pipeline, _ context.Context, a *Ablated) error {
		a.Figures = append(a.Figures, spreadFigure(a, "mIoU of the random sub-networks, all seeds"))
		if len(a.Rows) < 2 {
			return nil
		}
		first, second := a.ofSeeds(a.Rows[0].Variant), a.ofSeeds(a.Rows[1].Variant)
		var taus []float64
		for _, seed := range a.seeds() {
			taus = append(taus, metrics.KendallTauB(first[seed].Lists[networksList], second[seed].Lists[networksList]))
		}
		a.Notes = append(a.Notes, fmt.Sprintf("Order of the networks with %s: Kendall's tau %s.", ways, meanText(taus, 2)))
		return nil
	}
}
