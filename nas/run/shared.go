package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// What ablations in one folder share: trained supernets with the scores of their networks, one for every seed and recipe, and latency tables, one for
// every device.

// sharedSupernet is a trained supernet, ready to be asked for the scores of its networks.
type sharedSupernet struct {
	super     supernet.Model
	evaluator *train.Evaluator
	cached    *search.Cached
}

func (s *sharedSupernet) close() {
	if s.cached != nil {
		s.cached.Accuracies.Close()
	}
	if s.super != nil {
		s.super.Close()
	}
}

// supernetPart is a configuration without what no supernet and no score depends on, so that one is shared by all that differ in that alone.
func supernetPart(c Config) Config {
	one := train.Schedule{{Steps: 1, LR: 1}}
	c.Scratch, c.Retrain, c.Trial = one, one, one
	c.Search, c.Limits, c.Pareto = search.Config{}, Limits{}, 0
	c.Finalists, c.Checks, c.RandomChecks, c.TableRounds, c.FinalRounds, c.VerifyNetworks = 0, 0, 0, 0, 0, 0
	return c
}

// sharedSupernet trains the supernet of the configuration and its seed, or loads it. One process trains it; others wait for that.
func (p *pipeline) sharedSupernet(ctx context.Context) (s *sharedSupernet, err error) {
	q := *p
	q.cfg = supernetPart(p.cfg)
	s = new(sharedSupernet)
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	name := fmt.Sprintf("%s-%d-%s", supernetName, q.cfg.Seed, q.cfg.hash())
	if q.folder, err = p.waitFor(ctx, filepath.Join(p.shared, name)); err != nil {
		return nil, err
	}
	if s.super, err = q.newSupernet(); err == nil {
		err = q.train(ctx, q.supernetJob(s.super))
	}
	if err = errors.Join(err, q.folder.close()); err != nil {
		return s, err
	}
	if s.evaluator, err = q.evaluator(ctx, s.super); err != nil {
		return s, err
	}
	if err = q.openAccuracies(q.folder.file(accuraciesFile)); err != nil {
		return s, err
	}
	s.cached, err = q.cached(ctx, s.evaluator)
	return s, err
}

// waitFor opens a folder as soon as no other process works in it.
func (p *pipeline) waitFor(ctx context.Context, path string) (*folder, error) {
	for waited := false; ; waited = true {
		f, err := openFolder(path)
		if !errors.Is(err, errInUse) {
			return f, err
		}
		if !waited {
			fmt.Fprintf(p.streams.Err, "waiting for the process that works in %s\n", path)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// sharedTable opens a device's latency table, measures what it lacks, and sets the pipeline's predictor and limits by it.
func (p *pipeline) sharedTable(ctx context.Context) error {
	setup, err := p.setup()
	if err != nil {
		return err
	}
	f, err := p.waitFor(ctx, filepath.Join(p.shared, "table-"+p.machine.short(p.cfg.Space)))
	if err != nil {
		return err
	}
	defer f.close()
	if p.table, err = latency.Open(f.file(tableFile), setup); err != nil {
		return err
	}
	if err = fillTable(ctx, p.table, p.machine, p.cfg.Space, p.cfg.TableRounds, p.streams); err != nil {
		return err
	}
	if p.predictor, err = p.table.Predictor(); err != nil {
		return err
	}
	p.limits, p.limitMS, err = limits(p.cfg, p.net, p.machine, p.predictor)
	return err
}

// short names a machine's way of computing networks of a space in a file's name, such as avx512-f32.
func (m *machine) short(sp space.Space) string {
	place := m.identity.ISA
	if m.identity.Kind != cpuDevice {
		place = m.identity.Kind
	}
	return fmt.Sprintf("%s-%v-%d", place, m.tablePrecision(sp), m.identity.Threads)
}

// retrained trains a network cut out of a shared supernet, by the schedule, on the search's training pictures, so that the search's validation
// pictures are new to it, too.
func (p *pipeline) retrained(ctx context.Context, name string, s *sharedSupernet, a space.Arch, schedule train.Schedule) (*supernet.Plain, error) {
	model, err := supernet.Cut(s.super, a)
	if err != nil {
		return nil, err
	}
	if err = p.train(ctx, job{
		name: name, model: model, about: p.about(train.Plain, &a), schedule: schedule, sample: train.Fixed(a), data: p.data.Train,
	}); err != nil {
		model.Close()
		return nil, err
	}
	return model, nil
}
