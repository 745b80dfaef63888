package nn

import (
	"math"

	"github.com/segnas/segnas/gobind"
)

// A quantiser's first clips are those of the least squared error of what they make of given values. (Choi et al. 2018 begin with a large one and let
// training shrink it; a short training has no time for that.)

const (
	calibrationBins = 2048 // of the magnitudes' histogram
	calibrationTry  = 128  // clips that are tried, evenly up to the largest magnitude
)

// histogram counts magnitudes up to a largest one.
type histogram struct {
	largest float64
	counts  [calibrationBins]float64
}

// newHistogram counts the magnitudes of finite values; those that a quantiser would make zero whatever its clip are left out.
func newHistogram(values []float32, signed bool) *histogram {
	h := new(histogram)
	for _, v := range values {
		h.largest = max(h.largest, magnitude(v, signed))
	}
	if h.largest == 0 {
		return h
	}
	for _, v := range values {
		if m := magnitude(v, signed); m > 0 {
			h.counts[min(int(m/h.largest*calibrationBins), calibrationBins-1)]++
		}
	}
	return h
}

func magnitude(v float32, signed bool) float64 {
	m := float64(v)
	if signed {
		m = math.Abs(m)
	}
	if m > 0 && !math.IsInf(m, 0) {
		return m
	}
	return 0
}

// bestClip returns the clip of the least squared error at a bit width, 1 where all values are zero.
func (h *histogram) bestClip(bits int, signed bool) float64 {
	if h.largest == 0 {
		return 1
	}
	levels := math.Ldexp(1, bits) - 1
	if signed {
		levels = math.Ldexp(1, bits-1) - 1
	}
	best, least := h.largest, math.Inf(1)
	for i := 1; i <= calibrationTry; i++ {
		clip := h.largest * float64(i) / calibrationTry
		step, sum := clip/levels, 0.0
		for bin, n := range h.counts {
			if n == 0 {
				continue
			}
			v := (float64(bin) + 0.5) * h.largest / calibrationBins
			e := v - min(math.RoundToEven(v/step)*step, clip)
			sum += n * e * e
		}
		if sum < least {
			best, least = clip, sum
		}
	}
	return best
}

// Fit sets the clips of all bit widths to the best ones for values, or to the mean of that and what they were over `before` earlier calls.
func (q *Quantiser) Fit(s *gobind.Stream, values []float32, before int) error {
	h := newHistogram(values, q.Signed)
	for bits, p := range q.clips {
		if p == nil {
			continue
		}
		clip := [1]float32{}
		if before > 0 {
			if err := gobind.Download(s, clip[:], p.Value); err != nil {
				return err
			}
		}
		clip[0] += (float32(h.bestClip(bits, q.Signed)) - clip[0]) / float32(before+1)
		if err := gobind.Upload(s, p.Value, clip[:]); err != nil {
			return err
		}
	}
	return nil
}

// FitWeights fits a quantiser to a layer's whole weight.
func (q *Quantiser) FitWeights(s *gobind.Stream, w *Param) error {
	values, err := fetch(s, w.Value)
	if err != nil {
		return err
	}
	return q.Fit(s, values, 0)
}

// calibrate fits a quantiser to an activation.
func (t *Tape) calibrate(q *Quantiser, x gobind.Tensor, mode Mode) error {
	values, err := fetch(t.stream, x)
	if err != nil {
		return err
	}
	return q.Fit(t.stream, values, mode.calibrated())
}
