package search

import (
	"context"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/segnas/segnas/nas/space"
)

// scoredAtRandom evaluates n random networks by score.
func scoredAtRandom(n int, seed uint64, score func(space.Arch) float64) []Evaluation {
	rng := rand.New(rand.NewPCG(seed, 5))
	all := make([]Evaluation, n)
	for i := range all {
		a := space.Default().Sample(rng)
		all[i] = Evaluation{Arch: a, Score: Score{MIoU: score(a)}}
	}
	return all
}

// noise scores a network by what has nothing to do with its genes, the same for equal networks.
func noise(a space.Arch) float64 {
	h := uint64(14695981039346656037)
	for _, c := range []byte(a.String()) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, h)).Float64()
}

func TestRegression_RanksHeldOutNetworksAndKnowsWhenItCannot(t *testing.T) {
	for seed := range seeds(4) {
		o := newOracle(randomArch(seed))
		rng := func() *rand.Rand { return rand.New(rand.NewPCG(seed, 6)) }
		good := agreement(rng(), scoredAtRandom(200, seed, o.score))
		if good.Spearman < 0.9 || good.Kendall < 0.7 || good.SpearmanSD > 0.1 || good.Networks != 200 {
			t.Errorf("seed %d: %v", seed, good)
		}
		if again := agreement(rng(), scoredAtRandom(200, seed, o.score)); again != good {
			t.Errorf("seed %d: %v, then %v", seed, good, again)
		}
		if bad := agreement(rng(), scoredAtRandom(200, seed, noise)); math.Abs(bad.Spearman) > 0.3 {
			t.Errorf("seed %d: noise is ranked: %v", seed, bad)
		}
		if flat := agreement(rng(), scoredAtRandom(40, seed, func(space.Arch) float64 { return 0.5 })); flat.Spearman != 0 || flat.Kendall != 0 {
			t.Errorf("seed %d: networks that are all alike are ranked: %v", seed, flat)
		}
	}
}

func TestRegression_LearnsPairsOfGenes(t *testing.T) {
	// Neither gene alone says anything about this score; together they decide it.
	pair := func(a space.Arch) float64 {
		if (a.Blocks[0][0].Kernel == 5) == (a.Blocks[1][0].Kernel == 5) {
			return 1
		}
		return 0
	}
	all := scoredAtRandom(600, 1, pair)
	r := fit(all[:500])
	right := 0
	for _, e := range all[500:] {
		if (r.predict(e.Arch) > 0.5) == (e.MIoU > 0.5) {
			right++
		}
	}
	if right < 90 {
		t.Errorf("%d of 100 are told right", right)
	}
}

func screening(seed uint64, screen int) Config {
	return Config{
		Population: 25, Pool: 12, Mutants: 12, Crosses: 13, Generations: 6, MutateProb: 0.2, MaxTries: 1000, Seed: seed, Screen: screen, ScreenSpearman: 0.7,
	}
}

func TestScreening_FindsBetterNetworksAtEqualEvaluations(t *testing.T) {
	wins, used, tried := 0, 0, int(seeds(20))
	for seed := range uint64(tried) {
		o := newOracle(randomArch(seed))
		plain := mustRun(t, screening(seed, 0), space.Default(), o, macs(50))
		r := mustRun(t, screening(seed, 8), space.Default(), o, macs(50))
		if len(r.All) != len(plain.All) {
			t.Fatalf("%d and %d evaluations", len(r.All), len(plain.All))
		}
		if r.Best.MIoU >= plain.Best.MIoU {
			wins++
		}
		for _, g := range r.Generations {
			if g.Predictor != nil && g.Predictor.Used {
				used++
			}
		}
	}
	if wins < tried-3 || used < tried {
		t.Errorf("screening is ahead with %d of %d seeds; it was used in %d generations", wins, tried, used)
	}
}

func TestScreening_LeavesTheSearchAloneWhereItCannotRank(t *testing.T) {
	ev := evaluatorFunc(func(_ context.Context, a space.Arch) (Score, error) { return Score{MIoU: noise(a)}, nil })
	plain := timeless(mustRun(t, screening(2, 0), space.Default(), ev))
	r := timeless(mustRun(t, screening(2, 8), space.Default(), ev))
	for i := range r.Generations {
		p := r.Generations[i].Predictor
		if (p == nil) != (i == 0) || p != nil && p.Used {
			t.Errorf("generation %d: %v", i+1, p)
		}
		r.Generations[i].Predictor = nil
	}
	if !reflect.DeepEqual(r, plain) {
		t.Error("a regression that was not used changed the search")
	}
}
