package metrics

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func near(a, b float64) bool { return math.Abs(a-b) < 1e-12 || math.IsNaN(a) && math.IsNaN(b) }

func TestQuantile_IsTypeSeven(t *testing.T) {
	x := []float64{40, 10, 20, 30} // unsorted, and to stay so
	for _, c := range []struct{ p, want float64 }{{0, 10}, {0.25, 17.5}, {0.5, 25}, {0.75, 32.5}, {0.99, 39.7}, {1, 40}} {
		if got := Quantile(x, c.p); !near(got, c.want) {
			t.Errorf("quantile %v is %v, want %v", c.p, got, c.want)
		}
	}
	if q1, m, q3 := Quartiles(x); q1 != 17.5 || m != 25 || q3 != 32.5 {
		t.Errorf("quartiles %v %v %v", q1, m, q3)
	}
	if !slices.Equal(x, []float64{40, 10, 20, 30}) {
		t.Errorf("the argument was changed to %v", x)
	}
	if Median([]float64{3, 1, 2}) != 2 || Median([]float64{7}) != 7 || !math.IsNaN(Median(nil)) {
		t.Error("median of odd count, of one or of none is wrong")
	}
}

// Expected values are worked by hand from the definitions.
func TestCorrelations_KnownValues(t *testing.T) {
	for _, c := range []struct {
		name                    string
		x, y                    []float64
		pearson, spearman, tauB float64
	}{
		{"equal", []float64{1, 2, 3, 4}, []float64{1, 2, 3, 4}, 1, 1, 1},
		{"reversed", []float64{1, 2, 3, 4}, []float64{8, 6, 4, 2}, -1, -1, -1},
		{"monotone", []float64{1, 2, 3}, []float64{1, 10, 100}, 99 / math.Sqrt(2*5994), 1, 1},
		{"one swap", []float64{1, 2, 3, 4}, []float64{1, 3, 2, 4}, 0.8, 0.8, 2.0 / 3},
		// Ranks 1 2.5 2.5 4 and 1 2 3.5 3.5; 4 concordant pairs, none discordant, 5 pairs untied in each.
		{"ties", []float64{1, 2, 2, 3}, []float64{1, 2, 3, 3}, math.Sqrt(8.0 / 11), 3.75 / 4.5, 4.0 / 5},
		{"constant", []float64{1, 2, 3}, []float64{5, 5, 5}, math.NaN(), math.NaN(), math.NaN()},
	} {
		if got := Pearson(c.x, c.y); !near(got, c.pearson) {
			t.Errorf("%s: Pearson %v, want %v", c.name, got, c.pearson)
		}
		if got := Spearman(c.x, c.y); !near(got, c.spearman) {
			t.Errorf("%s: Spearman %v, want %v", c.name, got, c.spearman)
		}
		if got := KendallTauB(c.x, c.y); !near(got, c.tauB) {
			t.Errorf("%s: tau-b %v, want %v", c.name, got, c.tauB)
		}
	}
	if !math.IsNaN(KendallTauB([]float64{1, math.NaN(), 3}, []float64{1, 2, 3})) {
		t.Error("tau-b took NaN for a tie")
	}
}

func TestMAPE_IsMeanOfRelativeErrors(t *testing.T) {
	if got := MAPE([]float64{11, 18}, []float64{10, 20}); !near(got, 0.1) {
		t.Errorf("MAPE %v, want 0.1", got)
	}
	if !math.IsNaN(MAPE(nil, nil)) {
		t.Error("MAPE of nothing is a number")
	}
}

func TestBootstrapMean_CoversAndRepeats(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	const trials, level = 300, 0.9
	covered := 0
	for range trials {
		x := make([]float64, 40)
		for i := range x {
			x[i] = 5 + rng.NormFloat64()
		}
		low, high := BootstrapMean(rng, x, level, 300)
		if low > high {
			t.Fatalf("interval %v to %v", low, high)
		}
		if low <= 5 && 5 <= high {
			covered++
		}
	}
	if share := float64(covered) / trials; share < level-0.08 || share > level+0.06 {
		t.Errorf("a %v interval covers the mean in %v of the trials", level, share)
	}
	x := []float64{1, 2, 4, 8}
	l1, h1 := BootstrapMean(rand.New(rand.NewPCG(1, 2)), x, 0.95, 500)
	l2, h2 := BootstrapMean(rand.New(rand.NewPCG(1, 2)), x, 0.95, 500)
	if l1 != l2 || h1 != h2 {
		t.Error("same seed, other interval")
	}
	if low, _ := BootstrapMean(rng, nil, 0.95, 10); !math.IsNaN(low) {
		t.Error("the mean of nothing has an interval")
	}
}
