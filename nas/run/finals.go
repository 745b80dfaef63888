package run

import (
	"context"
	"fmt"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// The final networks' names, which are their folders' too.
const (
	baselineName = "baseline"
	controlName  = "control"
	handName     = "hand-scaled"
	winnerName   = "winner"
)

// finalNetwork is one of the networks that a run ends with, trained.
type finalNetwork struct {
	Name   string     `json:"name"`
	How    string     `json:"how"` // it was trained
	Arch   space.Arch `json:"arch"`
	Counts []int64    `json:"confusion"` // on the reported split, as in metrics.Confusion

	model *supernet.Plain
}

func (f *finalNetwork) miou() float64 {
	mean, _ := confusionOf(f.Counts).MeanIoU()
	return mean
}

// finals lists the networks that are compared: the baseline from random weights, and, cut out of the supernet and all trained
// alike, the baseline again as the control, the hand-scaled network and the winner. In a space of bit widths the first is in floating point, and the
// hand-made ones have the largest widths.
func (p *pipeline) finals(winner space.Arch) []*finalNetwork {
	scratch := fmt.Sprintf("from scratch, %d steps", p.cfg.Scratch.Steps())
	cut := fmt.Sprintf("cut out of the supernet and retrained, %d steps", p.cfg.Retrain.Steps())
	return []*finalNetwork{
		{Name: baselineName, How: scratch, Arch: space.Baseline()},
		{Name: controlName, How: cut, Arch: p.cfg.Space.Widest(space.Baseline())},
		{Name: handName, How: cut, Arch: p.cfg.Space.Widest(space.HandScaled())},
		{Name: winnerName, How: cut, Arch: winner},
	}
}

// closeAll closes the networks' models, as far as they were made.
func closeAll(all []*finalNetwork) {
	for _, f := range all {
		if f.model != nil {
			f.model.Close()
		}
	}
}

// final trains and evaluates one network, or loads it when that is done already.
func (p *pipeline) final(ctx context.Context, f *finalNetwork, super supernet.Model) (err error) {
	if err := p.bringFinal(f); err != nil {
		return err
	}
	schedule := p.cfg.Retrain
	if f.Name == baselineName {
		schedule = p.cfg.Scratch
		f.model, err = supernet.NewPlain(p.machine.context, p.net, f.Arch, p.rng(baselineWeights))
	} else {
		f.model, err = supernet.Cut(super, f.Arch)
	}
	if err != nil {
		return err
	}
	feed, err := train.Keep(ctx, p.all(p.data.Val), keepBytes)
	if err != nil {
		return err
	}
	evaluate := func(ctx context.Context) (*metrics.Confusion, error) {
		return p.worker.Evaluate(ctx, f.model, f.Arch, feed)
	}
	err = p.train(ctx, job{
		name: f.Name, model: f.model, about: p.about(train.Plain, &f.Arch), schedule: schedule,
		sample: train.Fixed(f.Arch), data: p.data.TrainAll, checks: p.cfg.Checks,
		check: func(ctx context.Context) (train.Checked, error) {
			c, err := evaluate(ctx)
			return train.Checked{Confusion: c}, err
		},
	})
	if err != nil {
		return err
	}
	path := p.folder.file(f.Name, resultFile)
	if found, err := finished(path, f); found || err != nil {
		return err
	}
	c, err := evaluate(ctx)
	if err != nil {
		return err
	}
	f.Counts = c.Counts
	return writeJSON(path, f)
}

// predictions labels the first pictures of the reported split by every network; the second index is the picture's.
func (p *pipeline) predictions(ctx context.Context, all []*finalNetwork, pictures int) (samples []*data.Batch, labels [][][]byte, err error) {
	labels = make([][][]byte, len(all))
	feed := train.All{
		Data: firstOf{p.data.Val, min(pictures, p.data.Val.Len())}, Batch: 1, Height: p.cfg.Height, Width: p.cfg.Width,
	}
	kept, err := train.Keep(ctx, feed, keepBytes)
	if err != nil {
		return nil, nil, err
	}
	err = kept.Each(ctx, func(b *data.Batch) error {
		samples = append(samples, b)
		for i, f := range all {
			predicted, err := p.worker.Predict(f.model, f.Arch, b)
			if err != nil {
				return err
			}
			labels[i] = append(labels[i], predicted)
		}
		return nil
	})
	return samples, labels, err
}
