package train

import (
	"context"
	"errors"
	"slices"

	"github.com/segnas/segnas/nas/data"
)

// Feed is a fixed sequence of batches. It can be gone through any number of times and gives the same batches every time.
type Feed interface {
	// Each calls visit with every batch in turn until it fails. The batch is valid during the call.
	Each(ctx context.Context, visit func(*data.Batch) error) error
}

// All feeds a whole dataset in order, stretched to Height x Width, read anew every time.
type All struct {
	Data                 data.Dataset
	Batch, Height, Width int
}

// Each implements Feed.
func (f All) Each(ctx context.Context, visit func(*data.Batch) error) error {
	batches, err := data.NewEvalBatches(f.Data, f.Batch, f.Height, f.Width, 0)
	if err != nil {
		return err
	}
	defer batches.Close()
	for {
		b, err := batches.Next(ctx)
		if err != nil || b == nil {
			return err
		}
		if err := visit(b); err != nil {
			return err
		}
		batches.Release(b)
	}
}

// Some feeds the first Batches batches of a training with the given seed, stretched to Height x Width without augmentation.
type Some struct {
	Data                 data.Dataset
	Batch, Height, Width int
	Seed                 uint64
	Batches              int
}

// Each implements Feed.
func (f Some) Each(ctx context.Context, visit func(*data.Batch) error) error {
	loader, err := data.NewLoader(f.Data, data.LoaderConfig{Batch: f.Batch, H: f.Height, W: f.Width, Seed: f.Seed})
	if err != nil {
		return err
	}
	defer loader.Close()
	for range f.Batches {
		b, err := loader.Next(ctx)
		if err != nil {
			return err
		}
		if err := visit(b); err != nil {
			return err
		}
		loader.Release(b)
	}
	return nil
}

// kept feeds from memory.
type kept []*data.Batch

// Each implements Feed.
func (k kept) Each(ctx context.Context, visit func(*data.Batch) error) error {
	for _, b := range k {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(b); err != nil {
			return err
		}
	}
	return nil
}

var errTooLarge = errors.New("the feed is too large to keep")

// Keep reads a feed into memory, for one that is gone through often. A feed of more than maxBytes is returned as it is.
func Keep(ctx context.Context, f Feed, maxBytes int) (Feed, error) {
	var k kept
	err := f.Each(ctx, func(b *data.Batch) error {
		if maxBytes -= 4*len(b.X) + len(b.Y); maxBytes < 0 {
			return errTooLarge
		}
		k = append(k, &data.Batch{X: slices.Clone(b.X), Y: slices.Clone(b.Y), N: b.N, H: b.H, W: b.W, Step: b.Step})
		return nil
	})
	if errors.Is(err, errTooLarge) {
		return f, nil
	}
	return k, err
}
