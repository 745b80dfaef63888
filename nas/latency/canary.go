package latency

import (
	"slices"
	"time"

	"github.com/segnas/segnas/nas/metrics"
)

// canary judges how quiet the machine is by one network that runs again and again. Levels are times in nanoseconds, each the
// shortest of one visit's runs: a lone spike says nothing about the runs beside it.
type canary struct {
	levels    []float64
	tolerance float64
}

// quiet is the level of an undisturbed machine: the lowest decile of all visits, since a single lowest one may be luck.
func (c *canary) quiet() float64 {
	sorted := slices.Sorted(slices.Values(c.levels))
	return sorted[len(sorted)/10]
}

// noise is the level around the interval that ends with visit i.
func (c *canary) noise(i int) float64 { return (c.levels[i-1] + c.levels[i]) / 2 }

// worst is the higher level of that interval's two ends.
func (c *canary) worst(i int) float64 { return max(c.levels[i-1], c.levels[i]) }

// calm reports whether both ends of the interval that ends with visit i were near the quiet level.
func (c *canary) calm(i int, quiet float64) bool {
	return c.worst(i) <= quiet*(1+c.tolerance)
}

// Conditions tell how quiet the machine was while something was measured.
type Conditions struct {
	Quiet     time.Duration `json:"quiet_ns"`   // the canary's quiet level, to which times are scaled
	Typical   time.Duration `json:"typical_ns"` // the canary's median level
	Worst     time.Duration `json:"worst_ns"`   // its highest level
	Drift     float64       `json:"drift"`      // how far the canary's last tenth of visits lies above its first, as a share
	Canaries  int           `json:"canaries"`   // visits
	Turns     int           `json:"turns"`      // turns of networks between them
	Rejected  int           `json:"rejected"`   // turns rejected beside a slow canary
	Disturbed int           `json:"disturbed"`  // networks that had to keep turns beside a slow canary
	// Card is what the card did, on a GPU whose card can be read.
	Card *CardConditions `json:"card,omitempty"`
}

func (c *canary) conditions() Conditions {
	sorted := slices.Sorted(slices.Values(c.levels))
	n := len(sorted)
	tenth := max(1, n/10)
	return Conditions{
		Quiet:    duration(c.quiet()),
		Typical:  duration(sorted[n/2]),
		Worst:    duration(sorted[n-1]),
		Drift:    metrics.Median(c.levels[n-tenth:])/metrics.Median(c.levels[:tenth]) - 1,
		Canaries: n,
	}
}
