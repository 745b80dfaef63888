package latency

import (
	"context"
	"encoding/json"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

func verify(t *testing.T, d *fakeDevice, table *Table, n int) Verification {
	t.Helper()
	v, err := Verify(context.Background(), d, table, space.Default(), n, rand.New(rand.NewPCG(7, 7)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Points) != n || d.open != 0 {
		t.Fatalf("%d points of %d, %d networks open", len(v.Points), n, d.open)
	}
	return v
}

func TestVerify_NoisyMachinesStayWithinTheTargets(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(d *fakeDevice)
	}{
		{"noise and drift", func(*fakeDevice) {}},
		{"a neighbour a fifth of the time", func(d *fakeDevice) { d.slowness = bursts(2*time.Second, 400*time.Millisecond, 1.6) }},
		{"a neighbour half of the time, longer than an interval", func(d *fakeDevice) { d.slowness = bursts(4*time.Second, 2*time.Second, 1.4) }},
		{"heavy spikes", func(d *fakeDevice) { d.spikes = 0.1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := noisy(3)
			c.change(d)
			table := fill(t, filepath.Join(t.TempDir(), "table.jsonl"), d, Options{})
			v := verify(t, d, table, 20)
			if v.Whole.MAPE > 0.015 || v.Searched.MAPE > 0.02 || v.Whole.Spearman < 0.98 || v.Whole.Within5 < 1 {
				t.Errorf("whole %+v, searched %+v", v.Whole, v.Searched)
			}
			for _, p := range v.Points {
				want, _ := d.trueTotal(p.Arch)
				if truth := milliseconds(want); math.Abs(p.Measured/truth-1) > 0.12 || p.Q1 > p.Measured || p.Q3 < p.Measured {
					t.Errorf("%s measured as %.3f (%.3f to %.3f) ms, a quiet machine takes %.3f", p.Arch, p.Measured, p.Q1, p.Q3, truth)
				}
			}
		})
	}
}

// The table was filled on a machine a third slower than it is at verification: the canary carries the one over to the other.
func TestVerify_CanaryLinksDifferentDays(t *testing.T) {
	d := noisy(5)
	d.slowness = func(time.Duration) float64 { return 1.33 }
	table := fill(t, filepath.Join(t.TempDir(), "table.jsonl"), d, Options{})
	d.slowness = nil
	v := verify(t, d, table, 10)
	if v.Whole.MAPE > 0.02 || v.Unscaled.MAPE < 0.2 || math.Abs(v.Level*1.33-1) > 0.05 {
		t.Errorf("scaled %+v, unscaled %+v, level %v", v.Whole, v.Unscaled, v.Level)
	}
}

func TestMeasure_BusyNeighbourIsRejectedAndCounted(t *testing.T) {
	d := newFake()
	d.slowness = bursts(time.Second, 300*time.Millisecond, 1.5)
	archs := []space.Arch{space.Baseline(), space.HandScaled(), space.Baseline()}
	ms, cond, err := MeasureNetworks(context.Background(), d, d.setup(), archs, Options{Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if cond.Rejected == 0 || cond.Rejected >= cond.Turns/2 || cond.Disturbed != 0 || float64(cond.Worst) < 1.4*float64(cond.Quiet) {
		t.Errorf("conditions %+v", cond)
	}
	for i, m := range ms {
		total, searched := d.trueTotal(archs[i])
		if m.Arch != archs[i] || m.Total.Median != total || m.Searched.Median != searched || m.Total.N < 60 || m.Total.Rejected == 0 {
			t.Errorf("network %d is %+v, the true times %v and %v", i, m, total, searched)
		}
	}
	if d.opens[space.Baseline()] != 2 { // the canary, and the two entries as one
		t.Errorf("the baseline was opened %d times", d.opens[space.Baseline()])
	}
}

func TestMeasure_NeverQuietStillEnds(t *testing.T) {
	d := noisy(9)
	d.slowness = func(time.Duration) float64 { return 1 + d.rng.Float64() }
	opt := Options{Rounds: 10, Attempts: 2, Tolerance: 0.001}
	ms, cond, err := MeasureNetworks(context.Background(), d, d.setup(), []space.Arch{space.HandScaled()}, opt)
	if err != nil {
		t.Fatal(err)
	}
	if cond.Disturbed != 1 || cond.Turns != 20 || cond.Rejected != 10 || ms[0].Total.N != 20 || ms[0].Total.Rejected != 20 {
		t.Errorf("conditions %+v, total %+v", cond, ms[0].Total)
	}
}

func TestMeasure_SameDeviceSameFigures(t *testing.T) {
	measure := func() string {
		ms, cond, err := MeasureNetworks(context.Background(), noisy(2), newFake().setup(), []space.Arch{space.HandScaled(), space.Baseline()}, quick())
		if err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal([]any{ms, cond})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if a, b := measure(), measure(); a != b {
		t.Errorf("%s\n%s", a, b)
	}
}

func TestMeasure_ProgressNeverFallsAndEndsFull(t *testing.T) {
	d := noisy(4)
	d.slowness = bursts(time.Second, 500*time.Millisecond, 2)
	last, end := -1, 0
	opt := quick()
	opt.Progress = func(done, total int, note string) {
		if done < last || done > total || note == "" {
			t.Fatalf("progress went from %d to %d of %d (%s)", last, done, total, note)
		}
		last, end = done, total
	}
	fill(t, filepath.Join(t.TempDir(), "table.jsonl"), d, opt)
	if last != end || end != 6*7 { // six covering networks and the baseline
		t.Errorf("progress ended at %d of %d", last, end)
	}
}

func TestMeasure_RefusesWhatCannotBe(t *testing.T) {
	d := newFake()
	archs := []space.Arch{space.Baseline()}
	setup := d.setup()
	setup.H = 0
	if _, _, err := MeasureNetworks(context.Background(), d, setup, archs, quick()); !misuse.Is(err) {
		t.Errorf("height 0: %v", err)
	}
	setup = d.setup()
	setup.Identity.Threads = 5
	if _, _, err := MeasureNetworks(context.Background(), d, setup, archs, quick()); err == nil {
		t.Error("another device than the setup's is measured")
	}
	d.short = true
	if _, _, err := MeasureNetworks(context.Background(), d, d.setup(), archs, quick()); err == nil || d.open != 0 {
		t.Errorf("a device that forgets an operation: %v, %d networks open", err, d.open)
	}
	table := fill(t, filepath.Join(t.TempDir(), "table.jsonl"), newFake(), quick())
	small := space.Space{Kernels: []uint8{3}, Expands: []uint8{6}, Depths: []uint8{3}}
	if _, err := Verify(context.Background(), newFake(), table, small, 2, rand.New(rand.NewPCG(1, 1)), quick()); !misuse.Is(err) {
		t.Errorf("two networks of a space of one: %v", err)
	}
}

func TestIdentity_CanonicalText(t *testing.T) {
	if got := newFake().id.String(); got != "cpu Fake 9000, isa avx2, 2 threads, library aaaa" {
		t.Error(got)
	}
}
