package metrics

import (
	"math"
	"slices"
	"testing"
)

const ignore = 255

func counted(t *testing.T, classes int, truth, predicted []uint8) *Confusion {
	t.Helper()
	c := NewConfusion(classes)
	if err := c.Add(truth, predicted, ignore); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfusion_CountsByHand(t *testing.T) {
	c := counted(t, 4, []uint8{0, 0, 0, 1, 1, ignore, 1}, []uint8{0, 0, 1, 1, 2, 3, 1})
	if want := []int64{2, 1, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}; !slices.Equal(c.Counts, want) {
		t.Errorf("counts are %v, want %v", c.Counts, want)
	}
	iou := c.IoU()
	// Class 2 is predicted but never true: 0. Class 3 occurs at an ignored pixel only: no IoU.
	for k, want := range []float64{2.0 / 3, 2.0 / 4, 0, math.NaN()} {
		if iou[k] != want && !(math.IsNaN(iou[k]) && math.IsNaN(want)) {
			t.Errorf("class %d: IoU %v, want %v", k, iou[k], want)
		}
	}
	if mean, present := c.MeanIoU(); math.Abs(mean-(2.0/3+0.5)/3) > 1e-15 || present != 3 {
		t.Errorf("mean IoU %v of %d classes", mean, present)
	}
	if got := c.PixelAccuracy(); got != 4.0/6 {
		t.Errorf("pixel accuracy %v", got)
	}
}

func TestConfusion_PerfectAndEmpty(t *testing.T) {
	labels := []uint8{0, 1, 2, 2}
	c := counted(t, 5, labels, labels)
	if mean, present := c.MeanIoU(); mean != 1 || present != 3 || c.PixelAccuracy() != 1 {
		t.Errorf("a perfect prediction has mean IoU %v of %d classes, accuracy %v", mean, present, c.PixelAccuracy())
	}
	empty := NewConfusion(5)
	if mean, present := empty.MeanIoU(); !math.IsNaN(mean) || present != 0 || !math.IsNaN(empty.PixelAccuracy()) {
		t.Errorf("no pixel at all has mean IoU %v of %d classes", mean, present)
	}
}

func TestConfusion_MergeIsAddingAll(t *testing.T) {
	a, b := []uint8{0, 1, 1, ignore}, []uint8{1, 1, 0, 0}
	parts := counted(t, 2, a[:2], b[:2])
	if err := parts.Merge(counted(t, 2, a[2:], b[2:])); err != nil {
		t.Fatal(err)
	}
	if whole := counted(t, 2, a, b); !slices.Equal(parts.Counts, whole.Counts) {
		t.Errorf("merged %v, whole %v", parts.Counts, whole.Counts)
	}
	if parts.Merge(NewConfusion(3)) == nil {
		t.Error("matrices of different classes were merged")
	}
}

func TestConfusion_RefusesLabelsOutsideAndCountsNothing(t *testing.T) {
	for _, c := range []struct{ truth, predicted []uint8 }{
		{[]uint8{0, 3}, []uint8{0, 0}},
		{[]uint8{0, 1}, []uint8{0, ignore}},
		{[]uint8{0, 1}, []uint8{0}},
	} {
		m := NewConfusion(3)
		if m.Add(c.truth, c.predicted, ignore) == nil {
			t.Errorf("%v against %v was counted", c.truth, c.predicted)
		}
		if slices.Max(m.Counts) != 0 {
			t.Errorf("%v against %v left counts behind", c.truth, c.predicted)
		}
	}
}
