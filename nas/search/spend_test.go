package search

import (
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

func spending(share float64) Config {
	return Config{Population: 40, Pool: 10, Mutants: 10, Crosses: 10, Generations: 6, MutateProb: 0.2, MaxTries: 10_000, Seed: 3, Spend: share}
}

func TestRun_LooksOnlyAtNetworksThatSpendALimit(t *testing.T) {
	ops, size := bitOps(1.2), modelBytes(500)
	for _, limits := range [][]Limit{{ops}, {ops, size}, {bitOps(0.5), size}} {
		r, spent := mustRun(t, spending(0.95), joint(), newOracle(joint().Largest()), limits...), 0
		for _, e := range r.All {
			near := false
			for _, l := range limits {
				if e.Costs[l.Name] > l.Max {
					t.Fatalf("%v costs %v", e.Arch, e.Costs)
				}
				near = near || e.Costs[l.Name] >= 0.95*l.Max
			}
			if !near {
				t.Fatalf("%v leaves too much of all limits: %v", e.Arch, e.Costs)
			}
			spent++
		}
		if spent != spending(0).Evaluations() || r.Refused().Unspent == 0 {
			t.Errorf("%d networks evaluated, %d refused", spent, r.Refused().Unspent)
		}
	}
}

// A limit beyond the largest network is spent by what comes near to that.
func TestRun_SpendsNoMoreThanTheLargestNetworkCosts(t *testing.T) {
	limit := macs(1e6)
	most := costs(t, limit, space.Default().Largest())
	for _, e := range mustRun(t, spending(0.9), space.Default(), newOracle(randomArch(1)), limit).All {
		if e.Costs[limit.Name] < 0.9*most {
			t.Fatalf("%v costs %v of %v", e.Arch, e.Costs, most)
		}
	}
}

func TestRun_GivenAndKnownNetworksSpendLikeOthers(t *testing.T) {
	cfg, limit := spending(0.95), macs(30)
	small := space.Uniform([space.Stages]uint8{2, 2, 2}, space.Block{Kernel: 3, Expand: 3})
	cfg.Given, cfg.Known = []space.Arch{small}, []Accuracy{{Arch: small, Score: Score{MIoU: 0.9}}}
	for _, e := range mustRun(t, cfg, space.Default(), newOracle(randomArch(1)), limit).All {
		if e.Costs[limit.Name] < 0.95*limit.Max {
			t.Fatalf("%v of %v is looked at", e.Arch, e.Origin)
		}
	}
}

func TestRun_SaysWhenNothingSpendsEnough(t *testing.T) {
	sp := space.Space{Kernels: []uint8{3}, Expands: []uint8{3, 6}, Depths: []uint8{1}} // 8 networks of different costs
	limit := macs(1e6)
	limit.Max = (costs(t, limit, sp.Largest()) + costs(t, limit, space.Uniform([space.Stages]uint8{1, 1, 1}, space.Block{Kernel: 3, Expand: 3}))) / 2
	cfg := spending(1)
	cfg.MaxTries = 100
	_, err := Run(t.Context(), cfg, sp, newOracle(sp.Largest()), []Limit{limit})
	if !misuse.Is(err) || !strings.Contains(err.Error(), "smaller share") {
		t.Errorf("%v", err)
	}
	if err := (Config{Population: 1, Pool: 1, Generations: 1, MutateProb: 1, MaxTries: 1, Spend: 1.5}).Validate(); !misuse.Is(err) {
		t.Errorf("a share of 1.5: %v", err)
	}
}
