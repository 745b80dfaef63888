package space

import (
	"fmt"
	"hash/fnv"
	"math"
	"testing"
)

func TestSample_IsInSpaceEvenAndReproducible(t *testing.T) {
	sp := Default()
	rng, again := newRand(4), newRand(4)
	const n = 6000
	depths, kernels, expands := map[uint8]int{}, map[uint8]int{}, map[uint8]int{}
	for range n {
		a := sp.Sample(rng)
		if !sp.Contains(a) {
			t.Fatalf("%v is not in the space", a)
		}
		if b := sp.Sample(again); a != b {
			t.Fatalf("same seed draws %v and %v", a, b)
		}
		depths[a.Depth[1]]++
		kernels[a.Blocks[2][1].Kernel]++
		expands[a.Blocks[0][0].Expand]++
	}
	for name, count := range map[string]map[uint8]int{"depth": depths, "kernel": kernels, "expand": expands} {
		for v, c := range count {
			p := 1 / float64(len(count))
			if math.Abs(float64(c)-n*p) > 5*math.Sqrt(n*p*(1-p)) {
				t.Errorf("%s %d drawn %d times of %d", name, v, c, n)
			}
		}
	}
}

func TestSampleDepths_KeepsToThePhase(t *testing.T) {
	rng := newRand(5)
	for _, c := range []struct {
		least uint8
		want  map[uint8]bool
	}{
		{4, map[uint8]bool{4: true}},
		{3, map[uint8]bool{3: true, 4: true}},
		{2, map[uint8]bool{2: true, 3: true, 4: true}},
		{9, map[uint8]bool{4: true}},
	} {
		seen := map[uint8]bool{}
		for range 200 {
			a := Default().SampleDepths(rng, c.least)
			for _, d := range a.Depth {
				seen[d] = true
				if !c.want[d] {
					t.Fatalf("least depth %d: drew depth %d", c.least, d)
				}
			}
		}
		if len(seen) != len(c.want) {
			t.Errorf("least depth %d: drew only %v", c.least, seen)
		}
	}
}

func TestMutate_RedrawsGenesWithProbability(t *testing.T) {
	sp := Default()
	rng := newRand(6)
	const n, p = 4000, 0.2
	var kernels, depths int
	for range n {
		a := sp.Sample(rng)
		if b := sp.Mutate(rng, a, 0); b != a {
			t.Fatalf("probability 0 turned %v into %v", a, b)
		}
		b := sp.Mutate(rng, a, p)
		if !sp.Contains(b) {
			t.Fatalf("%v is not in the space", b)
		}
		if a.Blocks[1][0].Kernel != b.Blocks[1][0].Kernel {
			kernels++
		}
		if a.Depth[2] != b.Depth[2] {
			depths++
		}
	}
	// A redrawn gene stays as it was in 1 of 2 kernels and 1 of 3 depths.
	for _, c := range []struct {
		gene string
		got  int
		want float64
	}{{"kernel", kernels, p / 2}, {"depth", depths, p * 2 / 3}} {
		if math.Abs(float64(c.got)/n-c.want) > 0.02 {
			t.Errorf("%s changed in %d of %d mutants, want about %.3f", c.gene, c.got, n, c.want)
		}
	}
}

func TestCross_TakesEveryGeneFromAParent(t *testing.T) {
	sp := Default()
	rng := newRand(7)
	three, five := Uniform([3]uint8{2, 2, 2}, Block{Kernel: 3, Expand: 6}), Uniform([3]uint8{2, 2, 2}, Block{Kernel: 5, Expand: 6})
	fromThree := 0
	const n = 3000
	for range n {
		a, b := sp.Sample(rng), sp.Sample(rng)
		child := sp.Cross(rng, a, b)
		if !sp.Contains(child) {
			t.Fatalf("%v is not in the space", child)
		}
		for s, d := range child.Depth {
			if d != a.Depth[s] && d != b.Depth[s] {
				t.Fatalf("depth %d of %v is neither parent's", d, child)
			}
			for i, c := range child.Blocks[s][:d] {
				x, y := a.Blocks[s][i], b.Blocks[s][i]
				if c.Kernel != x.Kernel && c.Kernel != y.Kernel || c.Expand != x.Expand && c.Expand != y.Expand {
					t.Fatalf("block %+v of %+v and %+v", c, x, y)
				}
			}
		}
		if same := sp.Cross(rng, a, a); same != a {
			t.Fatalf("%v crossed with itself gives %v", a, same)
		}
		if sp.Cross(rng, three, five).Blocks[0][0].Kernel == 3 {
			fromThree++
		}
	}
	if math.Abs(float64(fromThree)/n-0.5) > 0.05 {
		t.Errorf("%d of %d genes come from the first parent", fromThree, n)
	}
}

// Checkpoints and search traces hold what a seed drew: it must never draw anything else, nor take more random numbers for it.
func TestGenes_FloatSpaceDrawsAsEver(t *testing.T) {
	sp, rng, h := Default(), newRand(15), fnv.New64a()
	a := sp.Sample(rng)
	for range 1000 {
		b := sp.SampleDepths(rng, 3)
		a = sp.Mutate(rng, sp.Cross(rng, a, b), 0.2)
		fmt.Fprintln(h, a)
	}
	if sum, next := h.Sum64(), rng.Uint64(); sum != 0xc501cde979c72da8 || next != 0xaf2545ffe97f412 {
		t.Errorf("drew %#x, and next %#x", sum, next)
	}
}
