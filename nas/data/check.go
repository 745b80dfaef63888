package data

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// Check reads every sample of a dataset once, on all processors, and returns the error of the first one that cannot be
// read: so bad pictures are found before a training starts and not in its middle. A dataset with a cache is warm afterwards.
// progress, if not nil, is called with the samples done so far, by one goroutine at a time.
func Check(ds Dataset, progress func(done, total int)) error {
	return everySample(context.Background(), ds, progress, func(i int) error {
		_, err := ds.Read(i)
		return err
	})
}

// everySample calls one for each of a dataset's samples, on all processors, in no order. After the first error, or when ctx is done, no more
// begin.
func everySample(ctx context.Context, ds Dataset, progress func(done, total int), one func(i int) error) error {
	n := ds.Len()
	errs := make([]error, n)
	var next atomic.Int64
	var failed atomic.Bool
	var mu sync.Mutex
	done := 0
	var workers sync.WaitGroup
	for w := 0; w < runtime.GOMAXPROCS(0); w++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for i := int(next.Add(1) - 1); i < n && !failed.Load() && ctx.Err() == nil; i = int(next.Add(1) - 1) {
				if errs[i] = one(i); errs[i] != nil {
					failed.Store(true)
				}
				mu.Lock()
				done++
				if progress != nil {
					progress(done, n)
				}
				mu.Unlock()
			}
		}()
	}
	workers.Wait()
	if err := firstError(errs); err != nil {
		return err
	}
	return ctx.Err()
}

// Each reads a dataset's samples on goroutines, up to ahead of them before they are wanted, and hands them out in order until visit fails or ctx
// is done. visit is called by one goroutine; all others have ended when Each returns.
func Each(ctx context.Context, ds Dataset, ahead int, visit func(i int, s *Sample) error) error {
	type read struct {
		s   *Sample
		err error
	}
	going, stop := context.WithCancel(ctx)
	var readers sync.WaitGroup
	defer readers.Wait()
	defer stop()
	queue := make(chan chan read, ahead)
	readers.Add(1)
	go func() {
		defer readers.Done()
		defer close(queue)
		for i := range ds.Len() {
			slot := make(chan read, 1)
			select {
			case queue <- slot:
			case <-going.Done():
				return
			}
			readers.Add(1)
			go func() {
				defer readers.Done()
				s, err := ds.Read(i)
				slot <- read{s, err}
			}()
		}
	}()
	i := 0
	for slot := range queue {
		r := <-slot
		if r.err == nil {
			r.err = ctx.Err()
		}
		if r.err == nil {
			r.err = visit(i, r.s)
		}
		if r.err != nil {
			return r.err
		}
		i++
	}
	return ctx.Err()
}
