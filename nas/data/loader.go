package data

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/segnas/segnas/nas/misuse"
)

// ErrClosed is what Next returns after Close.
var ErrClosed = errors.New("the loader is closed")

// Batch is one step's input.
type Batch struct {
	X       []float32 // N,H,W,3, normalised
	Y       []byte    // N,H,W, class or Ignore
	N, H, W int
	Step    int // of the training, counting from 0; in EvalBatches the batch's number
	First   int // in EvalBatches the index of the first sample; the others follow in order

	pending atomic.Int32  // slots that are not filled yet
	full    chan struct{} // receives once all slots are filled
	errs    []error       // of each slot
	chosen  []int         // in a Loader, the class that each slot was chosen for, or anyClass
}

// LoaderConfig says what a training's batches are made of.
type LoaderConfig struct {
	Batch, H, W int            // pictures a batch, and their size
	Augment     *AugmentConfig // nil stretches pictures to H x W
	Seed        uint64
	// ClassUniform is the share of a training's samples, 0 to 1, that are chosen by class: a class is drawn evenly among those that occur, then a
	// sample that holds it, and the crop is placed around a pixel of it (Zhu et al., "Improving semantic segmentation via video propagation and
	// label relaxation", CVPR 2019). Index, the dataset's, spares NewLoader the reading of all labels, some 10 ms of a processor for a picture of Cityscapes.
	ClassUniform float64
	Index        *ClassIndex
	Half         func(step int) bool // whether a step's pictures have half of H and W, rounded up; nil: none
	StartStep    int                 // the first batch's step: a resumed training gets exactly the batches that an uninterrupted one would
	Workers      int                 // goroutines that read and augment; 0: one for each processor
	Prefetch     int                 // batches made ahead; 0: 2
}

// Loader makes a training's batches ahead on goroutines of its own. The batch of a step is a function of the dataset, the
// seed and the step (and Batch, H, W, Half, Augment, ClassUniform), whatever the number of workers. Every epoch visits each sample once, in an
// order of its own; a batch may span two epochs. Samples chosen by class are no part of epochs.
type Loader struct {
	cfg   LoaderConfig
	ds    Dataset
	line  *pipeline
	start time.Time
	count atomic.Int64
	wait  atomic.Int64
}

// Streams keep the random numbers of different purposes apart.
const (
	shuffleStream = 0x5348554646 << 16
	augmentStream = 0x4155474d << 24
)

// NewLoader starts making batches. The caller must Close it.
func NewLoader(ds Dataset, cfg LoaderConfig) (*Loader, error) {
	if cfg.Batch < 1 || cfg.H < 1 || cfg.W < 1 || cfg.StartStep < 0 {
		return nil, misuse.Errorf("batches of %d pictures of %d x %d from step %d: all must be positive", cfg.Batch, cfg.H, cfg.W, cfg.StartStep)
	}
	if ds.Len() == 0 {
		return nil, misuse.Errorf("%s: no picture to train on", ds.Name())
	}
	if cfg.Workers < 1 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	if cfg.Prefetch < 1 {
		cfg.Prefetch = 2
	}
	l := &Loader{cfg: cfg, ds: ds, start: time.Now()}
	samples, err := newChooser(ds, cfg)
	if err != nil {
		return nil, err
	}
	step := cfg.StartStep
	l.line = startPipeline(cfg.Workers, cfg.Prefetch, func(b *Batch) []int {
		h, w := cfg.H, cfg.W
		if cfg.Half != nil && cfg.Half(step) {
			h, w = (h+1)/2, (w+1)/2
		}
		b.shape(cfg.Batch, h, w)
		b.Step = step
		step++
		return samples.batch(b)
	}, l.worker)
	return l, nil
}

// worker makes the function that fills slots, with scratch memory of its own.
func (l *Loader) worker() func(b *Batch, slot, sample int) error {
	aug := NewAugmenter(l.cfg.Augment, l.cfg.H, l.cfg.W)
	source := rand.NewPCG(0, 0)
	rng := rand.New(source)
	return func(b *Batch, slot, sample int) error {
		s, err := l.ds.Read(sample)
		if err != nil {
			return err
		}
		source.Seed(l.cfg.Seed^augmentStream, uint64(b.Step)*uint64(l.cfg.Batch)+uint64(slot))
		x, y := b.slot(slot)
		aug.h, aug.w = b.H, b.W
		aug.apply(s, b.chosen[slot], rng, x, y)
		return nil
	}
}

// Next waits for the next step's batch. The caller gives it back with Release. An error is that of the batch's first sample
// that could not be read, ctx's, or ErrClosed. One goroutine at a time may call it.
func (l *Loader) Next(ctx context.Context) (*Batch, error) {
	began := time.Now()
	b, err := l.line.next(ctx)
	l.wait.Add(int64(time.Since(began)))
	if err != nil {
		return nil, err
	}
	l.count.Add(int64(b.N))
	return b, nil
}

// Release gives a batch's memory back for a later one; the caller must not touch it afterwards.
func (l *Loader) Release(b *Batch) { l.line.release(b) }

// Close ends the loader's goroutines and waits for them.
func (l *Loader) Close() { l.line.close() }

// LoaderStats is how a loader keeps up with its consumer.
type LoaderStats struct {
	Pictures          int64         // handed out
	PicturesPerSecond float64       // handed out, over the time since the start
	Wait              time.Duration // that Next spent waiting, in all
	Work              time.Duration // that the workers spent reading and augmenting, all together
}

// Stats may be called at any time.
func (l *Loader) Stats() LoaderStats {
	n := l.count.Load()
	return LoaderStats{
		Pictures: n, PicturesPerSecond: float64(n) / time.Since(l.start).Seconds(),
		Wait: time.Duration(l.wait.Load()), Work: time.Duration(l.line.work.Load()),
	}
}

func (s LoaderStats) String() string {
	perWorker := 0.0
	if s.Work > 0 {
		perWorker = float64(s.Pictures) / s.Work.Seconds()
	}
	return fmt.Sprintf("%d pictures, %.1f/s (a worker makes %.0f/s), waited %.2fs", s.Pictures, s.PicturesPerSecond, perWorker, s.Wait.Seconds())
}

// shape sizes a batch for n pictures of h x w.
func (b *Batch) shape(n, h, w int) {
	b.N, b.H, b.W = n, h, w
	if cap(b.X) < n*h*w*3 {
		b.X, b.Y = make([]float32, n*h*w*3), make([]byte, n*h*w)
	}
	b.X, b.Y = b.X[:n*h*w*3], b.Y[:n*h*w]
}

// slot is the memory of one picture.
func (b *Batch) slot(i int) (x []float32, y []byte) {
	size := b.H * b.W
	return b.X[3*size*i : 3*size*(i+1)], b.Y[size*i : size*(i+1)]
}

// shuffle gives the samples' order: a permutation for each epoch, a function of seed and epoch.
type shuffle struct {
	seed  uint64
	epoch int // that order holds, or -1
	order []int
}

func newShuffle(seed uint64, n int) *shuffle {
	return &shuffle{seed: seed, epoch: -1, order: make([]int, n)}
}

// sample is the dataset's index at a place of the endless sequence of epochs.
func (s *shuffle) sample(at int) int {
	if epoch := at / len(s.order); epoch != s.epoch {
		s.epoch = epoch
		for k := range s.order {
			s.order[k] = k
		}
		rand.New(rand.NewPCG(s.seed^shuffleStream, uint64(epoch))).Shuffle(len(s.order), func(a, b int) {
			s.order[a], s.order[b] = s.order[b], s.order[a]
		})
	}
	return s.order[at%len(s.order)]
}
