package search

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/space"
)

func TestProfile_HoldsTheRangesAndTheShareWithinTheLimits(t *testing.T) {
	sp := frontSpace
	limit := macs(31)
	rng := rand.New(rand.NewPCG(1, 2))
	p, err := NewProfile(rng, sp, []Limit{macs(math.NaN()), params(math.NaN())}, []Limit{limit, params(9)}, 4000)
	if err != nil {
		t.Fatal(err)
	}
	least, greatest, within := math.Inf(1), 0.0, 0.0
	for a := range sp.All() { // of equal depths, so that drawing is even
		v := costs(t, limit, a)
		least, greatest = min(least, v), max(greatest, v)
		if v <= limit.Max {
			within += 1 / float64(sp.Size())
		}
	}
	r := p.Ranges[0]
	if r.Name != "macs" || r.Least != least || r.Greatest != greatest || costs(t, limit, r.Cheapest) != least || costs(t, limit, r.Dearest) != greatest {
		t.Errorf("%+v, all networks lie within %v and %v", r, least, greatest)
	}
	if r := p.Ranges[1]; r.Name != "params" || !(r.Least < r.Greatest) {
		t.Errorf("%+v", r)
	}
	if got := float64(p.Within) / float64(p.Draws); p.Networks != 4096 || math.Abs(got-within) > 5*math.Sqrt(within*(1-within)/4000) || within < 0.1 || within > 0.9 {
		t.Errorf("%d of %d are within the limit, of all it is a share of %.3f", p.Within, p.Draws, within)
	}
}

func TestDearest_OfTheDefaultSpaceIsTheLargest(t *testing.T) {
	a, _, err := Dearest(space.Default(), macs(1).Cost)
	if err != nil || a != space.Default().Largest() {
		t.Errorf("%v, %v", a, err)
	}
	_, err = NewProfile(rand.New(rand.NewPCG(1, 2)), space.Default(), nil, []Limit{{Name: "ms", Max: 1, Cost: func(space.Arch) (float64, error) { return math.NaN(), nil }}}, 1)
	if err == nil || !strings.Contains(err.Error(), "a finite number is needed") {
		t.Errorf("a cost that is no number: %v", err)
	}
}
