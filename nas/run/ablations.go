package run

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// randomNetworksScored is how many random networks stand for a supernet.
const randomNetworksScored = 20

// ablations lists all ablations. The first variant of each is what the others are compared with.
func ablations() []ablation {
	return []ablation{
		{
			name: "recipe", use: "the baseline from scratch, each option of the recipe by itself", score: (*pipeline).scoreNetwork,
			variants: []variant{
				{"preset", "the preset's recipe", func(*Config) {}},
				{"ema", "moving average of the weights, decay 0.99", func(c *Config) { c.Optimiser.Average = 0.99 }},
				{"ohem", "hard pixels alone: probability below 0.7", func(c *Config) { c.HardPixels.Probability = 0.7 }},
				{"class-uniform", "half of the samples chosen by class", func(c *Config) { c.ClassUniform = 0.5 }},
				{"cosine", "cosine instead of poly decay", func(c *Config) { decayFlag{c}.Set(string(train.Cosine)) }},
				{"no-warmup", "without warm-up", func(c *Config) { warmupFlag{c}.Set("0") }},
				{"no-balance", "all classes weigh alike", func(c *Config) { c.Balance = 0 }},
				{"no-aux", "without the auxiliary heads' losses", func(c *Config) { c.Optimiser.AuxWeight = 0 }},
				{"no-scales", "every picture at its own scale", func(c *Config) { c.Augmentation.MinScale, c.Augmentation.MaxScale = 1, 1 }},
				{"no-colours", "without changes of the colours", func(c *Config) { c.Augmentation.Hue, c.Augmentation.Saturation, c.Augmentation.Value = 0, 0, 0 }},
			},
		},
		{
			name: "supernet", use: fmt.Sprintf("mean mIoU of %d random sub-networks, equal numbers of network passes in training", randomNetworksScored), score: (*pipeline).scoreSupernet,
			variants: []variant{
				{"single", "one drawn network a step", func(*Config) {}},
				{"sandwich", "the largest, the smallest and two drawn networks a step, a quarter of the steps", func(c *Config) { c.sandwiched(4, 0) }},
				{"distill", "a sandwich in which the largest teaches the others, labels half", func(c *Config) { c.sandwiched(4, 0.5) }},
				{"distill-only", "a sandwich in which the others learn from the largest alone", func(c *Config) { c.sandwiched(4, 1) }},
				{"ema", "one drawn network a step, moving average of the weights, decay 0.99", func(c *Config) { c.Optimiser.Average = 0.99 }},
			},
		},
	}
}

// sandwiched trains n networks in a step, in as many passes as before.
func (c *Config) sandwiched(n int, distill float64) {
	c.Sandwich = train.Sandwich{Networks: n, Distill: distill}
	c.Shrinking = c.Shrinking.Scaled(1 / float64(n))
}

// scoreNetwork trains the baseline from scratch on the search's training pictures.
func (p *pipeline) scoreNetwork(ctx context.Context, name string) (cell, error) {
	a := space.Baseline()
	model, err := supernet.NewPlain(p.machine.context, p.net, a, p.rng(baselineWeights))
	if err != nil {
		return cell{}, err
	}
	defer model.Close()
	if err := p.train(ctx, job{
		name: name, model: model, about: p.about(train.Plain, &a), schedule: p.cfg.Scratch, sample: train.Fixed(a), data: p.data.Train,
	}); err != nil {
		return cell{}, err
	}
	c, err := p.worker.Evaluate(ctx, model, a, p.all(p.data.SearchVal))
	if err != nil {
		return cell{}, err
	}
	miou, _ := c.MeanIoU()
	return cell{Score: miou, More: map[string]float64{"pixels": c.PixelAccuracy()}}, nil
}

// scoreSupernet trains the supernet and scores random networks of it, the same for every variant and seed.
func (p *pipeline) scoreSupernet(ctx context.Context, name string) (cell, error) {
	super, err := p.newSupernet()
	if err != nil {
		return cell{}, err
	}
	defer super.Close()
	j := p.supernetJob(super)
	j.name, j.checks = name, 0
	if err := p.train(ctx, j); err != nil {
		return cell{}, err
	}
	evaluator, err := p.evaluator(ctx, super)
	if err != nil {
		return cell{}, err
	}
	score := func(a space.Arch) (float64, error) {
		s, err := evaluator.Evaluate(ctx, a)
		return s.MIoU, err
	}
	bar := NewProgress(p.streams.Err, "score", "networks", 0, randomNetworksScored)
	rng := rand.New(rand.NewPCG(ablationNetworks, 0)) // the same for every seed
	var all []float64
	for i := range randomNetworksScored {
		v, err := score(p.cfg.Space.Sample(rng))
		if err != nil {
			return cell{}, err
		}
		all = append(all, v)
		bar.Set(i+1, "")
	}
	bar.Finish("")
	mean := 0.0
	for _, v := range all {
		mean += v / float64(len(all))
	}
	largest, err := score(p.cfg.Space.Largest())
	if err != nil {
		return cell{}, err
	}
	q1, _, q3 := metrics.Quartiles(all)
	return cell{Score: mean, More: map[string]float64{"largest": largest, "quartile 1": q1, "quartile 3": q3}}, nil
}
