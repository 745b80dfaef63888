package run

import (
	"cmp"
	"context"

	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// knownWhat says what known networks are; of others their names do.
var knownWhat = map[string]string{
	"mobilenetv2-deeplab": "plain MobileNetV2 with a DeepLab-style head", "redesign-no-detail": "the redesign without its detail branch",
	"fast-scnn": "Fast-SCNN (Poudel et al. 2019)",
}

// redesignAblation asks what the hand-made network gains over what it was made from, the thesis's three rows, and how it stands beside other known ones.
func redesignAblation() ablation {
	a := ablation{
		name: "redesign", use: "the hand-made network beside what it was made from and other known ones, from scratch, equal steps", measures: true,
		columns:  []column{miouOn(reportedSplit), {"pixels", "%"}, {"latency", "ms"}, {"multiply-adds", "G"}, {"parameters", "M"}},
		conclude: measureRedesign,
		variants: []variant{{name: baselineName, what: "the redesign with its detail branch", score: func(p *pipeline, ctx context.Context, folder string) (cell, error) {
			a := space.Baseline()
			return p.fromScratch(ctx, folder, p.about(train.Plain, &a), p.data.TrainAll, p.data.Val)
		}}},
	}
	for _, name := range graph.Names() {
		a.variants = append(a.variants, variant{name: name, what: cmp.Or(knownWhat[name], "known network"), score: func(p *pipeline, ctx context.Context, folder string) (cell, error) {
			return p.fromScratch(ctx, folder, p.aboutKnown(name), p.data.TrainAll, p.data.Val)
		}})
	}
	return a
}

// measureRedesign fills in what the networks cost, measured in turns.
func measureRedesign(p *pipeline, ctx context.Context, a *Ablated) error {
	var c Comparison
	path := p.folder.file(measuredFile)
	found, err := finished(path, &c)
	if err != nil {
		return err
	}
	if !found {
		o := networksOptions{height: p.cfg.Height, width: p.cfg.Width, classes: p.net.Classes, rounds: p.cfg.FinalRounds}
		if c, err = o.compare(ctx, p.machine, p.streams); err != nil {
			return err
		}
		if err := writeJSON(path, c); err != nil {
			return err
		}
	}
	for _, n := range c.Networks {
		for i, r := range a.Rows {
			if r.Variant == n.Network {
				more := a.Rows[i].More
				more["latency"], more["multiply-adds"], more["parameters"] = milliseconds(n.Latency.Median), float64(n.MACs)/1e9, float64(n.Params)/1e6
			}
		}
	}
	return nil
}
