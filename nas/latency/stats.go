package latency

import (
	"math"
	"time"

	"github.com/segnas/segnas/nas/metrics"
)

// Stats summarise the accepted samples of one thing. All but RawMedian are scaled to the canary's quiet level.
type Stats struct {
	Median    time.Duration `json:"median_ns"`
	Q1        time.Duration `json:"q1_ns"`
	Q3        time.Duration `json:"q3_ns"`
	P99       time.Duration `json:"p99_ns"`
	RawMedian time.Duration `json:"raw_median_ns"` // as the clock gave them
	N         int           `json:"n"`             // accepted samples
	Rejected  int           `json:"rejected"`      // samples thrown away beside a slow canary or under a throttle reason
}

func (s Stats) valid() bool {
	return s.N > 0 && s.Rejected >= 0 && 0 <= s.Q1 && s.Q1 <= s.Median && s.Median <= s.Q3 && s.Q3 <= s.P99 && s.RawMedian >= 0
}

// Scaled returns the statistics at another level of the canary: every time but RawMedian multiplied by factor.
func (s Stats) Scaled(factor float64) Stats {
	for _, d := range []*time.Duration{&s.Median, &s.Q1, &s.Q3, &s.P99} {
		*d = duration(float64(*d) * factor)
	}
	return s
}

// pool gathers samples in nanoseconds.
type pool struct {
	scaled, raw []float64
	rejected    int
}

func (p *pool) add(d time.Duration, scale float64) {
	p.raw = append(p.raw, float64(d))
	p.scaled = append(p.scaled, float64(d)*scale)
}

func (p *pool) stats() Stats {
	q1, median, q3 := metrics.Quartiles(p.scaled)
	return Stats{
		Median: duration(median), Q1: duration(q1), Q3: duration(q3), P99: duration(metrics.Quantile(p.scaled, 0.99)),
		RawMedian: duration(metrics.Median(p.raw)), N: len(p.scaled), Rejected: p.rejected,
	}
}

func duration(ns float64) time.Duration { return time.Duration(math.Round(ns)) }

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
