package search

import (
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// Run searches sp for the network of highest mIoU within all limits, of which there may be none.
//
// With a TracePath it writes each evaluation there as it is made, and where the file holds a part of the same search already, goes
// on after it. No network is evaluated twice.
//
// If ctx is cancelled, or an evaluation fails, it returns the result so far (never nil once the search has begun, but perhaps without
// an evaluation) together with the error, which for a cancelled ctx is ctx.Err(). Bad settings, a limit that no network can meet
// (*InfeasibleError, before anything is evaluated) and a trace that is damaged or of another search are misuse errors. A space
// that runs out of networks within the limits is no error: the search ends early, and Result.Ended says why.
func Run(ctx context.Context, cfg Config, sp space.Space, ev Evaluator, limits []Limit) (*Result, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := sp.Validate(); err != nil {
		return nil, err
	}
	if err := validateLimits(limits); err != nil {
		return nil, err
	}
	if err := cfg.validateFront(limits); err != nil {
		return nil, err
	}
	cfg.KnownSum = knownSum(cfg.Known)
	b, err := newBreeder(cfg, sp, slices.Clone(limits))
	if err != nil {
		return nil, err
	}
	s := &search{cfg: cfg, ev: ev, breeder: b, result: &Result{}}
	if cfg.TracePath != "" {
		s.trace, s.recorded, err = openTrace(cfg.TracePath, newHeader(cfg, sp, limits))
		if err != nil {
			return nil, err
		}
		defer s.trace.file.Close()
	}
	return s.result, s.run(ctx)
}

// search is the state of a running search.
type search struct {
	cfg      Config
	ev       Evaluator
	breeder  *breeder
	trace    *traceFile   // nil for none
	recorded []Evaluation // of the trace, those not yet replayed
	result   *Result
}

func (s *search) run(ctx context.Context) error {
	var last []Evaluation
	for number := range s.cfg.Generations {
		rng := rand.New(rand.NewPCG(s.cfg.Seed, uint64(number)))
		predictor := s.screen(number)
		candidates, err := s.breeder.generation(rng, number, s.pools(last))
		if err != nil {
			return err
		}
		if len(candidates) == 0 && number == 0 {
			return s.breeder.nothing()
		}
		from := len(s.result.All)
		for i, c := range candidates {
			e := Evaluation{Generation: number, Index: i, Arch: c.arch, Costs: c.costs, Origin: c.origin, Parents: c.parents}
			if err = s.evaluate(ctx, e); err != nil {
				break
			}
		}
		last = s.result.All[from:]
		if len(last) > 0 {
			g := summary(last, s.breeder.refused)
			g.Predictor = predictor
			s.result.Generations = append(s.result.Generations, g)
		}
		if err != nil {
			return err
		}
		if asked := s.breeder.size(number); len(candidates) < asked {
			s.result.Ended = fmt.Sprintf("generation %d has only %d of %d networks: %d more draws gave none that is new and within the limits",
				number+1, len(candidates), asked, s.cfg.MaxTries)
			break
		}
	}
	if len(s.recorded) > 0 {
		return misuse.Errorf("%s: goes on for %d lines after the search's end; remove the file to search afresh", s.trace.path, len(s.recorded))
	}
	return nil
}

// evaluate scores the network of e, or takes its score from the trace, and records it.
func (s *search) evaluate(ctx context.Context, e Evaluation) error {
	replayed := len(s.recorded) > 0
	if replayed {
		if err := s.replay(&e); err != nil {
			return err
		}
	} else {
		if err := s.score(ctx, &e); err != nil {
			return err
		}
		if s.trace != nil {
			if err := s.trace.append(e); err != nil {
				return err
			}
		}
	}
	s.result.add(e)
	if s.cfg.Progress != nil {
		s.cfg.Progress(Event{
			Evaluation: e, Best: s.result.Best, Done: len(s.result.All), Total: s.cfg.Evaluations(), Replayed: replayed,
		})
	}
	return nil
}

func (s *search) score(ctx context.Context, e *Evaluation) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	score, err := s.ev.Evaluate(ctx, e.Arch)
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("evaluating %v: %w", e.Arch, err)
	case math.IsNaN(score.MIoU) || math.IsInf(score.MIoU, 0):
		return fmt.Errorf("evaluating %v: mIoU is %v; is the validation set empty?", e.Arch, score.MIoU)
	}
	e.Score, e.Seconds = score, time.Since(start).Seconds()
	return nil
}

// replay takes the score of e from the next line of the trace. Drawing is exact, so a line that holds anything but the network that
// was just drawn, at the same costs, comes from another cost model, another version of the search, or a changed file.
func (s *search) replay(e *Evaluation) error {
	r := s.recorded[0]
	line := len(s.result.All) + 2
	switch {
	case r.Generation != e.Generation || r.Index != e.Index || r.Arch != e.Arch || r.Origin != e.Origin || !slices.Equal(r.Parents, e.Parents):
		return misuse.Errorf("%s: line %d holds network %d of generation %d, %v, where this search draws %v; the costs have changed or lines are missing: remove the file to search afresh",
			s.trace.path, line, r.Index+1, r.Generation+1, r.Arch, e.Arch)
	case !maps.Equal(r.Costs, e.Costs):
		return misuse.Errorf("%s: line %d gives %v costs %v, and now they are %v; restore what they are computed from, or remove the file to search afresh",
			s.trace.path, line, e.Arch, r.Costs, e.Costs)
	}
	s.recorded = s.recorded[1:]
	s.result.Replayed++
	e.Score, e.Seconds = r.Score, r.Seconds
	return nil
}
