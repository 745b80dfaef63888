package metrics

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"
)

// Quantile returns the p-quantile of x, 0 <= p <= 1, interpolated linearly between order statistics: position p*(n-1), type 7 of
// Hyndman and Fan (1996), the default of R and NumPy. NaN for an empty x.
func Quantile(x []float64, p float64) float64 {
	return quantileSorted(slices.Sorted(slices.Values(x)), p)
}

// Median is the 0.5-quantile: the mean of the two middle values where the count is even.
func Median(x []float64) float64 { return Quantile(x, 0.5) }

// Quartiles returns the 0.25-, 0.5- and 0.75-quantiles.
func Quartiles(x []float64) (q1, median, q3 float64) {
	sorted := slices.Sorted(slices.Values(x))
	return quantileSorted(sorted, 0.25), quantileSorted(sorted, 0.5), quantileSorted(sorted, 0.75)
}

func quantileSorted(sorted []float64, p float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	position := p * float64(len(sorted)-1)
	i := min(int(position), len(sorted)-1)
	j := min(i+1, len(sorted)-1)
	return sorted[i] + (position-float64(i))*(sorted[j]-sorted[i])
}

// Pearson returns the linear correlation of two equally long samples; NaN where one is constant.
func Pearson(x, y []float64) float64 { return stat.Correlation(x, y, nil) }

// Spearman returns the rank correlation: Pearson's of the ranks, where equal values share their mean rank.
func Spearman(x, y []float64) float64 { return Pearson(ranks(x), ranks(y)) }

// ranks returns each value's rank from 1, equal values sharing their mean.
func ranks(x []float64) []float64 {
	order := make([]int, len(x))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		switch {
		case x[i] < x[j]:
			return -1
		case x[i] > x[j]:
			return 1
		}
		return 0
	})
	r := make([]float64, len(x))
	for from := 0; from < len(order); {
		to := from + 1
		for to < len(order) && x[order[to]] == x[order[from]] {
			to++
		}
		for _, i := range order[from:to] {
			r[i] = float64(from+1+to) / 2
		}
		from = to
	}
	return r
}

// KendallTauB returns Kendall's tau-b of two equally long samples: (concordant - discordant) pairs over the geometric mean of the
// numbers of pairs that are not tied in x and not tied in y. NaN where one is constant. It takes time n^2.
func KendallTauB(x, y []float64) float64 {
	var score, untiedX, untiedY float64
	for i := range x {
		for j := range i {
			dx, dy := sign(x[i]-x[j]), sign(y[i]-y[j])
			score += dx * dy
			untiedX += dx * dx
			untiedY += dy * dy
		}
	}
	return score / math.Sqrt(untiedX*untiedY)
}

func sign(v float64) float64 {
	switch {
	case v > 0:
		return 1
	case v < 0:
		return -1
	}
	return v // 0, or NaN, which must not pass for a tie
}

// MAPE returns the mean of |predicted - measured| / |measured| as a share (0.05 is 5 %), of equally long samples. NaN for empty ones.
func MAPE(predicted, measured []float64) float64 {
	errors := make([]float64, len(measured))
	for i, m := range measured {
		errors[i] = math.Abs(predicted[i]-m) / math.Abs(m)
	}
	return stat.Mean(errors, nil)
}

// BootstrapMean returns the percentile bootstrap interval of the mean of x at the given level, such as 0.95, from the given number
// of resamples (1000 is usual). It is a function of its arguments and the source's state. NaN for an empty x.
func BootstrapMean(rng *rand.Rand, x []float64, level float64, resamples int) (low, high float64) {
	if len(x) == 0 {
		return math.NaN(), math.NaN()
	}
	means := make([]float64, resamples)
	for r := range means {
		var sum float64
		for range x {
			sum += x[rng.IntN(len(x))]
		}
		means[r] = sum / float64(len(x))
	}
	slices.Sort(means)
	return quantileSorted(means, (1-level)/2), quantileSorted(means, (1+level)/2)
}
