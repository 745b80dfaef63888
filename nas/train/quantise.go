package train

import (
	"context"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// calibrationBatches are behind the first clips of a quantised training.
const calibrationBatches = 4

// Calibrate fits a quantised model's clips, of all bit widths: those of weights to the weights, those of activations to the batches of a feed, on which
// architecture a runs.
func (w *Worker) Calibrate(ctx context.Context, m supernet.Model, a space.Arch, feed Feed) error {
	if err := supernet.FitWeights(m); err != nil {
		return err
	}
	return w.FitClips(ctx, m, a, feed)
}

// FitClips is Calibrate for the clips of activations alone. It needs no running statistics and leaves them alone: compute them after it.
func (w *Worker) FitClips(ctx context.Context, m supernet.Model, a space.Arch, feed Feed) error {
	if len(supernet.Quantisers(m)) == 0 {
		return nil
	}
	return w.overBatches(ctx, m, a, feed, nn.Calibrate)
}

// fitQuantisers calibrates a model that was built or cut out of float weights, whose clips are zero; others stay as they are.
func (t *Training) fitQuantisers(ctx context.Context, w *Worker) error {
	if err := w.settle(); err != nil { // the model's own stream reads what the steps before have made
		return err
	}
	fitted, err := Fitted(t.Model)
	if err != nil || fitted {
		return err
	}
	a, err := supernet.Widest(t.Model)
	if err != nil {
		return err
	}
	return w.Calibrate(ctx, t.Model, a, Some{Data: t.Data, Batch: t.Batch, Height: t.Height, Width: t.Width, Seed: t.Seed, Batches: calibrationBatches})
}

// Fitted reports whether a model has no clip that waits to be fitted.
func Fitted(m supernet.Model) (bool, error) {
	for _, q := range supernet.Quantisers(m) {
		for bits := range nn.MostBits + 1 {
			p := q.Clip(bits)
			if p == nil {
				continue
			}
			var clip [1]float32
			if err := gobind.Download(m.Stream(), clip[:], p.Value); err != nil || clip[0] == 0 {
				return false, err
			}
		}
	}
	return true, nil
}
