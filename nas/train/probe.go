package train

import (
	"context"
	"time"
)

// Probe measures what a step of a training takes on this machine, data included: the mean over a few steps, evenly spread over the
// schedule, after one that only warms up. It stops early when enough time was spent. The model is trained by these steps: give one
// that is not needed afterwards. Nothing is saved.
func (w *Worker) Probe(ctx context.Context, t Training, steps int, enough time.Duration) (time.Duration, error) {
	all := t.Schedule.Steps()
	spread := func(i int) int { return (2*i + 1) * all / (2 * steps) }
	loader, err := t.loader(0, func(batch int) int { return spread(max(0, batch-1)) % all })
	if err != nil {
		return 0, err
	}
	defer loader.Close()
	one := func(step int) error {
		b, err := loader.Next(ctx)
		if err != nil {
			return err
		}
		defer loader.Release(b)
		_, err = w.step(&t, step, b)
		return err
	}
	if err := one(spread(0)); err != nil {
		return 0, err
	}
	began := time.Now()
	for i := range steps {
		if err := one(spread(i)); err != nil {
			return 0, err
		}
		if spent := time.Since(began); i+1 == steps || spent > enough {
			return spent / time.Duration(i+1), nil
		}
	}
	return 0, nil
}
