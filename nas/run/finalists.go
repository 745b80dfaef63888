package run

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// A supernet's scores rank networks only roughly: those at the top lie closer together than its error. So the best few, and the hand-made networks
// within reach, are retrained for a while on the search's training pictures and judged again on its validation pictures; the best of them is
// the winner. The reported split has no part in it.

// finalist is a network that stood for the winner, and what its trial gave.
type finalist struct {
	Arch   space.Arch `json:"arch"`
	Search float64    `json:"search_miou"` // with the supernet's weights
	Counts []int64    `json:"confusion"`   // after the trial, as in metrics.Confusion; both on the search's validation split

	evaluation search.Evaluation
}

func (f finalist) miou() float64 {
	mean, _ := confusionOf(f.Counts).MeanIoU()
	return mean
}

// finalistDistance is how far finalists lie apart where there are enough of them: two genes or three. Nearer ones would say the same.
const finalistDistance = 0.1

// finalistsOf lists the best n networks of a search, none too near a better one, and then the given ones that are not among them.
func finalistsOf(found *search.Result, n int) []finalist {
	ranked := slices.Clone(found.All)
	slices.SortStableFunc(ranked, func(a, b search.Evaluation) int { return cmp.Compare(b.MIoU, a.MIoU) })
	var kept []finalist
	near := func(a space.Arch, distance float64) bool {
		return slices.ContainsFunc(kept, func(f finalist) bool { return space.Distance(f.Arch, a) <= distance })
	}
	add := func(e search.Evaluation) { kept = append(kept, finalist{Arch: e.Arch, Search: e.MIoU, evaluation: e}) }
	for _, distance := range []float64{finalistDistance, 0} {
		for _, e := range ranked {
			if len(kept) < n && !near(e.Arch, distance) {
				add(e)
			}
		}
	}
	for _, e := range ranked {
		if e.Origin == search.Given && !near(e.Arch, 0) {
			add(e)
		}
	}
	return kept
}

// choice is the winner, and what it was chosen from.
type choice struct {
	winner search.Evaluation
	tried  []finalist // nil: the search's best is the winner
}

// choose tries the finalists. With one there is nothing to try.
func (p *pipeline) choose(ctx context.Context, found *search.Result, super supernet.Model) (choice, error) {
	if p.cfg.Finalists < 2 {
		return choice{winner: found.Best}, nil
	}
	all := finalistsOf(found, p.cfg.Finalists)
	for i := range all {
		if err := p.try(ctx, finalistName(i+1), &all[i], super); err != nil {
			return choice{}, err
		}
	}
	best := all[0]
	for _, f := range all[1:] {
		if f.miou() > best.miou() {
			best = f
		}
	}
	return choice{best.evaluation, all}, nil
}

// finalistName is the stage and folder of the i-th trial, from 1.
func finalistName(i int) string { return fmt.Sprintf("finalist-%d", i) }

// try retrains a finalist for a while and evaluates it, or loads what that gave.
func (p *pipeline) try(ctx context.Context, name string, f *finalist, super supernet.Model) error {
	var old finalist
	if err := p.bringFinalist(name, f); err != nil {
		return err
	}
	path := p.folder.file(name, resultFile)
	if found, err := finished(path, &old); err != nil {
		return err
	} else if found {
		f.Counts = old.Counts
		return nil
	}
	model, err := supernet.Cut(super, f.Arch)
	if err != nil {
		return err
	}
	defer model.Close()
	if err := p.train(ctx, job{
		name: name, model: model, about: p.about(train.Plain, &f.Arch), schedule: p.cfg.Trial, sample: train.Fixed(f.Arch), data: p.data.Train,
	}); err != nil {
		return err
	}
	c, err := p.worker.Evaluate(ctx, model, f.Arch, p.all(p.data.SearchVal))
	if err != nil {
		return err
	}
	f.Counts = c.Counts
	return writeJSON(path, f)
}

// notes say how the winner was chosen.
func (c choice) notes() []string {
	if c.tried == nil {
		return []string{"The winner is the best network ever evaluated by the search, with the supernet's weights, on the search's validation pictures; the mIoU here is on other pictures."}
	}
	notes := []string{fmt.Sprintf("The winner is the best of %d finalists after a short retraining, on the search's validation pictures; the mIoU above is on other pictures.", len(c.tried))}
	for i, f := range c.tried {
		chosen := ""
		if f.Arch == c.winner.Arch {
			chosen = ": the winner"
		}
		notes = append(notes, fmt.Sprintf("Finalist %d, %v: %.1f %% with the supernet's weights, %.1f %% after its trial%s.", i+1, f.Arch, 100*f.Search, 100*f.miou(), chosen))
	}
	return notes
}
