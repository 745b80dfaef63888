package search

import (
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// scoresOf are the scores of another search, for a device on which networks cost otherwise.
func scoresOf(t *testing.T, o *oracle) []Accuracy {
	t.Helper()
	var list []Accuracy
	for _, e := range mustRun(t, screening(50, 0), space.Default(), o, params(1)).All {
		list = append(list, Accuracy{Fingerprint: "weights 1", Arithmetic: "avx512", Arch: e.Arch, Score: e.Score})
	}
	return list
}

func TestKnown_TheBestWithinTheLimitsBeginTheSearch(t *testing.T) {
	o := newOracle(randomArch(4))
	known := scoresOf(t, o)
	limit := macs(40)
	best := 0.0
	inReach := map[space.Arch]bool{}
	for _, k := range known {
		if costs(t, limit, k.Arch) <= limit.Max {
			inReach[k.Arch] = true
			best = max(best, k.MIoU)
		}
	}
	cfg := small(1)
	cfg.Known = known
	r := mustRun(t, cfg, space.Default(), o, limit)
	for i, e := range r.All {
		if (e.Origin == Known) != (i < cfg.Population/2) || e.Origin == Known && !inReach[e.Arch] {
			t.Errorf("network %d is %v (%s)", i+1, e.Arch, e.Origin)
		}
	}
	if r.All[0].MIoU != best || r.Best.MIoU < best {
		t.Errorf("it begins with %v and ends with %v, %v was known", r.All[0].MIoU, r.Best.MIoU, best)
	}
	least, most := macsRange(t, space.Default())
	cfg.Front = FrontLimits(least, most, 3)
	r = mustRun(t, cfg, space.Default(), o, macs(most))
	for i, e := range r.All[:6] { // each limit in turn
		if e.Origin != Known || byMACs(e) > cfg.Front[i%3] {
			t.Errorf("network %d of the front costs %v (%s), its limit is %v", i+1, byMACs(e), e.Origin, cfg.Front[i%3])
		}
	}
}

func TestKnown_TheRegressionLearnsFromTheFirstGenerationOn(t *testing.T) {
	o := newOracle(randomArch(4))
	cfg := screening(1, 8)
	cfg.Known = scoresOf(t, o)
	cfg.TracePath = filepath.Join(t.TempDir(), "trace.jsonl")
	r := mustRun(t, cfg, space.Default(), o, macs(40))
	if p := r.Generations[0].Predictor; p == nil || !p.Used || p.Networks != len(cfg.Known) {
		t.Errorf("generation 1: %v", p)
	}
	plain := mustRun(t, screening(1, 8), space.Default(), o, macs(40))
	if r.Generations[0].Mean <= plain.Generations[0].Mean {
		t.Errorf("the first generation's mean is %v, without known scores %v", r.Generations[0].Mean, plain.Generations[0].Mean)
	}
	again := mustRun(t, cfg, space.Default(), newOracle(randomArch(4)), macs(40))
	if again.Replayed != len(r.All) || !reflect.DeepEqual(timeless(again), timeless(r)) {
		t.Errorf("%d of %d replayed, or to another end", again.Replayed, len(r.All))
	}
	cfg.Known = cfg.Known[1:]
	if _, err := Run(t.Context(), cfg, space.Default(), o, []Limit{macs(40)}); !misuse.Is(err) || !strings.Contains(err.Error(), "known scores") {
		t.Errorf("a trace of other known scores: %v", err)
	}
}

func TestLearned_IsBoundedAndHasNoNetworkTwice(t *testing.T) {
	o := newOracle(randomArch(4))
	s := &search{cfg: Config{}, result: &Result{All: scoredAtRandom(300, 1, o.score)}}
	for _, e := range append(scoredAtRandom(300, 2, o.score), s.result.All[:50]...) {
		s.cfg.Known = append(s.cfg.Known, Accuracy{Arch: e.Arch, Score: e.Score})
	}
	for range 2 {
		all := s.learned(rand.New(rand.NewPCG(3, 0)))
		seen := map[space.Arch]bool{}
		for _, e := range all {
			seen[e.Arch] = true
		}
		if len(all) != regressionMost || len(seen) != len(all) || !reflect.DeepEqual(all, s.learned(rand.New(rand.NewPCG(3, 0)))) {
			t.Errorf("%d networks, %d different", len(all), len(seen))
		}
		s.result.All = append(s.result.All, scoredAtRandom(200, 7, o.score)...) // more than are learned from
	}
}
