package data

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// processorTime is what the process has used of all processors: on a busy machine the wall's clock tells little.
func processorTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// The frames are decoded anew each time, as most of a data set larger than the cache is; "cached" decodes nothing.
func BenchmarkLoader_CityscapesCrops(b *testing.B) {
	dir := filepath.Join(sharedCityscapes(b), "synthetic")
	for _, c := range []struct {
		name    string
		cache   int64
		uniform float64
	}{{"decoded", 0, 0}, {"cached", DefaultCacheBytes, 0}, {"decoded_uniform", 0, 1}, {"cached_uniform", DefaultCacheBytes, 1}} {
		b.Run(c.name, func(b *testing.B) {
			s, err := Open(dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			cfg := LoaderConfig{Batch: 4, H: 512, W: 1024, Augment: StandardAugment(), ClassUniform: c.uniform}
			cfg.Augment.OwnPixels = true
			ds := Cache(concat{s.TrainAll, s.Val, s.Test}, c.cache)
			cfg.Index = indexed(b, ds)
			if err := Check(ds, nil); err != nil {
				b.Fatal(err)
			}
			l, err := NewLoader(ds, cfg)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			before := processorTime(b)
			for b.Loop() {
				batch, err := l.Next(context.Background())
				if err != nil {
					b.Fatal(err)
				}
				l.Release(batch)
			}
			pictures := float64(b.N * cfg.Batch)
			b.ReportMetric(pictures/b.Elapsed().Seconds(), "pictures/s")
			b.ReportMetric(1000*(processorTime(b)-before).Seconds()/pictures, "cpu-ms/picture")
		})
	}
}
