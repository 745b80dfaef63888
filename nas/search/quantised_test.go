package search

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/segnas/segnas/nas/quant"
	"github.com/segnas/segnas/nas/space"
)

// bitSpace has 65536 networks, which differ in bit widths alone.
var bitSpace = space.Space{Kernels: []uint8{3}, Expands: []uint8{6}, Depths: []uint8{1}, Bits: []uint8{4, 8}}

func joint() space.Space {
	sp := space.Default()
	sp.Bits = []uint8{4, 6, 8}
	return sp
}

// bitOps is a limit on the bit operations, in G, at a small size.
func bitOps(most float64) Limit {
	n := space.DefaultNetwork(19)
	return Limit{Name: "bitops", Unit: "G", Max: most, Cost: func(a space.Arch) (float64, error) {
		return float64(quant.BitOps(n, a, 64, 128)) / 1e9, nil
	}}
}

func modelBytes(most float64) Limit {
	n := space.DefaultNetwork(19)
	return Limit{Name: "bytes", Unit: "kB", Max: most, Cost: func(a space.Arch) (float64, error) {
		return float64(quant.ModelBytes(n, a)) / 1e3, nil
	}}
}

// worth scores networks by their bit widths, each of a worth of its own that is drawn from a seed.
func worth(seed uint64) func(space.Arch) float64 {
	rng := rand.New(rand.NewPCG(seed, 7))
	var blocks [space.Stages][space.MaxDepth][2]float64
	var outer [space.OuterParts][2]float64
	for s := range blocks {
		for i := range blocks[s] {
			blocks[s][i] = [2]float64{rng.Float64(), rng.Float64()}
		}
	}
	for i := range outer {
		outer[i] = [2]float64{rng.Float64(), rng.Float64()}
	}
	return func(a space.Arch) (sum float64) {
		for s, d := range a.Depth {
			for i, b := range a.Blocks[s][:d] {
				sum += blocks[s][i][0]*float64(b.Bits.W) + blocks[s][i][1]*float64(b.Bits.A)
			}
		}
		for i, b := range a.Outer {
			sum += outer[i][0]*float64(b.W) + outer[i][1]*float64(b.A)
		}
		return sum / 500
	}
}

func scorer(score func(space.Arch) float64) Evaluator {
	return evaluatorFunc(func(_ context.Context, a space.Arch) (Score, error) { return Score{MIoU: score(a)}, nil })
}

func TestRun_FindsTheKnownBitWidthsWithinBitOpsAndBytes(t *testing.T) {
	limits := []Limit{bitOps(0.7), modelBytes(250)}
	type costed struct {
		arch   space.Arch
		within bool
	}
	var all []costed
	over := [3]int{} // either limit alone, both
	for a := range bitSpace.All() {
		ops, size := costs(t, limits[0], a) > limits[0].Max, costs(t, limits[1], a) > limits[1].Max
		all = append(all, costed{a, !ops && !size})
		switch {
		case ops && size:
			over[2]++
		case ops:
			over[0]++
		case size:
			over[1]++
		}
	}
	if len(all) != 1<<16 || min(over[0], over[1], over[2]) < 1000 {
		t.Fatalf("of %d networks %v are over a limit", len(all), over)
	}
	for seed := range seeds(4) {
		score := worth(seed)
		var optimum space.Arch
		for _, c := range all {
			if c.within && score(c.arch) > score(optimum) {
				optimum = c.arch
			}
		}
		cfg := Thesis()
		cfg.Seed = seed
		if r := mustRun(t, cfg, bitSpace, scorer(score), limits...); r.Best.Arch != optimum {
			t.Errorf("seed %d: found %v with %v, the optimum is %v with %v", seed, r.Best.Arch, r.Best.MIoU, optimum, score(optimum))
		}
	}
}

// jointTarget is a network that no generation draws: their random streams have small numbers.
func jointTarget(seed uint64) space.Arch { return joint().Sample(rand.New(rand.NewPCG(seed, 99))) }

func TestRun_EvolvesArchitectureAndBitWidthsTogether(t *testing.T) {
	for seed := range seeds(4) {
		o := newOracle(jointTarget(seed))
		limit := bitOps(costs(t, bitOps(1), o.target)) // which the target just meets, and scores 1
		cfg := Config{Population: 40, Pool: 10, Mutants: 20, Crosses: 20, Generations: 25, MutateProb: 0.1, MaxTries: 10_000, Seed: seed}
		evolved := mustRun(t, cfg, joint(), o, limit)
		for _, e := range evolved.All {
			if !joint().Contains(e.Arch) || e.Costs["bitops"] > limit.Max {
				t.Fatalf("%v is not in the space, or over the limit", e.Arch)
			}
		}
		cfg.Random = true
		random := mustRun(t, cfg, joint(), o, limit)
		if evolved.Best.MIoU < 0.9 || evolved.Best.MIoU < random.Best.MIoU+0.2 {
			t.Errorf("seed %d: evolution finds %.3f, random search %.3f; the optimum is 1", seed, evolved.Best.MIoU, random.Best.MIoU)
		}
	}
}

func TestTrace_OfAQuantisedSearchIsResumedToTheSameEnd(t *testing.T) {
	cfg := small(1)
	cfg.TracePath = filepath.Join(t.TempDir(), "trace.jsonl")
	o := newOracle(jointTarget(1))
	limits := []Limit{bitOps(1.2), params(0.9)}
	want := timeless(mustRun(t, cfg, joint(), o, limits...))
	text, err := os.ReadFile(cfg.TracePath)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for _, kept := range []int{0, 1, 20, len(lines)} {
		if err := os.WriteFile(cfg.TracePath, bytes.Join(lines[:kept], nil), 0o644); err != nil {
			t.Fatal(err)
		}
		if r := mustRun(t, cfg, joint(), o, limits...); r.Replayed != max(0, min(kept, len(want.All)+1)-1) || !reflect.DeepEqual(timeless(r), want) {
			t.Errorf("resumed after %d lines: %d replayed, or to another end", kept, r.Replayed)
		}
	}
}

func TestCheapest_IsExactForSumsOverBitWidths(t *testing.T) {
	n := space.DefaultNetwork(19)
	type entry struct {
		layer string
		bits  space.Bits
	}
	for seed := range uint64(3) {
		table := map[entry]float64{}
		rng := rand.New(rand.NewPCG(seed, 9))
		cost := func(a space.Arch) (sum float64, err error) {
			for _, l := range quant.Layers(n, a, 8, 8) {
				key := entry{l.Name, l.Bits}
				if _, known := table[key]; !known {
					table[key] = rng.Float64() - 0.2
				}
				sum += table[key]
			}
			return sum, nil
		}
		a, least, err := Cheapest(bitSpace, cost)
		if err != nil || !bitSpace.Contains(a) {
			t.Fatal(a, err)
		}
		for other := range bitSpace.All() {
			if v, _ := cost(other); v < least-1e-12 {
				t.Fatalf("seed %d: %v, but %v costs %v", seed, least, other, v)
			}
		}
	}
	sp := joint()
	for _, l := range []Limit{bitOps(1), modelBytes(1)} {
		want := space.Uniform([space.Stages]uint8{2, 2, 2}, space.Block{Kernel: 3, Expand: 3, Bits: space.Bits{W: 4, A: 4}})
		if a, v, err := Cheapest(sp, l.Cost); err != nil || v != costs(t, l, want) {
			t.Errorf("least %s: %v with %v, %v", l.Name, a, v, err)
		}
		if a, v, err := Dearest(sp, l.Cost); err != nil || v != costs(t, l, sp.Largest()) {
			t.Errorf("greatest %s: %v with %v, %v", l.Name, a, v, err)
		}
	}
}

func TestRegression_RanksByBitWidthsToo(t *testing.T) {
	score := worth(1)
	rng := rand.New(rand.NewPCG(1, 10))
	all := make([]Evaluation, 200)
	for i := range all {
		a := joint().Sample(rng)
		a.Depth, a.Blocks = space.Baseline().Depth, space.Baseline().Quantised(a.Blocks[0][0].Bits).Blocks
		all[i] = Evaluation{Arch: a, Score: Score{MIoU: score(a)}}
	}
	if good := agreement(rng, all); good.Spearman < 0.9 {
		t.Errorf("networks that differ in bit widths alone: %v", good)
	}
}
