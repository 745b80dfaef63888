package train

import (
	"context"

	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// Evaluator scores architectures for a search: cut out of the supernet with its weights, statistics recalibrated, mean IoU on the
// search's validation pictures. A score is a function of the supernet, the feeds and the architecture.
type Evaluator struct {
	Worker        *Worker
	Supernet      supernet.Model
	Recalibration Feed
	Validation    Feed
}

// Evaluate implements search.Evaluator.
func (e *Evaluator) Evaluate(ctx context.Context, a space.Arch) (search.Score, error) {
	network, err := supernet.Cut(e.Supernet, a)
	if err != nil {
		return search.Score{}, err
	}
	defer network.Close()
	if err := e.Worker.Recalibrate(ctx, network, a, e.Recalibration); err != nil {
		return search.Score{}, err
	}
	confusion, err := e.Worker.Evaluate(ctx, network, a, e.Validation)
	if err != nil {
		return search.Score{}, err
	}
	miou, _ := confusion.MeanIoU()
	return search.Score{MIoU: miou}, nil
}
