package search

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

func byMACs(e Evaluation) float64 { return e.Costs["macs"] }

// frontSpace has 4096 networks, few enough to know their front.
var frontSpace = space.Space{Kernels: []uint8{3, 5}, Expands: []uint8{3, 6}, Depths: []uint8{2}}

// everything evaluates all networks of a space.
func everything(t *testing.T, sp space.Space, o *oracle, l Limit) []Evaluation {
	t.Helper()
	var all []Evaluation
	for a := range sp.All() {
		all = append(all, Evaluation{Arch: a, Score: Score{MIoU: o.score(a)}, Costs: map[string]float64{l.Name: costs(t, l, a)}})
	}
	return all
}

func macsRange(t *testing.T, sp space.Space) (least, most float64) {
	t.Helper()
	_, least, err := Cheapest(sp, macs(1).Cost)
	if err != nil {
		t.Fatal(err)
	}
	_, most, err = Dearest(sp, macs(1).Cost)
	if err != nil {
		t.Fatal(err)
	}
	return least, most
}

func frontConfig(seed uint64, limits []float64) Config {
	c := Config{Population: 40, Pool: 20, Mutants: 20, Crosses: 20, Generations: 10, MutateProb: 0.2, MaxTries: 2000, Seed: seed}
	c.Front = limits
	return c
}

func TestFront_ComesNearTheKnownOneAtATenthOfTheSpace(t *testing.T) {
	least, most := macsRange(t, frontSpace)
	for seed := range seeds(4) {
		o := newOracle(frontSpace.Largest()) // every block more is better: the front spans all costs
		all := everything(t, frontSpace, o, macs(most))
		best := Hypervolume(all, byMACs, least, most)
		r := mustRun(t, frontConfig(seed, FrontLimits(least, most, 8)), frontSpace, o, macs(most))
		found := Hypervolume(r.All, byMACs, least, most)
		if len(r.All) != 400 || found < 0.98*best || found > best+1e-12 {
			t.Errorf("seed %d: %d networks have a hypervolume of %.4f, all %d have %.4f", seed, len(r.All), found, len(all), best)
		}
		// At each limit the search is as good as one could ask: at most a gene or two from the best there.
		for _, limit := range FrontLimits(least, most, 8) {
			at := func(list []Evaluation) (best float64) {
				for _, e := range list {
					if byMACs(e) <= limit {
						best = max(best, e.MIoU)
					}
				}
				return best
			}
			if at(r.All) < at(all)-0.08 {
				t.Errorf("seed %d, %.1f M: found %.3f, the best is %.3f", seed, limit, at(r.All), at(all))
			}
		}
	}
}

func TestFront_HasMoreHypervolumeThanASearchWithinOneLimit(t *testing.T) {
	sp := space.Default()
	least, most := macsRange(t, sp)
	wins, tried := 0, seeds(8)
	for seed := range tried {
		front := frontConfig(seed, FrontLimits(least, most, 8))
		one, random := front, front
		one.Front, random.Front, random.Random = nil, nil, true
		volume := func(c Config) float64 {
			r := mustRun(t, c, sp, newOracle(sp.Largest()), macs(most))
			if len(r.All) != c.Evaluations() {
				t.Fatalf("%d evaluations", len(r.All))
			}
			return Hypervolume(r.All, byMACs, least, most)
		}
		if v := volume(front); v > volume(one) && v > volume(random) {
			wins++
		}
	}
	if wins < int(tried)-1 {
		t.Errorf("the front is ahead with %d of %d seeds", wins, tried)
	}
}

func TestFront_OfOneLimitKeepsToIt(t *testing.T) {
	r := mustRun(t, frontConfig(1, []float64{32}), space.Default(), newOracle(randomArch(3)), macs(40))
	for _, e := range r.All {
		if byMACs(e) > 32 {
			t.Errorf("%v costs %v", e.Arch, byMACs(e))
		}
	}
}

func TestFront_SpentLimitsLeaveTheirPlacesToOthers(t *testing.T) {
	sp := space.Space{Kernels: []uint8{3, 5}, Expands: []uint8{3, 6}, Depths: []uint8{1}} // 64 networks
	least, most := macsRange(t, sp)
	cfg := Config{Population: 16, Pool: 8, Mutants: 8, Crosses: 8, Generations: 4, MutateProb: 0.3, MaxTries: 2000}
	cfg.Front = []float64{least * 1.0001, most} // within the first lie one network or two
	r := mustRun(t, cfg, sp, newOracle(sp.Largest()), macs(most))
	if len(r.All) != 64 || r.Ended != "" {
		t.Errorf("%d networks, ended %q", len(r.All), r.Ended)
	}
}

func TestFront_SameSeedSameTraceAndKilledAnywhereEndsTheSame(t *testing.T) {
	sp := space.Default()
	least, most := macsRange(t, sp)
	cfg := Config{Population: 9, Pool: 6, Mutants: 4, Crosses: 4, Generations: 4, MutateProb: 0.2, MaxTries: 1000, Seed: 7, Screen: 4, ScreenSpearman: -1}
	cfg.Front = FrontLimits(least, most, 3)
	cfg.TracePath = filepath.Join(t.TempDir(), "trace.jsonl")
	run := func() *Result { return timeless(mustRun(t, cfg, sp, newOracle(randomArch(6)), macs(most))) }
	want := run()
	text, err := os.ReadFile(cfg.TracePath)
	if err != nil {
		t.Fatal(err)
	}
	if p := want.Generations[3].Predictor; p == nil || !p.Used {
		t.Fatal("the regression was not used, so that its replay is not tried")
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for n := range lines {
		for _, torn := range [][]byte{nil, lines[n][:len(lines[n])/2]} {
			if err := os.WriteFile(cfg.TracePath, append(bytes.Join(lines[:n], nil), torn...), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := run(); !reflect.DeepEqual(got, want) {
				t.Errorf("killed in line %d: other end", n+1)
			}
		}
	}
	other := cfg
	other.Front = FrontLimits(least, most, 4)
	if _, err := Run(context.Background(), other, sp, newOracle(randomArch(6)), []Limit{macs(most)}); !misuse.Is(err) {
		t.Errorf("the trace of another front: %v", err)
	}
}

func TestHypervolume_IsTheAreaUnderTheSteps(t *testing.T) {
	at := func(cost, miou float64) Evaluation {
		return Evaluation{Score: Score{MIoU: miou}, Costs: map[string]float64{"macs": cost}}
	}
	for _, c := range []struct {
		name string
		all  []Evaluation
		want float64
	}{
		{"none", nil, 0},
		{"one at the least cost", []Evaluation{at(2, 0.5)}, 0.5},
		{"one below it", []Evaluation{at(1, 0.5)}, 0.5},
		{"one half way", []Evaluation{at(3, 0.5)}, 0.25},
		{"one beyond", []Evaluation{at(5, 0.5)}, 0},
		{"steps", []Evaluation{at(3, 0.8), at(2, 0.2), at(5, 1)}, 0.5},
		{"a dominated one more", []Evaluation{at(3, 0.8), at(2, 0.2), at(3.5, 0.7)}, 0.5},
	} {
		if got := Hypervolume(c.all, byMACs, 2, 4); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestFront_RefusesBadLimits(t *testing.T) {
	for name, c := range map[string]struct {
		front  []float64
		limits []Limit
		random bool
	}{
		"falling":  {[]float64{30, 20}, []Limit{macs(40)}, false},
		"zero":     {[]float64{0, 20}, []Limit{macs(40)}, false},
		"NaN":      {[]float64{math.NaN()}, []Limit{macs(40)}, false},
		"beyond":   {[]float64{30, 50}, []Limit{macs(40)}, false},
		"no limit": {[]float64{30}, nil, false},
		"random":   {[]float64{30}, []Limit{macs(40)}, true},
	} {
		cfg := small(1)
		cfg.Front, cfg.Random = c.front, c.random
		if _, err := Run(context.Background(), cfg, space.Default(), newOracle(randomArch(1)), c.limits); !misuse.Is(err) {
			t.Errorf("%s: %v, want misuse", name, err)
		}
	}
}
