package search

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

func TestRun_FindsTheKnownOptimumWithinTheLimit(t *testing.T) {
	sp := space.Space{Kernels: []uint8{3, 5}, Expands: []uint8{3, 6}, Depths: []uint8{2}}
	limit := macs(30)
	for seed := range uint64(5) {
		o := newOracle(sp.Largest()) // over the limit, so that the optimum lies on its edge
		best := -1.0
		for a := range sp.All() {
			if costs(t, limit, a) <= limit.Max {
				best = max(best, o.score(a))
			}
		}
		if best >= o.score(o.target) {
			t.Fatal("the limit does not bind")
		}
		cfg := Thesis()
		cfg.Seed = seed
		r := mustRun(t, cfg, sp, o, limit)
		if math.Abs(r.Best.MIoU-best) > 1e-12 {
			t.Errorf("seed %d: found %v with %v, the optimum is %v", seed, r.Best.Arch, r.Best.MIoU, best)
		}
	}
}

func TestRun_EvolutionBeatsRandomSearchAtEqualEvaluations(t *testing.T) {
	const seeds = 20
	wins, gain := 0, 0.0
	for seed := range uint64(seeds) {
		o := newOracle(randomArch(seed))
		cfg := Config{Population: 20, Pool: 10, Mutants: 10, Crosses: 10, Generations: 8, MutateProb: 0.2, MaxTries: 1000, Seed: seed}
		evolved := mustRun(t, cfg, space.Default(), o)
		cfg.Random = true
		random := mustRun(t, cfg, space.Default(), o)
		if len(evolved.All) != len(random.All) || len(random.All) != cfg.Evaluations() {
			t.Fatalf("%d and %d evaluations", len(evolved.All), len(random.All))
		}
		if evolved.Best.MIoU > random.Best.MIoU {
			wins++
		}
		gain += (evolved.Best.MIoU - random.Best.MIoU) / seeds
	}
	if wins < seeds-2 || gain < 0.1 {
		t.Errorf("evolution wins %d of %d, by %.3f on average", wins, seeds, gain)
	}
}

func TestRun_BeginsWithTheGivenNetworksWithinReach(t *testing.T) {
	sp := space.Default()
	hand, base := space.HandScaled(), space.Baseline()
	limit := macs(costs(t, macs(1), hand)) // the baseline is over it
	cfg := sixty()
	cfg.Given = []space.Arch{base, hand, hand}
	r, err := Run(context.Background(), cfg, sp, newOracle(hand), []Limit{limit})
	if err != nil {
		t.Fatal(err)
	}
	if first := r.All[0]; first.Arch != hand || first.Origin != Given {
		t.Errorf("the first network is %v (%s), not the given %v", first.Arch, first.Origin, hand)
	}
	if len(r.All) != cfg.Evaluations() {
		t.Errorf("%d evaluations, asked for %d", len(r.All), cfg.Evaluations())
	}
	for _, e := range r.All[1:] {
		if e.Origin == Given || e.Arch == base {
			t.Errorf("network %d of generation %d is %v (%s)", e.Index, e.Generation, e.Arch, e.Origin)
		}
	}
	if r.Best.Arch != hand {
		t.Errorf("the best is %v with %.3f, though %v scores 1", r.Best.Arch, r.Best.MIoU, hand)
	}
}

func TestRun_HoldsItsPromises(t *testing.T) {
	sp := space.Default()
	limits := []Limit{macs(32), params(0.8)}
	o := newOracle(sp.Largest())
	cfg := small(3)
	events := 0
	cfg.Progress = func(e Event) {
		events++
		if e.Done != events || e.Total != cfg.Evaluations() || e.Replayed || e.Best.MIoU < e.Evaluation.MIoU {
			t.Errorf("event %d: %+v", events, e)
		}
	}
	r := mustRun(t, cfg, sp, o, limits...)
	if len(r.All) != 60 || events != 60 || len(r.Generations) != 5 || r.Ended != "" || r.Replayed != 0 {
		t.Fatalf("%d evaluations, %d events, %d generations, ended %q", len(r.All), events, len(r.Generations), r.Ended)
	}
	best, last := -1.0, -1.0
	for _, e := range r.All {
		if o.seen[e.Arch] != 1 {
			t.Errorf("%v was evaluated %d times", e.Arch, o.seen[e.Arch])
		}
		for _, l := range limits {
			if c := costs(t, l, e.Arch); c > l.Max || c != e.Costs[l.Name] {
				t.Errorf("%v has %s %v, limit %v, recorded %v", e.Arch, l.Name, c, l.Max, e.Costs)
			}
		}
		best = max(best, e.MIoU)
		if e.Generation == 4 {
			last = max(last, e.MIoU)
		}
		checkOrigin(t, cfg, r, e)
	}
	if r.Best.MIoU != best || r.BestOfLast.MIoU != last {
		t.Errorf("best %v of %v, best of the last generation %v of %v", r.Best.MIoU, best, r.BestOfLast.MIoU, last)
	}
	for i, g := range r.Generations {
		if g.Evaluated != 12 || g.Diversity <= 0 || g.Diversity > 1 || g.Best < g.Mean {
			t.Errorf("generation %d: %+v", i, g)
		}
	}
	if r.Refused().OverLimit == 0 {
		t.Error("no draw was over the limit, so the limits were not tried")
	}
}

// checkOrigin holds a child to its generation's recipe: the parents are in the pool, the best half of the generation before.
func checkOrigin(t *testing.T, cfg Config, r *Result, e Evaluation) {
	t.Helper()
	want := Crossed
	switch {
	case e.Generation == 0:
		want = Drawn
	case e.Index < cfg.Mutants:
		want = Mutated
	}
	if e.Origin != want || len(e.Parents) != map[Origin]int{Drawn: 0, Mutated: 1, Crossed: 2}[want] {
		t.Errorf("network %d of generation %d: %s with %d parents", e.Index, e.Generation, e.Origin, len(e.Parents))
	}
	for _, p := range e.Parents {
		inPool := false
		for _, b := range best(r.All[12*(e.Generation-1):12*e.Generation], cfg.Pool) {
			inPool = inPool || b.Arch == p
		}
		if !inPool {
			t.Errorf("parent %v of %v was not in the pool", p, e.Arch)
		}
	}
}

func TestRun_RefusesAtOnceWhatNoNetworkCanMeet(t *testing.T) {
	sp := space.Default()
	_, least, err := Cheapest(sp, macs(1).Cost)
	if err != nil {
		t.Fatal(err)
	}
	o := newOracle(sp.Largest())
	_, err = Run(context.Background(), small(1), sp, o, []Limit{params(9), macs(least * 0.99)})
	var infeasible *InfeasibleError
	if !errors.As(err, &infeasible) || !errors.Is(err, ErrInfeasible) || !misuse.Is(err) {
		t.Fatalf("got %v", err)
	}
	if infeasible.Costs["macs"] != least || infeasible.Tries != 0 || len(o.seen) != 0 {
		t.Errorf("%+v after %d evaluations", infeasible, len(o.seen))
	}
	if want := "least of all networks is " + macs(0).amount(least); !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q lacks %q", err, want)
	}
	// The limit that the message names can be met, although hardly any network meets it.
	var named float64
	if _, err := fmt.Sscan(macs(0).amount(least), &named); err != nil {
		t.Fatal(err)
	}
	if r := mustRun(t, small(1), sp, o, macs(named)); len(r.All) == 0 || r.Ended == "" {
		t.Errorf("%d evaluations, ended %q", len(r.All), r.Ended)
	}
}

func TestRun_LimitsThatExcludeEachOtherGiveTheNearest(t *testing.T) {
	sp := space.Default()
	few := params(0.5)
	many := Limit{Name: "lack", Unit: "M", Max: 1, Cost: func(a space.Arch) (float64, error) {
		v, err := few.Cost(a)
		return 1.6 - v, err // at least 0.6 M parameters
	}}
	cfg := small(1)
	cfg.MaxTries = 200
	_, err := Run(context.Background(), cfg, sp, newOracle(sp.Largest()), []Limit{few, many})
	var infeasible *InfeasibleError
	if !errors.As(err, &infeasible) || !misuse.Is(err) || infeasible.Tries != 200 {
		t.Fatalf("got %v", err)
	}
	// Excess by the same factor on both sides is nearest: p/0.5 = 1.6-p at p = 0.5333.
	if p := infeasible.Costs["params"]; p < 0.52 || p > 0.56 || p != costs(t, few, infeasible.Nearest) {
		t.Errorf("nearest has %v M parameters: %v", p, err)
	}
}

func TestRun_EndsInWordsWhenTheSpaceRunsOut(t *testing.T) {
	sp := space.Space{Kernels: []uint8{3, 5}, Expands: []uint8{4}, Depths: []uint8{1}} // 8 networks
	for _, c := range []struct {
		population  int
		generations int
		want        string
	}{
		{12, 1, "generation 1 has only 8 of 12"},
		{5, 2, "generation 2 has only 3 of 6"},
		{8, 1, ""},
		{8, 1, "generation 2 has only 0 of 6"},
	} {
		cfg := Config{Population: c.population, Pool: 2, Mutants: 3, Crosses: 3, Generations: 3, MutateProb: 0.5, MaxTries: 500}
		if c.want == "" {
			cfg.Generations = 1
		}
		r := mustRun(t, cfg, sp, newOracle(sp.Largest()))
		if len(r.All) != 8 || len(r.Generations) != c.generations {
			t.Errorf("population %d: %d evaluations in %d generations", c.population, len(r.All), len(r.Generations))
		}
		if !strings.HasPrefix(r.Ended, c.want) || (r.Ended == "") != (c.want == "") {
			t.Errorf("population %d ended %q, want %q", c.population, r.Ended, c.want)
		}
	}
}

func TestRun_ReturnsTheBestSoFarWhenCancelledOrFailing(t *testing.T) {
	broken := errors.New("broken")
	for _, after := range []int{0, 1, 12, 17} {
		for _, cause := range []error{context.Canceled, broken} {
			ctx, cancel := context.WithCancel(context.Background())
			o := newOracle(randomArch(1))
			ev := evaluatorFunc(func(ctx context.Context, a space.Arch) (Score, error) {
				if len(o.seen) == after {
					if cause != broken {
						cancel()
					}
					return Score{}, fmt.Errorf("stopped: %w", cause)
				}
				return o.Evaluate(ctx, a)
			})
			r, err := Run(ctx, small(1), space.Default(), ev, nil)
			if !errors.Is(err, cause) || cause != broken && err != cause {
				t.Errorf("error %v, want %v", err, cause)
			}
			if r == nil || len(r.All) != after || after > 0 && r.Best.MIoU != best(r.All, 1)[0].MIoU {
				t.Errorf("after %d evaluations: %+v", after, r)
			}
			cancel()
		}
	}
	nan := evaluatorFunc(func(context.Context, space.Arch) (Score, error) { return Score{math.NaN()}, nil })
	if _, err := Run(context.Background(), small(1), space.Default(), nan, nil); err == nil {
		t.Error("a score that is no number passed")
	}
}

type evaluatorFunc func(context.Context, space.Arch) (Score, error)

func (f evaluatorFunc) Evaluate(ctx context.Context, a space.Arch) (Score, error) { return f(ctx, a) }

func TestRun_RefusesBadSettings(t *testing.T) {
	good := macs(40)
	for name, c := range map[string]struct {
		change func(*Config)
		limits []Limit
	}{
		"population":    {func(c *Config) { c.Population = 0 }, nil},
		"generations":   {func(c *Config) { c.Generations = 0 }, nil},
		"pool":          {func(c *Config) { c.Pool = 13 }, nil},
		"children":      {func(c *Config) { c.Mutants, c.Crosses = 0, 0 }, nil},
		"negative":      {func(c *Config) { c.Mutants = -1 }, nil},
		"probability":   {func(c *Config) { c.MutateProb = math.NaN() }, nil},
		"tries":         {func(c *Config) { c.MaxTries = 0 }, nil},
		"limit twice":   {func(*Config) {}, []Limit{good, good}},
		"limit of 0":    {func(*Config) {}, []Limit{macs(0)}},
		"limit of NaN":  {func(*Config) {}, []Limit{macs(math.NaN())}},
		"limit of +inf": {func(*Config) {}, []Limit{macs(math.Inf(1))}},
	} {
		cfg := small(1)
		c.change(&cfg)
		if _, err := Run(context.Background(), cfg, space.Default(), newOracle(randomArch(1)), c.limits); !misuse.Is(err) {
			t.Errorf("%s: %v, want misuse", name, err)
		}
	}
	missing := errors.New("no entry")
	for _, cost := range []func(space.Arch) (float64, error){
		func(space.Arch) (float64, error) { return 0, missing },
		func(space.Arch) (float64, error) { return math.NaN(), nil },
	} {
		if _, err := Run(context.Background(), small(1), space.Default(), newOracle(randomArch(1)), []Limit{{"ms", "ms", 3, cost}}); err == nil {
			t.Error("a cost without a value passed")
		}
	}
}

func TestPareto_IsTheUndominatedFront(t *testing.T) {
	r := mustRun(t, small(4), space.Default(), newOracle(randomArch(4)), macs(40))
	cost := func(e Evaluation) float64 { return e.Costs["macs"] }
	front := Pareto(r.All, cost)
	onFront := map[space.Arch]bool{}
	for i, e := range front {
		onFront[e.Arch] = true
		if i > 0 && (cost(e) <= cost(front[i-1]) || e.MIoU <= front[i-1].MIoU) {
			t.Errorf("the front does not ascend at %d", i)
		}
	}
	for _, e := range r.All {
		beaten := false
		for _, f := range front {
			beaten = beaten || f.Arch != e.Arch && cost(f) <= cost(e) && f.MIoU >= e.MIoU
		}
		if beaten == onFront[e.Arch] {
			t.Errorf("%v: beaten %v, on the front %v", e.Arch, beaten, onFront[e.Arch])
		}
	}
	if Pareto(nil, cost) != nil {
		t.Error("a front of nothing")
	}
}

func TestCheapest_IsExactForSums(t *testing.T) {
	sp := space.Space{Kernels: []uint8{3, 5}, Expands: []uint8{3, 6}, Depths: []uint8{1, 2}}
	// A table with noise in every entry, so that neither the smallest block nor the least depth need be cheapest, and an intercept.
	for seed := range uint64(10) {
		n := space.DefaultNetwork(19)
		table := map[string]float64{}
		rng := rand.New(rand.NewPCG(seed, 1))
		cost := func(a space.Arch) (float64, error) {
			sum := 3.0
			for _, op := range n.Ops(a, 64, 128) {
				key := op.Name + op.Key()
				if _, ok := table[key]; !ok {
					table[key] = rng.Float64() - 0.2
				}
				sum += table[key]
			}
			return sum, nil
		}
		_, least, err := Cheapest(sp, cost)
		if err != nil {
			t.Fatal(err)
		}
		exact := math.Inf(1)
		for a := range sp.All() {
			v, _ := cost(a)
			exact = min(exact, v)
		}
		if math.Abs(least-exact) > 1e-12 {
			t.Errorf("seed %d: %v, brute force finds %v", seed, least, exact)
		}
	}
	a, _, err := Cheapest(space.Default(), macs(1).Cost)
	if want := space.Uniform([3]uint8{2, 2, 2}, space.Block{Kernel: 3, Expand: 3}); err != nil || a != want {
		t.Errorf("fewest multiply-adds: %v, %v", a, err)
	}
}

func TestRun_SameSeedSameResult(t *testing.T) {
	run := func(seed uint64) *Result {
		r := mustRun(t, small(seed), space.Default(), newOracle(randomArch(5)), macs(40))
		return timeless(r)
	}
	if !reflect.DeepEqual(run(1), run(1)) {
		t.Error("same seed, other result")
	}
	if reflect.DeepEqual(run(1).All, run(2).All) {
		t.Error("other seed, same result")
	}
}

// timeless clears what depends on the clock, and on how much was replayed.
func timeless(r *Result) *Result {
	r.Best.Seconds, r.BestOfLast.Seconds, r.Replayed = 0, 0, 0
	for i := range r.All {
		r.All[i].Seconds = 0
	}
	return r
}
