package data

import "sync"

// sampleOverhead is what a cached sample costs beyond its pixels, in bytes, roughly.
const sampleOverhead = 256

// cached keeps decoded samples in memory, first come first kept, until their bytes reach the limit. Nothing is evicted:
// training visits every sample once an epoch, and under that order a least-recently-used cache that is too small evicts
// each sample just before it is wanted again, while this one keeps serving the share that fits.
type cached struct {
	Dataset
	mu    sync.RWMutex
	kept  []*Sample
	spare int64 // bytes left
}

// Cache wraps a dataset so that decoded samples stay in memory up to maxBytes. With maxBytes <= 0 it returns ds itself.
func Cache(ds Dataset, maxBytes int64) Dataset {
	if maxBytes <= 0 {
		return ds
	}
	return &cached{Dataset: ds, kept: make([]*Sample, ds.Len()), spare: maxBytes}
}

// held is sample i where it is kept, else nil.
func (c *cached) held(i int) *Sample {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.kept[i]
}

func (c *cached) sampleName(i int) (string, error) { return SampleName(c.Dataset, i) }

// readLabels keeps nothing: a sample without its picture is none.
func (c *cached) readLabels(i int) (label []byte, h, w int, err error) {
	if s := c.held(i); s != nil {
		return s.Label, s.H, s.W, nil
	}
	return Labels(c.Dataset, i)
}

func (c *cached) Read(i int) (*Sample, error) {
	if s := c.held(i); s != nil {
		return s, nil
	}
	// Two readers of the same sample may both decode it; that is cheaper than making every reader wait.
	s, err := c.Dataset.Read(i)
	if err != nil {
		return nil, err
	}
	size := s.Bytes()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept[i] != nil {
		return c.kept[i], nil
	}
	if size <= c.spare {
		c.kept[i] = s
		c.spare -= size
	}
	return s, nil
}
