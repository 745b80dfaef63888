package train

import (
	"context"
	"errors"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// Evaluator scores architectures for a search: cut out of the supernet with its weights, statistics recalibrated, mean IoU on the
// search's validation pictures. A score is a function of the supernet, the feeds and the architecture.
type Evaluator struct {
	Worker        *Worker
	Supernet      supernet.Model
	Recalibration Feed // nil: the supernet's running statistics stay, which are those of other widths too
	Clips         bool // clips of activations are fitted to Recalibration's batches, too; else they stay, which serve other widths and depths too
	Validation    Feed
}

// Evaluate implements search.Evaluator.
func (e *Evaluator) Evaluate(ctx context.Context, a space.Arch) (search.Score, error) {
	confusion, err := e.Confusion(ctx, a)
	if err != nil {
		return search.Score{}, err
	}
	miou, _ := confusion.MeanIoU()
	return search.Score{MIoU: miou}, nil
}

// Confusion is Evaluate with all that was counted.
func (e *Evaluator) Confusion(ctx context.Context, a space.Arch) (*metrics.Confusion, error) {
	network, err := e.cut(ctx, a)
	if err != nil {
		return nil, err
	}
	defer network.Close()
	return e.Worker.Evaluate(ctx, network, a, e.Validation)
}

// cut returns the network that is scored.
func (e *Evaluator) cut(ctx context.Context, a space.Arch) (*supernet.Plain, error) {
	network, err := supernet.Cut(e.Supernet, a)
	if err != nil {
		return nil, err
	}
	if err := e.recalibrate(ctx, network, a); err != nil {
		network.Close()
		return nil, err
	}
	return network, nil
}

// recalibrate fits clips first: the statistics are those of what the clips let through.
func (e *Evaluator) recalibrate(ctx context.Context, network *supernet.Plain, a space.Arch) error {
	if e.Recalibration == nil {
		if e.Clips {
			return errors.New("clips are to be fitted, and there are no batches for that")
		}
		return nil
	}
	if e.Clips {
		if err := e.Worker.FitClips(ctx, network, a, e.Recalibration); err != nil {
			return err
		}
	}
	return e.Worker.Recalibrate(ctx, network, a, e.Recalibration)
}
