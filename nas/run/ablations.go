package run

import (
	"context"
	"fmt"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// ablations lists all ablations. The first variant of each is what the others are compared with.
func ablations(c Config) []ablation {
	return []ablation{
		headlineAblation(), redesignAblation(), sharingAblation(c), recalibrationAblation(), clipsAblation(), rankAblation(c),
		evolutionAblation(), constraintAblation(), devicesAblation(), costAblation(), bestAblation(), quantisedAblation(),
		recipeAblation(), sandwichAblation(),
	}
}

// miouOn is the column of a score on one of the splits.
func miouOn(split string) column { return column{"mIoU, " + split, "%"} }

// The splits in the names of columns: the search's validation pictures, and the reported ones.
const (
	searchSplit   = "search's"
	reportedSplit = "reported"
)

// recipeAblation asks what each option of a training changes.
func recipeAblation() ablation {
	return ablation{
		name: "recipe", use: "the baseline from scratch, each option of the recipe by itself", score: (*pipeline).scoreNetwork,
		columns: []column{miouOn(searchSplit), {"pixels", "%"}},
		variants: []variant{
			{name: "preset", what: "the preset's recipe"},
			{name: "ema", what: "moving average of the weights, decay 0.99", change: func(c *Config) { c.Optimiser.Average = 0.99 }},
			{name: "ohem", what: "hard pixels alone: probability below 0.7", change: func(c *Config) { c.HardPixels.Probability = 0.7 }},
			{name: "class-uniform", what: "half of the samples chosen by class", change: func(c *Config) { c.ClassUniform = 0.5 }},
			{name: "cosine", what: "cosine instead of poly decay", change: func(c *Config) { decayFlag{c}.Set(string(train.Cosine)) }},
			{name: "small-first", what: "three quarters of the steps on pictures of half the height and width, as many pixels in all", change: func(c *Config) {
				c.Scratch = smallFirst(c.Scratch, smallShare)
			}},
			{name: "whole", what: "all steps on whole pictures, as many pixels in all", change: func(c *Config) { c.Scratch = smallFirst(c.Scratch, 0) }},
			{name: "retrained", what: "cut out of the supernet and retrained instead", score: (*pipeline).scoreRetrained},
			{name: "retrained-small-first", what: "the same, with three quarters of the steps on small pictures", score: (*pipeline).scoreRetrained, change: func(c *Config) {
				c.Retrain = smallFirst(c.Retrain, smallShare)
			}},
			{name: "no-warmup", what: "without warm-up", change: func(c *Config) { warmupFlag{c}.Set("0") }},
			{name: "no-balance", what: "all classes weigh alike", change: func(c *Config) { c.Balance = 0 }},
			{name: "no-aux", what: "without the auxiliary heads' losses", change: func(c *Config) { c.Optimiser.AuxWeight = 0 }},
			{name: "no-scales", what: "every picture at its own scale", change: func(c *Config) { c.Augmentation.MinScale, c.Augmentation.MaxScale = 1, 1 }},
			{name: "no-colours", what: "without changes of the colours", change: func(c *Config) { c.Augmentation.Hue, c.Augmentation.Saturation, c.Augmentation.Value = 0, 0, 0 }},
		},
	}
}

// smallShare of the steps see small pictures where small pictures come first.
const smallShare = 0.75

// scoreRetrained is scoreNetwork for the baseline that begins with the supernet's weights.
func (p *pipeline) scoreRetrained(ctx context.Context, name string) (cell, error) {
	s, err := p.sharedSupernet(ctx)
	if err != nil {
		return cell{}, err
	}
	defer s.close()
	model, err := p.retrained(ctx, name, s, space.Baseline(), p.cfg.Retrain)
	if err != nil {
		return cell{}, err
	}
	defer model.Close()
	return p.judge(ctx, model, p.data.SearchVal)
}

// judge scores a trained network on a data set.
func (p *pipeline) judge(ctx context.Context, m supernet.Model, on data.Dataset) (cell, error) {
	c, err := p.worker.Evaluate(ctx, m, archIn(m), p.all(on))
	if err != nil {
		return cell{}, err
	}
	miou, _ := c.MeanIoU()
	return cell{Score: miou, Counts: c.Counts, More: map[string]float64{"pixels": c.PixelAccuracy()}}, nil
}

// sandwichNetworks is how many random networks stand for a supernet where its training is tuned.
const sandwichNetworks = 20

// sandwichAblation asks what a step of the supernet should train.
func sandwichAblation() ablation {
	return ablation{
		name: "supernet", use: fmt.Sprintf("mean mIoU of %d random sub-networks, equal numbers of network passes in training", sandwichNetworks),
		columns: supernetColumns(), score: supernetScorer(sandwichNetworks),
		variants: []variant{
			{name: "single", what: "one drawn network a step"},
			{name: "sandwich", what: "the largest, the smallest and two drawn networks a step, a quarter of the steps", change: func(c *Config) { c.sandwiched(4, 0) }},
			{name: "distill", what: "a sandwich in which the largest teaches the others, labels half", change: func(c *Config) { c.sandwiched(4, 0.5) }},
			{name: "distill-only", what: "a sandwich in which the others learn from the largest alone", change: func(c *Config) { c.sandwiched(4, 1) }},
			{name: "ema", what: "one drawn network a step, moving average of the weights, decay 0.99", change: func(c *Config) { c.Optimiser.Average = 0.99 }},
			{name: "small-first", what: "one drawn network a step, three quarters of each phase's steps on pictures of half the height and width, as many pixels in all", change: func(c *Config) {
				c.Shrinking = smallFirst(c.Shrinking, smallShare)
			}},
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
	return p.fromScratch(ctx, name, p.about(train.Plain, &a), p.data.Train, p.data.SearchVal)
}

// fromScratch trains the described network from random weights on one data set and scores it on another.
func (p *pipeline) fromScratch(ctx context.Context, name string, about train.Description, on, judgedOn data.Dataset) (cell, error) {
	model, err := about.Build(p.machine.context, p.rng(baselineWeights))
	if err != nil {
		return cell{}, err
	}
	defer model.Close()
	a := archIn(model)
	if err := p.train(ctx, job{name: name, model: model, about: about, schedule: p.cfg.Scratch, sample: train.Fixed(a), data: on}); err != nil {
		return cell{}, err
	}
	return p.judge(ctx, model, judgedOn)
}
