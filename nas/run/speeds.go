package run

import (
	"context"
	"errors"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

const (
	probeSteps  = 4
	probeEnough = 4 * time.Second
	probeRuns   = 5
)

// measureSpeeds times a few steps, an evaluation and a few runs of a deployed network, on models that are thrown away.
func (p *pipeline) measureSpeeds(ctx context.Context) (s Speeds, err error) {
	super, err := p.newSupernet()
	if err != nil {
		return s, err
	}
	defer super.Close()
	base := space.Baseline()
	plain, err := supernet.NewPlain(p.machine.context, p.net, base, p.rng(baselineWeights))
	if err != nil {
		return s, err
	}
	defer plain.Close()
	t := p.training(p.supernetJob(super))
	if s.SupernetStep, err = p.worker.Probe(ctx, t, probeSteps, probeEnough); err != nil {
		return s, err
	}
	t = p.training(job{model: plain, schedule: p.cfg.Scratch, sample: train.Fixed(base), data: p.data.TrainAll})
	if s.Step, err = p.worker.Probe(ctx, t, probeSteps, probeEnough); err != nil {
		return s, err
	}
	if s.Integers = p.machine.tablePrecision(p.cfg.Space) == gobind.Int8; s.Integers {
		base = p.cfg.Space.Widest(base)
	}
	if s.Inference, err = p.timeInference(ctx, base); err != nil {
		return s, err
	}
	return s, p.timeEvaluations(ctx, plain, &s)
}

// timeEvaluations times a recalibration batch and an evaluation batch, and multiplies.
func (p *pipeline) timeEvaluations(ctx context.Context, m *supernet.Plain, s *Speeds) error {
	one := func(ds data.Dataset) (time.Duration, error) {
		_, feed := p.feeds(ds, firstOf{ds, min(evaluationBatch, ds.Len())})
		feed, err := train.Keep(ctx, feed, keepBytes)
		if err != nil {
			return 0, err
		}
		began := time.Now()
		_, err = p.worker.Evaluate(ctx, m, m.Arch(), feed)
		return time.Since(began), err
	}
	if _, err := one(p.data.SearchVal); err != nil { // warms up
		return err
	}
	search, err := one(p.data.SearchVal)
	if err != nil {
		return err
	}
	test, err := one(p.data.Val)
	if err != nil {
		return err
	}
	pictures := p.data.SearchVal.Len() + p.cfg.RecalibrationBatches*p.cfg.Batch
	if p.cfg.RecalibrateClips { // which goes over the batches once more
		pictures += p.cfg.RecalibrationBatches * p.cfg.Batch
	}
	s.Evaluation = search * time.Duration(pictures) / time.Duration(min(evaluationBatch, p.data.SearchVal.Len()))
	s.Test = test * time.Duration(p.data.Val.Len()) / time.Duration(min(evaluationBatch, p.data.Val.Len()))
	return nil
}

// timeInference returns the shortest of a few runs of a deployed network.
func (p *pipeline) timeInference(ctx context.Context, a space.Arch) (best time.Duration, err error) {
	runner, err := p.machine.device(p.cfg.Space).Open(ctx, p.net, a, p.cfg.Height, p.cfg.Width, 1)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, runner.Close()) }()
	for i := range probeRuns {
		sample, err := runner.Run()
		if err != nil {
			return 0, err
		}
		if i == 0 || sample.Total < best {
			best = sample.Total
		}
	}
	return best, nil
}

// firstOf is the first n samples of a data set.
type firstOf struct {
	data.Dataset
	n int
}

// Len implements data.Dataset.
func (f firstOf) Len() int { return f.n }
