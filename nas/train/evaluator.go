package train

import (
	"context"

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
	network, err := supernet.Cut(e.Supernet, a)
	if err != nil {
		return nil, err
	}
	defer network.Close()
	if e.Recalibration != nil {
		if err := e.Worker.Recalibrate(ctx, network, a, e.Recalibration); err != nil {
			return nil, err
		}
	}
	return e.Worker.Evaluate(ctx, network, a, e.Validation)
}
