package data

import (
	"context"
	"runtime"

	"github.com/segnas/segnas/nas/misuse"
)

// EvalBatches hands out a dataset's samples in order, in batches, without augmentation, made ahead on goroutines.
type EvalBatches struct {
	ds          Dataset
	batch, h, w int
	line        *pipeline
}

// NewEvalBatches starts at the first sample. Pictures and labels are stretched to h x w and the last batch may be smaller. With
// h and w 0 each picture keeps its own size and is a batch by itself. workers 0: one for each processor. The caller must Close
// it.
func NewEvalBatches(ds Dataset, batch, h, w, workers int) (*EvalBatches, error) {
	if batch < 1 || h < 0 || w < 0 || (h == 0) != (w == 0) {
		return nil, misuse.Errorf("batches of %d pictures of %d x %d: all must be positive, or the size 0 x 0 for the pictures' own", batch, h, w)
	}
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	if h == 0 {
		batch = 1
	}
	e := &EvalBatches{ds: ds, batch: batch, h: h, w: w}
	first := 0
	var indices []int
	e.line = startPipeline(workers, 2, func(b *Batch) []int {
		indices = indices[:0]
		for i := first; i < min(first+batch, ds.Len()); i++ {
			indices = append(indices, i)
		}
		b.Step, b.First = first/batch, first
		if h > 0 {
			b.shape(len(indices), h, w)
		}
		first += len(indices)
		return indices
	}, e.worker)
	return e, nil
}

// worker makes the function that fills slots, with scratch memory of its own.
func (e *EvalBatches) worker() func(b *Batch, slot, sample int) error {
	var fixed *Augmenter
	if e.h > 0 {
		fixed = NewAugmenter(nil, e.h, e.w)
	}
	return func(b *Batch, slot, sample int) error {
		s, err := e.ds.Read(sample)
		if err != nil {
			return err
		}
		if fixed == nil {
			b.shape(1, s.H, s.W)
			Normalise(b.X, s.Image)
			copy(b.Y, s.Label)
			return nil
		}
		x, y := b.slot(slot)
		fixed.Fixed(s, x, y)
		return nil
	}
}

// Next is the next batch, or nil after the last. One goroutine at a time may call it.
func (e *EvalBatches) Next(ctx context.Context) (*Batch, error) { return e.line.next(ctx) }

// Release gives a batch's memory back; the caller must not touch it afterwards.
func (e *EvalBatches) Release(b *Batch) { e.line.release(b) }

// Close ends the goroutines and waits for them.
func (e *EvalBatches) Close() { e.line.close() }
