package search

import (
	"math"
	"slices"

	"github.com/segnas/segnas/nas/misuse"
)

// A search for a front has several limits on its first cost instead of one. Each is a search of its own, whose parents are the best networks
// ever evaluated within its limit, wherever they were found: what one search evaluates serves all that are less strict.

// FrontLimits returns n limits, evenly spread above least, the last being most.
func FrontLimits(least, most float64, n int) []float64 {
	list := make([]float64, n)
	for i := range list {
		list[i] = least + (most-least)*float64(i+1)/float64(n)
	}
	list[n-1] = most
	return list
}

func (c Config) validateFront(limits []Limit) error {
	for i, v := range c.Front {
		if !(v > 0) || math.IsInf(v, 0) || i > 0 && v <= c.Front[i-1] {
			return misuse.Errorf("search for a front at %v; give positive limits that ascend", c.Front)
		}
	}
	if n := len(c.Front); n > 0 && (len(limits) == 0 || c.Front[n-1] > limits[0].Max) {
		return misuse.Errorf("search for a front up to %v; its cost must be the first limit's, and within it", c.Front[n-1])
	}
	if len(c.Front) > 0 && c.Random {
		return misuse.Errorf("search at random for a front; evolve, or take the front of a search at random with Pareto")
	}
	return nil
}

// pools returns the parents of the next generation: the last one's best; of a front, the best so far within each limit.
func (s *search) pools(last []Evaluation) [][]Evaluation {
	if len(s.cfg.Front) == 0 {
		return [][]Evaluation{best(last, s.cfg.Pool)}
	}
	size := max(2, s.cfg.Pool/len(s.cfg.Front))
	cost := s.breeder.limits[0].Name
	pools := make([][]Evaluation, len(s.cfg.Front))
	for i, most := range s.cfg.Front {
		over := func(e Evaluation) bool { return e.Costs[cost] > most }
		pools[i] = best(slices.DeleteFunc(slices.Clone(s.result.All), over), size)
	}
	return pools
}

// Hypervolume is the area under a front, as the share that a network of mIoU 1 at the least cost would have: the mean, over the costs from
// least to most, of the best mIoU within them; of two fronts over the same range, the better one has more. (Zitzler and Thiele 1999, with the
// reference point at mIoU 0 and cost most.)
func Hypervolume(front []Evaluation, cost func(Evaluation) float64, least, most float64) float64 {
	area, from, height := 0.0, least, 0.0
	for _, e := range Pareto(front, cost) {
		if cost(e) > most {
			break
		}
		at := max(cost(e), least)
		area += (at - from) * height
		from, height = at, e.MIoU
	}
	return (area + (most-from)*height) / (most - least)
}
