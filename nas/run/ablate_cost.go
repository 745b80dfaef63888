package run

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// publishedEpochs are the supernet's phases by the thesis, whose baseline trains as long as the first.
var publishedEpochs = []float64{1000, 250, 750}

const (
	costTurns = 6 // turns, each of a few steps of every training
	costSteps = 6
)

// costAblation asks what a supernet's training costs beside that of one network.
func costAblation() ablation {
	return ablation{
		name: "cost", use: "time of the supernet's training over the baseline's, at the published ratio of epochs", score: (*pipeline).scoreCost,
		columns:  []column{{"supernet over baseline", "x"}, {"by multiply-adds", "x"}, {"baseline step", "ms"}, {"phase 1 step", "ms"}, {"phase 2 step", "ms"}, {"phase 3 step", "ms"}},
		variants: []variant{{name: "time", what: "steps of the baseline and of each phase, timed in turns"}},
		conclude: concludeCost,
	}
}

// scoreCost times steps of each phase and of the baseline in turns. Nothing that it trains is kept.
func (p *pipeline) scoreCost(ctx context.Context, _ string) (cell, error) {
	super, err := p.newSupernet()
	if err != nil {
		return cell{}, err
	}
	defer super.Close()
	base := space.Baseline()
	plain, err := supernet.NewPlain(p.machine.context, p.net, base, p.rng(baselineWeights))
	if err != nil {
		return cell{}, err
	}
	defer plain.Close()
	trainings := []train.Training{p.training(job{model: plain, schedule: p.cfg.Scratch, sample: train.Fixed(base), data: p.data.Train})}
	for _, phase := range p.cfg.Shrinking {
		j := p.supernetJob(super)
		j.schedule = train.Schedule{phase}
		j.sample = train.Draw(p.cfg.Space, j.schedule, p.cfg.Sandwich, p.cfg.Seed)
		trainings = append(trainings, p.training(j))
	}
	if len(trainings) != 1+len(publishedEpochs) {
		return cell{}, fmt.Errorf("the supernet's schedule has %d phases; the published one has %d", len(trainings)-1, len(publishedEpochs))
	}
	spent := make([]time.Duration, len(trainings))
	bar := NewProgress(p.streams.Err, "cost", "turns", 0, costTurns)
	for turn := range costTurns {
		for i, t := range trainings {
			step, err := p.worker.Probe(ctx, t, costSteps, time.Hour)
			if err != nil {
				return cell{}, err
			}
			spent[i] += step / costTurns
		}
		bar.Set(turn+1, fmt.Sprintf("baseline %.0f ms", milliseconds(spent[0])*costTurns/float64(turn+1)))
	}
	bar.Finish("")
	c := cell{More: map[string]float64{"baseline step": milliseconds(spent[0])}}
	baseMACs := float64(p.cfg.Network(2).MACs(base, p.cfg.Height, p.cfg.Width)) // as passMACs counts
	for i, epochs := range publishedEpochs {
		share := epochs / publishedEpochs[0]
		c.Score += share * float64(spent[i+1]) / float64(spent[0])
		c.More["by multiply-adds"] += share * p.cfg.passMACs(p.cfg.Shrinking[i].MinDepth) / baseMACs
		c.More[fmt.Sprintf("phase %d step", i+1)] = milliseconds(spent[i+1])
	}
	return c, nil
}

// concludeCost adds what a further device took, where the devices were searched for.
func concludeCost(p *pipeline, _ context.Context, a *Ablated) error {
	var devices Ablated
	found, err := finished(filepath.Join(p.shared, devicesName, resultFile), &devices)
	if err != nil || !found {
		return err
	}
	for _, r := range devices.Rows {
		a.Notes = append(a.Notes, fmt.Sprintf("A further device, %s: latency table and search took %s a seed (scores that an earlier search knew, in no time).", r.Variant, short(r.Took)))
	}
	return nil
}
