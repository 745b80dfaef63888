package search

import (
	"math/rand/v2"

	"github.com/segnas/segnas/nas/space"
)

// Range is what a cost can be, over a whole space.
type Range struct {
	Name     string     `json:"name"`
	Unit     string     `json:"unit"`
	Least    float64    `json:"least"`
	Greatest float64    `json:"greatest"`
	Cheapest space.Arch `json:"cheapest"`
	Dearest  space.Arch `json:"dearest"`
}

// Profile tells what a space holds before it is searched.
type Profile struct {
	Networks float64 `json:"networks"`
	Ranges   []Range `json:"ranges"`
	// Draws random networks were drawn, and Within of them are within all limits.
	Draws  int `json:"draws"`
	Within int `json:"within"`
}

// NewProfile finds the ranges of costs that are sums over the blocks (see Cheapest), whose Max counts for nothing, and draws networks to see
// how many are within the limits.
func NewProfile(rng *rand.Rand, sp space.Space, sums, limits []Limit, draws int) (Profile, error) {
	p := Profile{Networks: sp.Size(), Draws: draws}
	for _, l := range sums {
		cost := func(a space.Arch) (float64, error) { return costOf(l, a) }
		r := Range{Name: l.Name, Unit: l.Unit}
		var err error
		if r.Cheapest, r.Least, err = Cheapest(sp, cost); err != nil {
			return p, err
		}
		if r.Dearest, r.Greatest, err = Dearest(sp, cost); err != nil {
			return p, err
		}
		p.Ranges = append(p.Ranges, r)
	}
	for range draws {
		a := sp.Sample(rng)
		within := true
		for _, l := range limits {
			v, err := costOf(l, a)
			if err != nil {
				return p, err
			}
			within = within && v <= l.Max
		}
		if within {
			p.Within++
		}
	}
	return p, nil
}

// Dearest is Cheapest's mirror: the network of greatest cost, exact for the same costs.
func Dearest(sp space.Space, cost func(space.Arch) (float64, error)) (space.Arch, float64, error) {
	a, v, err := Cheapest(sp, func(a space.Arch) (float64, error) {
		v, err := cost(a)
		return -v, err
	})
	return a, -v, err
}
