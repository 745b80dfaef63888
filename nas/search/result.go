package search

import (
	"cmp"
	"slices"

	"github.com/segnas/segnas/nas/space"
)

// Origin tells how a network was drawn.
type Origin string

// The origins of networks.
const (
	Drawn   Origin = "random"
	Given   Origin = "given"
	Known   Origin = "known" // scored before, for another search
	Mutated Origin = "mutant"
	Crossed Origin = "cross"
)

// Evaluation is an evaluated network: a line of the trace.
type Evaluation struct {
	Generation int        `json:"generation"` // from 0
	Index      int        `json:"index"`      // in its generation, from 0
	Arch       space.Arch `json:"arch"`
	Score
	Costs   map[string]float64 `json:"costs,omitempty"` // by Limit.Name
	Origin  Origin             `json:"origin"`
	Parents []space.Arch       `json:"parents,omitempty"` // one of a mutant, two of a cross
	Seconds float64            `json:"seconds"`           // that the evaluation took
}

// Generation sums up one generation.
type Generation struct {
	Evaluated int     `json:"evaluated"`
	Best      float64 `json:"best"`      // mIoU
	Mean      float64 `json:"mean"`      // mIoU
	Diversity float64 `json:"diversity"` // mean space.Distance of its pairs of networks; 0 for fewer than two
	Refused   Refused `json:"refused"`
	// Predictor tells how well the networks before predict others, where children may be screened.
	Predictor *Agreement `json:"predictor,omitempty"`
}

// Refused counts draws that came to nothing.
type Refused struct {
	Known     int `json:"known"`             // the network was drawn before
	OverLimit int `json:"over_limit"`        // it was new but over a limit
	Unspent   int `json:"unspent,omitempty"` // it was new and within the limits, but used too little of them
}

// Result is what a search found.
type Result struct {
	Best        Evaluation   `json:"best"`         // the best ever evaluated: the winner
	BestOfLast  Evaluation   `json:"best_of_last"` // the best of the last generation: what the thesis returns
	All         []Evaluation `json:"all"`          // in the order of evaluation
	Generations []Generation `json:"generations"`
	Replayed    int          `json:"replayed"` // evaluations taken from the trace
	// Ended tells in words why the search ended before its last generation was full; "" if it did not, or was interrupted.
	Ended string `json:"ended,omitempty"`
}

// Refused sums the refused draws of all generations.
func (r *Result) Refused() Refused {
	var sum Refused
	for _, g := range r.Generations {
		sum.Known += g.Refused.Known
		sum.OverLimit += g.Refused.OverLimit
		sum.Unspent += g.Refused.Unspent
	}
	return sum
}

// add takes up a new evaluation. Of equal scores the first evaluated stays the best.
func (r *Result) add(e Evaluation) {
	if len(r.All) == 0 || e.MIoU > r.Best.MIoU {
		r.Best = e
	}
	if e.Index == 0 || e.MIoU > r.BestOfLast.MIoU {
		r.BestOfLast = e
	}
	r.All = append(r.All, e)
}

// summary sums up the evaluations of one generation, of which there is at least one.
func summary(evaluated []Evaluation, refused Refused) Generation {
	g := Generation{Evaluated: len(evaluated), Best: best(evaluated, 1)[0].MIoU, Refused: refused}
	var pairs, distance float64
	for i, e := range evaluated {
		g.Mean += e.MIoU / float64(len(evaluated))
		for _, other := range evaluated[:i] {
			pairs++
			distance += space.Distance(e.Arch, other.Arch)
		}
	}
	if pairs > 0 {
		g.Diversity = distance / pairs
	}
	return g
}

// best returns the n evaluations of highest mIoU, of equal ones the first evaluated.
func best(evaluated []Evaluation, n int) []Evaluation {
	sorted := slices.Clone(evaluated)
	slices.SortStableFunc(sorted, func(a, b Evaluation) int { return cmp.Compare(b.MIoU, a.MIoU) })
	return sorted[:min(n, len(sorted))]
}

// Pareto returns the evaluations that no other one beats in mIoU at no more cost, by ascending cost. Of equals the first
// evaluated stands for all.
func Pareto(all []Evaluation, cost func(Evaluation) float64) []Evaluation {
	sorted := slices.Clone(all)
	slices.SortStableFunc(sorted, func(a, b Evaluation) int {
		return cmp.Or(cmp.Compare(cost(a), cost(b)), cmp.Compare(b.MIoU, a.MIoU))
	})
	var front []Evaluation
	for _, e := range sorted {
		if len(front) == 0 || e.MIoU > front[len(front)-1].MIoU {
			front = append(front, e)
		}
	}
	return front
}
