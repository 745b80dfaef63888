// Package metrics scores segmentations (confusion matrix, IoU) and measurements (robust statistics, agreement of predicted and
// measured values). Everything is a pure function of its arguments, and no argument slice is changed but the receiver's.
package metrics

import (
	"fmt"
	"math"
)

// Confusion counts pixels by true and predicted class.
type Confusion struct {
	Classes int
	// Counts is [Classes][Classes] row-major: Counts[truth*Classes+predicted]. Kernels may add to it directly.
	Counts []int64
}

// NewConfusion returns a matrix of zeros.
func NewConfusion(classes int) *Confusion {
	return &Confusion{Classes: classes, Counts: make([]int64, classes*classes)}
}

// Add counts the pixels of one label picture. Pixels whose truth is the ignore label are left out, whatever was predicted. Slices of
// different lengths, or a label outside the classes, are errors, and then nothing is counted.
func (c *Confusion) Add(truth, predicted []uint8, ignore uint8) error {
	if len(truth) != len(predicted) {
		return fmt.Errorf("%d true and %d predicted labels; each pixel needs both", len(truth), len(predicted))
	}
	for i, t := range truth {
		if t == ignore {
			continue
		}
		if int(t) >= c.Classes || int(predicted[i]) >= c.Classes {
			return fmt.Errorf("pixel %d: true label %d, predicted %d; labels are below %d, or %d in the truth for ignored pixels",
				i, t, predicted[i], c.Classes, ignore)
		}
	}
	for i, t := range truth {
		if t != ignore {
			c.Counts[int(t)*c.Classes+int(predicted[i])]++
		}
	}
	return nil
}

// Merge adds the counts of another matrix of as many classes.
func (c *Confusion) Merge(other *Confusion) error {
	if c.Classes != other.Classes {
		return fmt.Errorf("confusion matrices of %d and %d classes cannot be merged", c.Classes, other.Classes)
	}
	for i, n := range other.Counts {
		c.Counts[i] += n
	}
	return nil
}

// IoU returns each class's intersection over union, correct / (seen + predicted - correct). A class that is neither in the
// truth nor predicted has none: NaN (mind that JSON has no NaN). One that is predicted but never true has 0.
func (c *Confusion) IoU() []float64 {
	iou := make([]float64, c.Classes)
	for k := range iou {
		var seen, predicted int64
		for j := range iou {
			seen += c.Counts[k*c.Classes+j]
			predicted += c.Counts[j*c.Classes+k]
		}
		correct := c.Counts[k*c.Classes+k]
		iou[k] = ratio(correct, seen+predicted-correct)
	}
	return iou
}

// MeanIoU returns the mean of IoU over the classes that have one, and their number. Classes absent from truth and prediction alike
// neither help nor hurt. Without any pixel the mean is NaN.
func (c *Confusion) MeanIoU() (mean float64, present int) {
	var sum float64
	for _, v := range c.IoU() {
		if !math.IsNaN(v) {
			sum += v
			present++
		}
	}
	return sum / float64(present), present
}

// PixelAccuracy returns the share of counted pixels that are predicted right; NaN without any.
func (c *Confusion) PixelAccuracy() float64 {
	var correct, all int64
	for i, n := range c.Counts {
		all += n
		if i/c.Classes == i%c.Classes {
			correct += n
		}
	}
	return ratio(correct, all)
}

// ratio is NaN for 0/0.
func ratio(part, whole int64) float64 { return float64(part) / float64(whole) }
