package run

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/quant"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// profileDraws is how many networks are drawn to see what share of a space is within the limits: the share is known to within 3 %.
const profileDraws = 1000

// profileSpace tells what a space holds on the device of a table.
func profileSpace(sp space.Space, predictor *latency.Predictor, limits []search.Limit, rng *rand.Rand) (search.Profile, error) {
	setup := predictor.Setup()
	sums := []search.Limit{
		{Name: latencyLimit, Unit: "ms", Cost: predictor.Predict},
		{Name: "multiply-adds", Unit: "G", Cost: func(a space.Arch) (float64, error) {
			return float64(setup.Network.MACs(a, setup.H, setup.W)) / 1e9, nil
		}},
		{Name: "parameters", Unit: "M", Cost: func(a space.Arch) (float64, error) { return float64(setup.Network.Params(a)) / 1e6, nil }},
	}
	if sp.IsQuantised() {
		sums = append(sums, search.Limit{Name: "bit operations", Unit: "G", Cost: func(a space.Arch) (float64, error) {
			return float64(quant.BitOps(setup.Network, a, setup.H, setup.W)) / 1e9, nil
		}})
	}
	draws := profileDraws
	if len(limits) == 0 {
		draws = 0
	}
	return search.NewProfile(rng, sp, sums, limits, draws)
}

// spaceText is a space's profile in a line.
func spaceText(p search.Profile, limits []search.Limit) string {
	parts := make([]string, len(p.Ranges))
	for i, r := range p.Ranges {
		parts[i] = fmt.Sprintf("%s %.4g to %.4g %s", r.Name, r.Least, r.Greatest, r.Unit)
	}
	text := fmt.Sprintf("%.2g networks: %s", p.Networks, strings.Join(parts, ", "))
	switch {
	case len(limits) == 0:
		return text
	case p.Within == 0:
		return fmt.Sprintf("%s; none of %d random ones is within %s, so the search begins near the cheapest", text, p.Draws, limitsText(limits))
	}
	return fmt.Sprintf("%s; %.1f %% of random ones are within %s", text, 100*float64(p.Within)/float64(p.Draws), limitsText(limits))
}
