package run

import (
	"context"
	"fmt"
	"io"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/train"
)

// scenesCache is how much memory drawn scenes may take.
const scenesCache = 512 << 20

// openData opens the pictures that a configuration names and checks that every split has some. What the user should know of the splits goes to out.
func openData(c Config, out io.Writer) (data.Splits, error) {
	if c.Data == ScenesData {
		return data.Scenes(data.ScenesConfig{
			H: c.Height, W: c.Width, Seed: c.Seed, CacheBytes: scenesCache,
			Train: c.Scenes.Train, SearchVal: c.Scenes.Validation, Val: c.Scenes.Test,
		})
	}
	return data.Open(c.Data, data.Options{
		Format: c.Format, CacheBytes: int64(c.PictureCache), Notice: func(text string) { fmt.Fprintf(out, "data: %s\n", text) },
	})
}

// checkPictures reads every picture once, so that one that cannot be used is refused before hours of training and not after. What
// fits stays in the data sets' memory. Drawn scenes need no check.
func checkPictures(ctx context.Context, c Config, splits data.Splits, s Streams) error {
	if c.Data == ScenesData {
		return nil
	}
	all := []data.Dataset{splits.TrainAll, splits.Val}
	total := splits.TrainAll.Len() + splits.Val.Len()
	bar := NewProgress(s.Err, "pictures", "read", 0, total)
	group, going := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	done := 0
	for _, ds := range all {
		for i := range ds.Len() {
			if going.Err() != nil {
				break
			}
			group.Go(func() error {
				_, err := ds.Read(i)
				return err
			})
			done++
			bar.Set(done, "")
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	bar.Finish("")
	return ctx.Err()
}

// described returns the classes as checkpoints keep them.
func described(c data.Classes) train.Classes {
	d := train.Classes{Names: c.Names}
	for _, rgb := range c.Colors {
		d.Colors = append(d.Colors, [3]int{int(rgb[0]), int(rgb[1]), int(rgb[2])})
	}
	for _, v := range c.Values {
		d.Values = append(d.Values, int(v))
	}
	return d
}

// restored is the inverse of described.
func restored(d train.Classes) data.Classes {
	c := data.Classes{Names: d.Names}
	for _, rgb := range d.Colors {
		c.Colors = append(c.Colors, [3]byte{byte(rgb[0]), byte(rgb[1]), byte(rgb[2])})
	}
	for _, v := range d.Values {
		c.Values = append(c.Values, byte(v))
	}
	return c
}
