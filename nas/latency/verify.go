package latency

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// Point is one network, predicted and measured. All times are milliseconds; measured ones are at the table's canary level, as
// predictions are, but for Raw.
type Point struct {
	Arch              space.Arch `json:"arch"`
	Predicted         float64    `json:"predicted_ms"`
	Measured          float64    `json:"measured_ms"`
	Q1                float64    `json:"q1_ms"`
	Q3                float64    `json:"q3_ms"`
	Raw               float64    `json:"raw_ms"` // median as the clock gave it
	PredictedSearched float64    `json:"predicted_searched_ms"`
	MeasuredSearched  float64    `json:"measured_searched_ms"`
}

// Accuracy tells how well predictions meet measurements. All but Spearman are shares: 0.05 is 5 %.
type Accuracy struct {
	MAPE     float64 `json:"mape"`     // mean of |predicted - measured| / measured
	Bias     float64 `json:"bias"`     // mean of (predicted - measured) / measured
	Max      float64 `json:"max"`      // largest |predicted - measured| / measured
	Spearman float64 `json:"spearman"` // rank correlation; 0 where it is undefined, as among equals
	Within5  float64 `json:"within_5"` // networks within 5 %
	Within10 float64 `json:"within_10"`
}

// Verification compares predictions with measurements of random networks.
type Verification struct {
	Setup      Setup      `json:"setup"`
	Whole      Accuracy   `json:"whole"`
	Searched   Accuracy   `json:"searched"`
	Unscaled   Accuracy   `json:"unscaled"`     // whole networks against the clock, not brought to the table's canary level
	Level      float64    `json:"canary_level"` // the canary's quiet level now, over the table's
	Conditions Conditions `json:"conditions"`
	Points     []Point    `json:"points"`
}

// Verify draws n different networks, measures them in turns by the table's own estimator, and compares. The canary links the two
// measurements: times are compared at the table's level of it.
func Verify(ctx context.Context, dev Device, t *Table, sp space.Space, n int, rng *rand.Rand, opt Options) (Verification, error) {
	p, err := t.Predictor()
	if err != nil {
		return Verification{}, err
	}
	archs, err := draw(t.setup.networks(sp), n, rng)
	if err != nil {
		return Verification{}, err
	}
	v := Verification{Setup: t.setup, Points: make([]Point, n)}
	for i, a := range archs { // all of them before the measuring starts: a missing entry shows at once
		if v.Points[i].Predicted, err = p.Predict(a); err != nil {
			return Verification{}, err
		}
		if v.Points[i].PredictedSearched, err = p.PredictSearched(a); err != nil {
			return Verification{}, err
		}
	}
	ms, cond, err := MeasureNetworks(ctx, dev, t.setup, archs, opt)
	if err != nil {
		return Verification{}, fmt.Errorf("verify latency table %s: %w", t.path, err)
	}
	v.Conditions = cond
	v.Level = float64(cond.Quiet) / float64(p.canary)
	for i, m := range ms {
		pt := &v.Points[i]
		pt.Arch = m.Arch
		total, searched := m.Total.Scaled(1/v.Level), m.Searched.Scaled(1/v.Level)
		pt.Measured, pt.Q1, pt.Q3 = milliseconds(total.Median), milliseconds(total.Q1), milliseconds(total.Q3)
		pt.Raw, pt.MeasuredSearched = milliseconds(total.RawMedian), milliseconds(searched.Median)
	}
	v.judge()
	return v, nil
}

// draw samples n different networks.
func draw(sp space.Space, n int, rng *rand.Rand) ([]space.Arch, error) {
	if n < 1 || float64(n) > sp.Size() {
		return nil, misuse.Errorf("verify with %d networks of a space of %.0f: give at least 1 and at most all", n, sp.Size())
	}
	seen := make(map[space.Arch]bool, n)
	archs := make([]space.Arch, 0, n)
	for tries := 0; len(archs) < n; tries++ {
		if tries > 1000*n {
			return nil, misuse.Errorf("verify with %d networks: the space's %.0f are too few to draw so many different ones", n, sp.Size())
		}
		if a := sp.Sample(rng); !seen[a] {
			seen[a] = true
			archs = append(archs, a)
		}
	}
	return archs, nil
}

func (v *Verification) judge() {
	column := func(of func(Point) float64) []float64 {
		values := make([]float64, len(v.Points))
		for i, p := range v.Points {
			values[i] = of(p)
		}
		return values
	}
	predicted := column(func(p Point) float64 { return p.Predicted })
	v.Whole = accuracy(predicted, column(func(p Point) float64 { return p.Measured }))
	v.Unscaled = accuracy(predicted, column(func(p Point) float64 { return p.Raw }))
	v.Searched = accuracy(column(func(p Point) float64 { return p.PredictedSearched }), column(func(p Point) float64 { return p.MeasuredSearched }))
}

func accuracy(predicted, measured []float64) Accuracy {
	a := Accuracy{MAPE: metrics.MAPE(predicted, measured)}
	var bias float64
	var within5, within10 int
	for i, m := range measured {
		off := (predicted[i] - m) / m
		bias += off
		a.Max = max(a.Max, math.Abs(off))
		if math.Abs(off) <= 0.05 {
			within5++
		}
		if math.Abs(off) <= 0.10 {
			within10++
		}
	}
	n := float64(len(measured))
	a.Bias, a.Within5, a.Within10 = bias/n, float64(within5)/n, float64(within10)/n
	if r := metrics.Spearman(predicted, measured); !math.IsNaN(r) {
		a.Spearman = r
	}
	return a
}
