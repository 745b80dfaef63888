package data

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// Check reads every sample of a dataset once, on all processors, and returns the error of the first one that cannot be
// read: so bad pictures are found before a training starts and not in its middle. A dataset with a cache is warm afterwards.
// progress, if not nil, is called with the samples done so far, by one goroutine at a time.
func Check(ds Dataset, progress func(done, total int)) error {
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
			for i := int(next.Add(1) - 1); i < n && !failed.Load(); i = int(next.Add(1) - 1) {
				if _, errs[i] = ds.Read(i); errs[i] != nil {
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
	return firstError(errs)
}
