package data

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/segnas/segnas/nas/misuse"
)

// ClassIndex says which samples of a dataset hold which class. It keeps four bytes for each class of each sample, and is not changed once it
// is made: any number of loaders may use it.
type ClassIndex struct {
	samples   int
	holders   [][]int32 // of each class, the samples in order
	occurring []int     // the classes that have any
}

// IndexClasses reads the labels of every sample once, on all processors; pictures stay unread where labels lie in files of their own. progress,
// if not nil, is called with the samples done so far, by one goroutine at a time.
func IndexClasses(ctx context.Context, ds Dataset, progress func(done, total int)) (*ClassIndex, error) {
	classes := ds.Classes().Len()
	held := make([][256]bool, ds.Len())
	err := everySample(ctx, ds, progress, func(i int) error {
		label, _, _, err := Labels(ds, i)
		for _, l := range label {
			held[i][l] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	x := &ClassIndex{samples: ds.Len(), holders: make([][]int32, classes)}
	for c := range classes {
		for i := range held {
			if held[i][c] {
				x.holders[c] = append(x.holders[c], int32(i))
			}
		}
		if len(x.holders[c]) > 0 {
			x.occurring = append(x.occurring, c)
		}
	}
	return x, nil
}

// First is the index of the dataset's first n samples. That of nil is nil.
func (x *ClassIndex) First(n int) *ClassIndex {
	if x == nil || n >= x.samples {
		return x
	}
	first := &ClassIndex{samples: n, holders: make([][]int32, len(x.holders))}
	for c, all := range x.holders {
		end, _ := slices.BinarySearch(all, int32(n))
		first.holders[c] = all[:end:end]
		if end > 0 {
			first.occurring = append(first.occurring, c)
		}
	}
	return first
}

// Occurring is the classes that the dataset holds, in order.
func (x *ClassIndex) Occurring() []int { return x.occurring }

// Samples is how many samples hold a class.
func (x *ClassIndex) Samples(class int) int { return len(x.holders[class]) }

// anyClass marks a slot of a batch that is not chosen by class.
const anyClass = -1

// uniformStream keeps the choice of classes apart from other random numbers.
const uniformStream = 0x434c415353 << 16

// chooser says which samples fill a training's batches. Of the samples of a training, counted from 0, a share is chosen by class, spread
// evenly; the others follow the shuffled order among themselves, so that their epochs too visit each sample once.
type chooser struct {
	order  *shuffle
	share  float64
	index  *ClassIndex
	seed   uint64
	source *rand.PCG
	rng    *rand.Rand
	slots  []int
}

// newChooser checks the settings that class-uniform sampling needs.
func newChooser(ds Dataset, cfg LoaderConfig) (*chooser, error) {
	c := &chooser{order: newShuffle(cfg.Seed, ds.Len()), share: cfg.ClassUniform, index: cfg.Index, seed: cfg.Seed}
	switch {
	case !(c.share >= 0 && c.share <= 1):
		return nil, misuse.Errorf("class-uniform sampling of a share of %g; give a share from 0 to 1", c.share)
	case c.share > 0 && c.index == nil:
		var err error
		if c.index, err = IndexClasses(context.Background(), ds, nil); err != nil {
			return nil, err
		}
	case c.share > 0 && c.index.samples != ds.Len():
		return nil, fmt.Errorf("class-uniform sampling of %d samples of %s with the class index of %d", ds.Len(), ds.Name(), c.index.samples)
	}
	if c.share > 0 && len(c.index.occurring) == 0 {
		return nil, misuse.Errorf("%s: no pixel of its %d label pictures has a class; class-uniform sampling needs some", ds.Name(), ds.Len())
	}
	c.source = rand.NewPCG(0, 0)
	c.rng = rand.New(c.source)
	return c, nil
}

// byClass is how many of a training's first n samples are chosen by class.
func (c *chooser) byClass(n int) int { return int(math.Floor(float64(n) * c.share)) }

// batch lists the samples of the batch, and writes down for each the class that it was chosen for. It is a function of the batch's step. The
// slice is overwritten by the next call.
func (c *chooser) batch(b *Batch) []int {
	c.slots, b.chosen = c.slots[:0], b.chosen[:0]
	for slot := range b.N {
		at := b.Step*b.N + slot
		before := c.byClass(at)
		if c.byClass(at+1) == before {
			c.slots, b.chosen = append(c.slots, c.order.sample(at-before)), append(b.chosen, anyClass)
			continue
		}
		c.source.Seed(c.seed^uniformStream, uint64(at))
		class := c.index.occurring[c.rng.IntN(len(c.index.occurring))]
		holders := c.index.holders[class]
		c.slots, b.chosen = append(c.slots, int(holders[c.rng.IntN(len(holders))])), append(b.chosen, class)
	}
	return c.slots
}

// place draws a pixel of the class and returns where it lies in the picture scaled to scaledH x scaledW: a pixel whose nearest source pixel is
// of the class, wherever the scale leaves one.
func place(s *Sample, class byte, scaledH, scaledW int, rng *rand.Rand) (row, col int, ok bool) {
	total := bytes.Count(s.Label, []byte{class})
	if total == 0 {
		return 0, 0, false
	}
	at := nth(s.Label, s.W, class, rng.IntN(total))
	row, col = scaledAt(at/s.W, s.H, scaledH), scaledAt(at%s.W, s.W, scaledW)
	if s.Label[nearest(row, s.H, scaledH)*s.W+nearest(col, s.W, scaledW)] == class {
		return row, col, true
	}
	// The scale skips this pixel. Few pixels of the class may be left: look at all of the scaled picture.
	left := 0
	scan := func(stop int) bool {
		left = 0
		for y := range scaledH {
			source := s.Label[nearest(y, s.H, scaledH)*s.W:][:s.W]
			if bytes.IndexByte(source, class) < 0 {
				continue
			}
			for x := range scaledW {
				if source[nearest(x, s.W, scaledW)] != class {
					continue
				}
				if row, col = y, x; left == stop {
					return true
				}
				left++
			}
		}
		return false
	}
	scan(-1)
	if left == 0 {
		return row, col, true // around where it would be
	}
	return row, col, scan(rng.IntN(left))
}

// nth is the index of the class's pixel that n others come before.
func nth(label []byte, w int, class byte, n int) int {
	for row := 0; ; row += w {
		count := bytes.Count(label[row:row+w], []byte{class})
		if n >= count {
			n -= count
			continue
		}
		at := row
		for ; ; at++ {
			at += bytes.IndexByte(label[at:], class)
			if n == 0 {
				return at
			}
			n--
		}
	}
}

// nearest is the source pixel, of n, under the middle of scaled pixel p, of scaled: what resampler.labels takes.
func nearest(p, n, scaled int) int { return (2*p + 1) * n / (2 * scaled) }

// scaledAt is the scaled pixel under the middle of source pixel p.
func scaledAt(p, n, scaled int) int { return nearest(p, scaled, n) }

// around places a crop of size pixels, with spare extra ones, so that it shows pixel p, evenly; t lies in [0, 1). A crop that all of the
// picture fits into shows it anyway.
func around(spare, p, size int, t float64) int {
	if spare < 0 {
		return offset(spare, t)
	}
	first, last := max(0, p-size+1), min(spare, p)
	return first + int(t*float64(last-first+1))
}
