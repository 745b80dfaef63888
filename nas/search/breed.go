package search

import (
	"math/rand/v2"
	"slices"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// candidate is a network that was drawn and is within all limits.
type candidate struct {
	arch    space.Arch
	origin  Origin
	parents []space.Arch
	costs   map[string]float64
}

// breeder draws new networks within the limits, and remembers all that it has drawn.
type breeder struct {
	cfg      Config
	sp       space.Space
	limits   []Limit
	cheapest []space.Arch // of each limit's cost
	largest  []float64    // each limit's cost of the space's largest network; nil where networks need not spend
	known    map[space.Arch]bool
	most     float64                  // of a front: the first limit itself
	spent    []bool                   // of a front's limits: draws within it have run out
	predict  func(space.Arch) float64 // mIoU, to screen children by; nil for none

	refused Refused
	nearest *InfeasibleError // the refused network of least excess; nil before the first
	excess  float64          // of nearest: its worst cost over limit
}

// newBreeder refuses limits that no network can meet, each by itself.
func newBreeder(cfg Config, sp space.Space, limits []Limit) (*breeder, error) {
	b := &breeder{cfg: cfg, sp: sp, limits: limits, known: map[space.Arch]bool{}}
	for _, l := range limits {
		a, least, err := Cheapest(sp, func(a space.Arch) (float64, error) { return costOf(l, a) })
		if err != nil {
			return nil, err
		}
		if least > l.Max {
			return nil, misuse.Errorf("%w", &InfeasibleError{Limits: []Limit{l}, Nearest: a, Costs: map[string]float64{l.Name: least}})
		}
		b.cheapest = append(b.cheapest, a)
	}
	if err := b.weighLargest(); err != nil {
		return nil, err
	}
	if len(cfg.Front) > 0 {
		b.most, b.spent = limits[0].Max, make([]bool, len(cfg.Front))
	}
	return b, nil
}

// size is the number of networks that a generation should have.
func (b *breeder) size(number int) int {
	if number == 0 {
		return b.cfg.Population
	}
	return b.cfg.Mutants + b.cfg.Crosses
}

// generation draws the networks of one generation: of the first one, or of random search, at random, of a later one from the pool,
// mutants first. Of a front there is a pool for each of its limits, which take turns. It returns fewer than it should have when draws run out.
func (b *breeder) generation(rng *rand.Rand, number int, pools [][]Evaluation) ([]candidate, error) {
	b.refused = Refused{}
	candidates, err := b.given(number)
	if err != nil {
		return nil, err
	}
	if number == 0 {
		known, err := b.bestKnown((b.size(number) - len(candidates)) / 2)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, known...)
	}
	for i := len(candidates); i < b.size(number); {
		turn := b.turn(i)
		if turn < 0 {
			break
		}
		o := Crossed
		switch {
		case number == 0 || b.cfg.Random || len(pools[turn]) == 0:
			o = Drawn
		case i < b.cfg.Mutants:
			o = Mutated
		}
		c, err := b.screened(rng, o, pools[turn])
		switch {
		case err != nil:
			return nil, err
		case c != nil:
			b.known[c.arch] = true
			candidates = append(candidates, *c)
			i++
		case len(b.spent) == 0:
			return candidates, nil
		default:
			b.spent[turn] = true
		}
	}
	return candidates, nil
}

// turn returns which of a front's limits the i-th network of a generation keeps to, and lays it on: they take turns, those left out within
// which there is nothing new; -1 when there is nothing anywhere. Without a front it is 0.
func (b *breeder) turn(i int) int {
	if len(b.spent) == 0 {
		return 0
	}
	for k := range b.spent {
		if turn := (i + k) % len(b.spent); !b.spent[turn] {
			b.limits[0].Max = b.cfg.Front[turn]
			return turn
		}
	}
	return -1
}

// given returns the networks that the first generation begins with.
func (b *breeder) given(number int) (candidates []candidate, err error) {
	if number > 0 {
		return nil, nil
	}
	if len(b.spent) > 0 {
		b.limits[0].Max = b.most
	}
	for _, a := range b.cfg.Given {
		if len(candidates) == b.size(number) || b.known[a] || !b.sp.Contains(a) {
			continue
		}
		costs, worst, err := b.costs(a)
		if err != nil {
			return nil, err
		}
		if worst < 0 && !b.unspent(costs) {
			b.known[a] = true
			candidates = append(candidates, candidate{arch: a, origin: Given, costs: costs})
		}
	}
	return candidates, nil
}

// screened draws as many children as are to be compared, and returns the one of the highest prediction, of equals the first.
func (b *breeder) screened(rng *rand.Rand, o Origin, pool []Evaluation) (*candidate, error) {
	chosen, err := b.child(rng, o, pool)
	if chosen == nil || b.predict == nil {
		return chosen, err
	}
	highest := b.predict(chosen.arch)
	for range b.cfg.Screen - 1 {
		c, err := b.child(rng, o, pool)
		if err != nil {
			return nil, err
		}
		if c == nil {
			break
		}
		if v := b.predict(c.arch); v > highest {
			chosen, highest = c, v
		}
	}
	return chosen, nil
}

// child draws one network in the given way. A pool that has converged may have no new cross or mutant left: a cross then gives
// way to a mutant, and a mutant to a random network. It returns nil when these run out too.
func (b *breeder) child(rng *rand.Rand, o Origin, pool []Evaluation) (*candidate, error) {
	c, err := b.draw(rng, o, pool)
	for c == nil && err == nil && o != Drawn {
		o = map[Origin]Origin{Crossed: Mutated, Mutated: Drawn}[o]
		c, err = b.draw(rng, o, pool)
	}
	return c, err
}

// draw tries to find a new network within the limits; nil when the tries are used up.
func (b *breeder) draw(rng *rand.Rand, o Origin, pool []Evaluation) (*candidate, error) {
	for try := range b.cfg.MaxTries {
		c := candidate{origin: o}
		switch o {
		case Mutated:
			parent := pool[rng.IntN(len(pool))].Arch
			c.arch, c.parents = b.sp.Mutate(rng, parent, b.cfg.MutateProb), []space.Arch{parent}
		case Crossed:
			p, q := pool[rng.IntN(len(pool))].Arch, pool[rng.IntN(len(pool))].Arch
			c.arch, c.parents = b.sp.Cross(rng, p, q), []space.Arch{p, q}
		default:
			c.arch = b.sp.Sample(rng)
			// Where even draws rarely meet the limits, or spend them, the second half of the tries look nearer to the cheapest networks, or the largest.
			if try >= b.cfg.MaxTries/2 {
				var err error
				if c.arch, err = b.pull(rng, c.arch); err != nil {
					return nil, err
				}
			}
		}
		if b.known[c.arch] {
			b.refused.Known++
			continue
		}
		costs, worst, err := b.costs(c.arch)
		if err != nil {
			return nil, err
		}
		if worst >= 0 {
			b.refused.OverLimit++
			b.remember(c.arch, costs, worst)
			continue
		}
		if b.unspent(costs) {
			b.refused.Unspent++
			continue
		}
		c.costs = costs
		return &c, nil
	}
	return nil, nil
}

// pull crosses a network that is over a limit with the cheapest one of the worst limit, and one that leaves too much of them with the largest, a few
// times or until it is where it should be. Each cross halves the genes that differ.
func (b *breeder) pull(rng *rand.Rand, a space.Arch) (space.Arch, error) {
	for range 8 {
		costs, worst, err := b.costs(a)
		switch {
		case err != nil:
			return a, err
		case worst >= 0:
			a = b.sp.Cross(rng, a, b.cheapest[worst])
		case b.unspent(costs):
			a = b.sp.Cross(rng, a, b.sp.Largest())
		default:
			return a, nil
		}
	}
	return a, nil
}

// costs returns all costs of a, and which limit it exceeds by the largest factor: -1 for none.
func (b *breeder) costs(a space.Arch) (costs map[string]float64, worst int, err error) {
	costs, worst = make(map[string]float64, len(b.limits)), -1
	excess := 0.0
	for i, l := range b.limits {
		v, err := costOf(l, a)
		if err != nil {
			return nil, 0, err
		}
		costs[l.Name] = v
		if v > l.Max && v/l.Max > excess {
			worst, excess = i, v/l.Max
		}
	}
	return costs, worst, nil
}

func (b *breeder) remember(a space.Arch, costs map[string]float64, worst int) {
	l := b.limits[worst]
	if excess := costs[l.Name] / l.Max; b.nearest == nil || excess < b.excess {
		b.nearest = &InfeasibleError{Limits: slices.Clone(b.limits), Nearest: a, Costs: costs, Tries: b.cfg.MaxTries}
		b.excess = excess
	}
}
