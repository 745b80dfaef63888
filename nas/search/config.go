// Package search finds the architecture of the highest validation mIoU within limits on latency, multiply-adds, bit operations or the like, by
// the evolution of the method: a generation of random networks (and given ones, where there are any), then generations of mutants and crosses of the last one's best.
//
// A search is a function of its configuration, space, limits and evaluator: the random source of each generation is seeded by
// (seed, generation) alone, and a whole generation is drawn before any of it is evaluated. So a search that was killed draws the
// same networks again, takes the finished scores from its trace, and ends as if nothing had happened.
//
// Beyond the method: a search may look for a front over a range of costs at once (Config.Front), screen its children by a regression
// (Config.Screen), and share a file of scores with others (Accuracies, Cached).
package search

import (
	"context"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// Score is what an evaluation finds out about a network.
type Score struct {
	MIoU float64 `json:"miou"` // mean IoU on the search's validation set, a share
}

// Evaluator scores networks, as a rule by cutting them out of a supernet. It must be a function of the network: a resumed search
// mixes scores of both runs. Run calls it from one goroutine, never twice for a network.
type Evaluator interface {
	Evaluate(ctx context.Context, a space.Arch) (Score, error)
}

// Config is what shapes a search beside the space and the limits.
type Config struct {
	Population  int     `json:"population"`  // networks of the first generation
	Pool        int     `json:"pool"`        // best networks of a generation that become parents
	Mutants     int     `json:"mutants"`     // children by mutation in each later generation
	Crosses     int     `json:"crosses"`     // children by crossing in each later generation
	Generations int     `json:"generations"` // counting the first
	MutateProb  float64 `json:"mutate_prob"` // with which each gene of a mutant is redrawn
	Seed        uint64  `json:"seed"`
	MaxTries    int     `json:"max_tries"` // draws for one new network within the limits before giving up
	Random      bool    `json:"random"`    // random search at equal evaluations: the baseline that evolution has to beat
	// Given are networks that the first generation begins with, those of them that lie in the space and within the limits; the rest of it
	// is drawn. So a search never ends with a network that scores less than a hand-made one within its reach.
	Given []space.Arch `json:"given,omitempty"`

	// Front makes the search look for the best networks within each of these limits of the first limit's cost, instead of within that limit
	// alone. They ascend up to it.
	Front []float64 `json:"front,omitempty"`
	// Screen is how many children are drawn for each place in a generation: the one that a regression on the networks so far predicts best is
	// evaluated, once its predictions of held-out networks correlate in rank (Spearman) by ScreenSpearman or more; 0 there stands for 0.7. 0 and 1
	// draw one.
	Screen         int     `json:"screen,omitempty"`
	ScreenSpearman float64 `json:"screen_spearman,omitempty"`

	// Spend is the share of its limits that a network is to use, 0 to 1: one that costs less than it of every limit is not evaluated. Weights that were
	// trained together hardly tell larger networks from smaller ones; trained by themselves for long, larger ones are better. So what a limit leaves room for
	// is as a rule worth having. It holds for given and known networks, too.
	Spend float64 `json:"spend,omitempty"`

	// Known are scores that the evaluator's weights gave other networks before, as for another device. The best of them within the limits begin the
	// search, up to half of its first generation, and the regression learns from them all.
	Known []Accuracy `json:"-"`
	// KnownSum names Known in the trace. Run sets it.
	KnownSum string `json:"known,omitempty"`

	// Fingerprint names what the evaluator depends on, such as a hash of the weights and of the validation set, so that a trace
	// made with other weights is refused. It may be empty.
	Fingerprint string `json:"fingerprint"`

	TracePath string      `json:"-"` // JSON lines, written as the search goes and resumed from; "" for none
	Progress  func(Event) `json:"-"` // called after every evaluation from Run's goroutine; may be nil
}

// Event reports one evaluation.
type Event struct {
	Evaluation Evaluation
	Best       Evaluation // so far
	Done       int        // evaluations so far, this one included
	Total      int        // evaluations in all, unless the space runs out of networks
	Replayed   bool       // taken from the trace, in no time
}

// Thesis returns the published settings: 1000 networks in 10 generations.
func Thesis() Config {
	return Config{Population: 100, Pool: 50, Mutants: 50, Crosses: 50, Generations: 10, MutateProb: 0.2, MaxTries: 10_000}
}

// Evaluations returns the number of networks that a search evaluates, unless the space runs out of them.
func (c Config) Evaluations() int {
	return c.Population + (c.Generations-1)*(c.Mutants+c.Crosses)
}

// Validate returns a misuse error unless the settings make a search.
func (c Config) Validate() error {
	switch {
	case c.Population < 1:
		return misuse.Errorf("search with a population of %d; at least 1 is needed", c.Population)
	case c.Generations < 1:
		return misuse.Errorf("search of %d generations; at least 1 is needed", c.Generations)
	case c.Pool < 1 || c.Pool > c.Population:
		return misuse.Errorf("search with a pool of %d parents out of %d networks; give 1 to %d", c.Pool, c.Population, c.Population)
	case c.Mutants < 0 || c.Crosses < 0 || c.Generations > 1 && c.Mutants+c.Crosses == 0:
		return misuse.Errorf("search with %d mutants and %d crosses a generation; neither may be negative, nor both 0", c.Mutants, c.Crosses)
	case !(c.MutateProb > 0 && c.MutateProb <= 1):
		return misuse.Errorf("search with mutation probability %v; give more than 0 and at most 1", c.MutateProb)
	case c.Screen < 0 || c.Screen > 1 && !(c.ScreenSpearman >= -1 && c.ScreenSpearman <= 1):
		return misuse.Errorf("search with %d children for a place, screened from a rank correlation of %v; give at least 0, and -1 to 1", c.Screen, c.ScreenSpearman)
	case !(c.Spend >= 0 && c.Spend <= 1):
		return misuse.Errorf("search among networks that use %v of their limits; give a share from 0 to 1", c.Spend)
	case c.MaxTries < 1:
		return misuse.Errorf("search with %d tries for a network; at least 1 is needed", c.MaxTries)
	}
	return nil
}
