package search

import (
	"context"
	"math/rand/v2"
	"testing"

	"github.com/segnas/segnas/nas/space"
)

// oracle is an evaluator with a known optimum: target scores 1, every other network less, with a bonus for stages whose kernels
// are alike so that genes do not act alone.
type oracle struct {
	target space.Arch
	seen   map[space.Arch]int // how often each network was evaluated
}

func newOracle(target space.Arch) *oracle { return &oracle{target, map[space.Arch]int{}} }

func (o *oracle) Evaluate(_ context.Context, a space.Arch) (Score, error) {
	o.seen[a]++
	return Score{MIoU: o.score(a)}, nil
}

func (o *oracle) score(a space.Arch) float64 {
	score := 0.9 * (1 - space.Distance(a, o.target))
	for s, d := range a.Depth {
		if a.Depth[s] == o.target.Depth[s] {
			score += 0.1 / space.Stages
			for i := range d {
				if a.Blocks[s][i].Kernel != o.target.Blocks[s][i].Kernel {
					score -= 0.1 / space.Stages
					break
				}
			}
		}
	}
	return score
}

// macs is a limit on the multiply-adds, in millions, at a small size.
func macs(most float64) Limit {
	n := space.DefaultNetwork(19)
	return Limit{Name: "macs", Unit: "M", Max: most, Cost: func(a space.Arch) (float64, error) {
		return float64(n.MACs(a, 64, 128)) / 1e6, nil
	}}
}

func params(most float64) Limit {
	n := space.DefaultNetwork(19)
	return Limit{Name: "params", Unit: "M", Max: most, Cost: func(a space.Arch) (float64, error) {
		return float64(n.Params(a)) / 1e6, nil
	}}
}

func costs(t testing.TB, l Limit, a space.Arch) float64 {
	t.Helper()
	v, err := l.Cost(a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func small(seed uint64) Config {
	c := sixty()
	c.Seed = seed
	return c
}

// seeds is how many of n seeds are tried: under the race detector, which is slow and looks for other things, a quarter.
func seeds(n uint64) uint64 {
	if testing.Short() {
		return n / 4
	}
	return n
}

func randomArch(seed uint64) space.Arch {
	return space.Default().Sample(rand.New(rand.NewPCG(seed, 99)))
}

func mustRun(t testing.TB, cfg Config, sp space.Space, ev Evaluator, limits ...Limit) *Result {
	t.Helper()
	r, err := Run(context.Background(), cfg, sp, ev, limits)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// sixty is a search of 60 networks in 5 generations.
func sixty() Config {
	return Config{Population: 12, Pool: 6, Mutants: 6, Crosses: 6, Generations: 5, MutateProb: 0.2, MaxTries: 10_000}
}
