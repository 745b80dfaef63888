package data

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"
)

// take collects copies of batches from a loader.
func take(t *testing.T, ds Dataset, cfg LoaderConfig, n int) []*Batch {
	t.Helper()
	l, err := NewLoader(ds, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var out []*Batch
	for i := 0; i < n; i++ {
		b, err := l.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &Batch{X: slices.Clone(b.X), Y: slices.Clone(b.Y), N: b.N, H: b.H, W: b.W, Step: b.Step})
		l.Release(b)
	}
	return out
}

func sameBatch(a, b *Batch) bool {
	return a.Step == b.Step && slices.Equal(a.X, b.X) && slices.Equal(a.Y, b.Y)
}

func TestLoader_BatchesDependOnSeedAndStepAlone(t *testing.T) {
	ds := drawn{n: 10, h: 12, w: 16}
	cfg := LoaderConfig{Batch: 4, H: 8, W: 10, Augment: StandardAugment(), Seed: 3, Workers: 1}
	want := take(t, ds, cfg, 12)
	for _, c := range []struct {
		name            string
		workers, ahead  int
		start, skip, to int
	}{{"4 workers", 4, 5, 0, 0, 12}, {"resumed at 7", 1, 0, 7, 7, 12}, {"resumed at 5, 3 workers", 3, 1, 5, 5, 12}} {
		cfg := cfg
		cfg.Workers, cfg.Prefetch, cfg.StartStep = c.workers, c.ahead, c.start
		for i, b := range take(t, ds, cfg, c.to-c.skip) {
			if !sameBatch(b, want[c.skip+i]) {
				t.Errorf("%s: batch %d differs", c.name, i)
			}
		}
	}
	cfg.Seed = 4
	if other := take(t, ds, cfg, 1); slices.Equal(other[0].X, want[0].X) {
		t.Error("another seed gives the same batch")
	}
}

func TestLoader_HalfTheSizeIsThatSizesBatch(t *testing.T) {
	ds := drawn{n: 10, h: 12, w: 16}
	cfg := LoaderConfig{Batch: 4, H: 7, W: 10, Augment: StandardAugment(), Seed: 3, ClassUniform: 0.5}
	whole := take(t, ds, cfg, 6)
	cfg.H, cfg.W = 4, 5
	half := take(t, ds, cfg, 6)
	cfg.H, cfg.W, cfg.Half = 7, 10, func(step int) bool { return step%3 > 0 }
	for i, b := range take(t, ds, cfg, 6) {
		want := whole[i]
		if cfg.Half(i) {
			want = half[i]
		}
		if !sameBatch(b, want) || b.H != want.H || b.W != want.W {
			t.Errorf("step %d: %dx%d pictures, want those of %dx%d", i, b.H, b.W, want.H, want.W)
		}
	}
}

func TestLoader_EveryEpochVisitsEachSampleOnceInItsOwnOrder(t *testing.T) {
	ds := drawn{n: 6, h: 2, w: 2}
	var orders [][]byte
	var seen []byte
	for _, b := range take(t, ds, LoaderConfig{Batch: 4, H: 2, W: 2, Seed: 1}, 9) { // 36 = 6 epochs
		for i := 0; i < b.N; i++ {
			var v [1]byte
			Denormalise(v[:], b.X[i*12:i*12+1])
			seen = append(seen, v[0])
		}
	}
	for e := 0; e < 6; e++ {
		order := seen[e*6 : e*6+6]
		orders = append(orders, slices.Clone(order))
		sorted := slices.Clone(order)
		slices.Sort(sorted)
		if !slices.Equal(sorted, []byte{0, 1, 2, 3, 4, 5}) {
			t.Errorf("epoch %d visits %v", e, order)
		}
	}
	if slices.Equal(orders[0], orders[1]) && slices.Equal(orders[1], orders[2]) {
		t.Error("all epochs have one order")
	}
}

// faulty fails to read sample 3.
type faulty struct{ drawn }

var errFaulty = errors.New("sample 3 is broken")

func (f faulty) Read(i int) (*Sample, error) {
	if i == 3 {
		return nil, errFaulty
	}
	return f.drawn.Read(i)
}

func TestLoader_ReportsABadSampleAndStaysFailed(t *testing.T) {
	l, err := NewLoader(faulty{drawn{n: 5, h: 4, w: 4}}, LoaderConfig{Batch: 5, H: 4, W: 4, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := 0; i < 2; i++ {
		if _, err := l.Next(context.Background()); !errors.Is(err, errFaulty) {
			t.Errorf("call %d: got %v", i, err)
		}
	}
}

func TestLoader_CloseEndsAllGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, taken := range []int{0, 1, 3} {
		l, err := NewLoader(drawn{n: 5, h: 4, w: 4}, LoaderConfig{Batch: 3, H: 4, W: 4, Workers: 3, Prefetch: 2})
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < taken; i++ {
			b, err := l.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			l.Release(b)
		}
		l.Close()
		l.Close()
		if _, err := l.Next(context.Background()); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	for i := 0; i < 100 && runtime.NumGoroutine() > before; i++ {
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}

// slow holds every read back until it is let go.
type slow struct {
	drawn
	gate chan struct{}
}

func (s slow) Read(i int) (*Sample, error) {
	<-s.gate
	return s.drawn.Read(i)
}

func TestLoader_ACancelledNextLosesNoBatch(t *testing.T) {
	ds := slow{drawn{n: 4, h: 2, w: 2}, make(chan struct{})}
	l, err := NewLoader(ds, LoaderConfig{Batch: 2, H: 2, W: 2, Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for i := 0; i < 3; i++ {
		if _, err := l.Next(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	close(ds.gate)
	for step := 0; step < 3; step++ {
		b, err := l.Next(context.Background())
		if err != nil || b.Step != step {
			t.Fatalf("got %v, %v; want step %d", b, err, step)
		}
		l.Release(b)
	}
	l.Close()
}

func TestLoader_AStepAllocatesNextToNothing(t *testing.T) {
	ds := Cache(drawn{n: 8, h: 64, w: 64}, 1<<20)
	l, err := NewLoader(ds, LoaderConfig{Batch: 4, H: 64, W: 64, Augment: StandardAugment(), Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	step := func() {
		b, err := l.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		l.Release(b)
	}
	for i := 0; i < 10; i++ {
		step()
	}
	// The order of a new epoch may allocate; pictures and batches may not.
	if n := testing.AllocsPerRun(50, step); n > 5 {
		t.Errorf("%v allocations a step", n)
	}
	if s := l.Stats(); s.Pictures != 4*61 || s.Work <= 0 || s.PicturesPerSecond <= 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestEvalBatches_HandsOutEverySampleInOrder(t *testing.T) {
	ds := drawn{n: 7, h: 6, w: 8}
	for _, c := range []struct {
		h, w int
		want string
	}{{3, 4, "[0+3 3+3 6+1]"}, {0, 0, "[0+1 1+1 2+1 3+1 4+1 5+1 6+1]"}} {
		e, err := NewEvalBatches(ds, 3, c.h, c.w, 2)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			b, err := e.Next(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if b == nil {
				break
			}
			got = append(got, fmt.Sprintf("%d+%d", b.First, b.N))
			for i := 0; i < b.N; i++ {
				var v [1]byte
				Denormalise(v[:], b.X[i*b.H*b.W*3:][:1])
				if int(v[0]) != b.First+i {
					t.Errorf("slot %d of batch %d holds sample %d", i, b.Step, v[0])
				}
			}
			e.Release(b)
		}
		if b, err := e.Next(context.Background()); b != nil || err != nil {
			t.Errorf("after the end: %v, %v", b, err)
		}
		e.Close()
		if fmt.Sprint(got) != c.want {
			t.Errorf("batches %v, want %s", got, c.want)
		}
	}
}

func TestCheck_ReportsTheFirstBadSample(t *testing.T) {
	calls := 0
	if err := Check(drawn{n: 9, h: 2, w: 2}, func(done, total int) { calls++ }); err != nil || calls != 9 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if err := Check(faulty{drawn{n: 9, h: 2, w: 2}}, nil); !errors.Is(err, errFaulty) {
		t.Errorf("got %v", err)
	}
}

func TestCache_ReadsAgainOnlyWhatDidNotFit(t *testing.T) {
	reads := map[int]int{}
	ds := Cache(counted{drawn{n: 4, h: 4, w: 4}, reads}, 2*(64+sampleOverhead))
	for round := 0; round < 3; round++ {
		for i := 0; i < 4; i++ {
			if s, err := ds.Read(i); err != nil || s.Image[0] != byte(i) {
				t.Fatal(s, err)
			}
		}
	}
	if fmt.Sprint(reads) != "map[0:1 1:1 2:3 3:3]" {
		t.Errorf("reads %v", reads)
	}
}

type counted struct {
	drawn
	reads map[int]int
}

func (c counted) Read(i int) (*Sample, error) {
	c.reads[i]++
	return c.drawn.Read(i)
}
