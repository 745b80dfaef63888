package train

import (
	"context"
	"math"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
)

// mostWeight bounds the class weights from above, and its inverse from below: a class of a handful of pixels must not lead.
const mostWeight = 10

// Balance returns class weights that make up for the classes' shares p of the feed's pixels: (m/p)^exponent, where m is the median share
// of the classes that occur. Exponent 1 is median-frequency balancing (Eigen and Fergus 2015), smaller ones do less of the same;
// classes that do not occur weigh 1. Exponent 0 returns nil: all alike.
func Balance(ctx context.Context, feed Feed, classes int, exponent float64) ([]float32, error) {
	if exponent == 0 {
		return nil, nil
	}
	counts := make([]float64, classes)
	err := feed.Each(ctx, func(b *data.Batch) error {
		for _, y := range b.Y {
			if int(y) < classes {
				counts[y]++
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	var present []float64
	for _, n := range counts {
		if n > 0 {
			present = append(present, n)
		}
	}
	median := metrics.Median(present)
	weights := make([]float32, classes)
	for i, n := range counts {
		weights[i] = 1
		if n > 0 {
			weights[i] = float32(min(max(math.Pow(median/n, exponent), 1.0/mostWeight), mostWeight))
		}
	}
	return weights, nil
}
