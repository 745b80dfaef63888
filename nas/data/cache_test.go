package data

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"
)

// heapBytes is what lives on the heap.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestCache_HoldsNoMoreBytesThanItsBound(t *testing.T) {
	const bound, samples = 8 << 20, 300
	before := heapBytes()
	ds := Cache(drawn{n: samples, h: 120, w: 160}, bound) // 76.8 kB each, 23 MB in all
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Add(1)
		go func() {
			defer readers.Done()
			rng := rand.New(rand.NewPCG(uint64(r), 0))
			for range 2 * samples {
				if _, err := ds.Read(rng.IntN(samples)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	readers.Wait()
	var held int64
	for _, s := range ds.(*cached).kept {
		if s != nil {
			held += s.Bytes()
		}
	}
	if held > bound || held != bound-ds.(*cached).spare {
		t.Errorf("%d bytes are held and %d left of %d", held, ds.(*cached).spare, bound)
	}
	if sample := int64(120*160*4 + sampleOverhead); held < bound-sample {
		t.Errorf("%d bytes are held: another sample would fit", held)
	}
	grown := heapBytes() - before
	runtime.KeepAlive(ds)
	if grown > bound+bound/8 || grown < bound/2 {
		t.Errorf("the heap has grown by %d bytes, the bound is %d", grown, bound)
	}
}

func TestEach_HandsOutInOrderAndEndsItsGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, ahead := range []int{0, 1, 5, 50} {
		next := 0
		err := Each(context.Background(), drawn{n: 20, h: 2, w: 2}, ahead, func(i int, s *Sample) error {
			if i != next || s.Image[0] != byte(i) {
				t.Errorf("%d ahead: got sample %d (%d), want %d", ahead, i, s.Image[0], next)
			}
			next++
			return nil
		})
		if err != nil || next != 20 {
			t.Errorf("%d ahead: %v after %d samples", ahead, err, next)
		}
	}
	if err := Each(context.Background(), faulty{drawn{n: 9, h: 2, w: 2}}, 2, func(i int, _ *Sample) error { return nil }); !errors.Is(err, errFaulty) {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	seen := 0
	err := Each(ctx, drawn{n: 1000, h: 2, w: 2}, 3, func(i int, _ *Sample) error {
		if seen++; i == 4 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || seen != 5 {
		t.Errorf("cancelled at sample 4: %v after %d samples", err, seen)
	}
	for i := 0; i < 100 && runtime.NumGoroutine() > before; i++ { // one that has told its end may take a moment to go
		time.Sleep(time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
}
