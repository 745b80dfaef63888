package run

import (
	"fmt"
	"io"
	"math"
	"time"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// Speeds are what a machine takes for the parts of a run, measured before it begins.
type Speeds struct {
	SupernetStep time.Duration `json:"supernet_step_ns"` // mean over drawn architectures, data included
	Step         time.Duration `json:"step_ns"`          // of the baseline
	Evaluation   time.Duration `json:"evaluation_ns"`    // one network of the search: cut, recalibrated, evaluated
	Test         time.Duration `json:"test_ns"`          // one evaluation on the reported split
	Inference    time.Duration `json:"inference_ns"`     // one deployed picture
	// Integers says that networks of the space are measured with their bit widths.
	Integers bool `json:"integers,omitempty"`
}

// Estimate is how long the stages of a run will take.
type Estimate struct {
	Table    time.Duration `json:"table_ns"`
	Supernet time.Duration `json:"supernet_ns"`
	Search   time.Duration `json:"search_ns"`
	Trials   time.Duration `json:"trials_ns"`
	Scratch  time.Duration `json:"scratch_ns"`
	Retrain  time.Duration `json:"retrain_ns"`
	Measure  time.Duration `json:"measure_ns"` // and verify, and the report
}

const (
	// retrained counts the networks that are cut out of the supernet and trained again: control, hand-scaled and winner.
	retrained = 3
	// runsPerTurn is how often a measuring turn runs a network: to warm the caches, and twice to record.
	runsPerTurn = 3
	// rejectedShare is how many turns beyond the accepted ones a machine with neighbours needs, as a share.
	rejectedShare = 0.5
	// reportTime is what loading, the report and other small things take in all.
	reportTime = 5 * time.Second
	// budgetUse is the share of a budget that is planned for; the rest is for what the estimates miss.
	budgetUse = 0.9
	// searchShare is the part of a budget that the search may take.
	searchShare = 0.25
	// watchShare is the part of a budget that evaluations during the supernet's training may take.
	watchShare = 0.03
	// leastEvaluations make a search that is still more than a draw of lots.
	leastEvaluations = 24
)

// estimate adds up what a configuration takes at the given speeds.
func estimate(c Config, s Speeds) Estimate {
	times := func(n int, d time.Duration) time.Duration { return time.Duration(n) * d }
	turns := func(networks, rounds int) time.Duration {
		// The canary runs beside every few networks and costs about as much again as one of four.
		runs := float64(networks*rounds*runsPerTurn) * (1 + rejectedShare) * 1.25
		return time.Duration(runs * float64(s.Inference))
	}
	checks := times(c.Checks, s.Test)
	return Estimate{
		Table:    turns(tableEffort(c, s.Integers)),
		Supernet: times(c.Shrinking.Steps(), s.SupernetStep) + supernetChecks(c, s),
		Search:   times(c.Search.Evaluations(), s.Evaluation),
		Trials:   times(trials(c), times(c.Trial.Steps(), s.Step)+s.Evaluation),
		Scratch:  times(c.Scratch.Steps(), s.Step) + checks,
		Retrain:  retrained * (times(c.Retrain.Steps(), s.Step) + checks),
		Measure:  turns(retrained, c.FinalRounds) + turns(c.VerifyNetworks, c.TableRounds) + reportTime,
	}
}

// tableEffort tells how many networks the table takes, and how many turns of each.
func tableEffort(c Config, integers bool) (networks, each int) {
	sp := c.Space
	if !integers {
		sp = sp.Float()
	}
	return latency.Effort(sp, c.TableRounds)
}

// supernetChecks is the time of the evaluations during the supernet's training: of the largest network and some drawn ones each.
func supernetChecks(c Config, s Speeds) time.Duration {
	return time.Duration(c.Checks*(1+c.RandomChecks)) * s.Evaluation
}

// trials counts the finalists that are tried: one of the hand-made networks is within reach as a rule.
func trials(c Config) int {
	if c.Finalists < 2 {
		return 0
	}
	return c.Finalists + 1
}

// Total is the time of the whole run.
func (e Estimate) Total() time.Duration {
	return e.Table + e.Supernet + e.Search + e.Trials + e.Scratch + e.Retrain + e.Measure
}

// fit scales a configuration to a time budget: the search's evaluations first, to a quarter of the budget at most, then all
// trainings' steps by one factor into what is left. Measuring is not scaled. A budget too small for any training is misuse.
func fit(c Config, s Speeds, budget time.Duration) (Config, error) {
	usable := time.Duration(budgetUse * float64(budget))
	if watched := int(watchShare * float64(usable) / float64(max(1, time.Duration(c.Checks)*s.Evaluation))); c.RandomChecks >= watched {
		c.RandomChecks = max(0, watched-1)
	}
	e := estimate(c, s)
	fixed := e.Table + e.Measure + (1+retrained)*time.Duration(c.Checks)*s.Test + supernetChecks(c, s)
	evaluations := int(searchShare * float64(usable) / float64(max(1, s.Evaluation)))
	evaluations = max(leastEvaluations, min(evaluations, max(c.Search.Evaluations(), search.Thesis().Evaluations())))
	c.Search = resized(c.Search, evaluations)
	fixed += time.Duration(c.Search.Evaluations()) * s.Evaluation
	fixed += time.Duration(trials(c)) * s.Evaluation
	trainings := e.Supernet - supernetChecks(c, s) + time.Duration(c.Scratch.Steps()+retrained*c.Retrain.Steps()+trials(c)*c.Trial.Steps())*s.Step
	factor := float64(usable-fixed) / float64(max(1, trainings))
	steps := min(c.Shrinking.Steps(), c.Scratch.Steps(), c.Retrain.Steps(), c.Trial.Steps())
	if least := 4 / float64(steps); factor < least {
		need := (float64(fixed) + least*float64(trainings)) / budgetUse
		return Config{}, misuse.Errorf("a budget of %s is too small: on this machine at least %s are needed",
			short(budget), short(time.Duration(math.Ceil(need/1e9)+1)*time.Second))
	}
	c.Shrinking, c.Scratch, c.Retrain, c.Trial = c.Shrinking.Scaled(factor), c.Scratch.Scaled(factor), c.Retrain.Scaled(factor), c.Trial.Scaled(factor)
	return c, nil
}

// resized returns the search's settings with about n evaluations, in the proportions of the method: as many children as parents,
// half of them mutants, a pool of half a generation, and fewer generations where there are few networks.
func resized(c search.Config, n int) search.Config {
	if n == c.Evaluations() {
		return c
	}
	thesis := search.Thesis()
	c.Generations = min(thesis.Generations, max(3, int(math.Sqrt(float64(n)/2))))
	c.Population = max(4, n/c.Generations)
	c.Pool = c.Population / 2
	c.Mutants = c.Population / 2
	c.Crosses = c.Population - c.Mutants
	return c
}

// describe prints what is going to happen and how long it is thought to take.
func describe(out io.Writer, c Config, net space.Network, integers bool, e Estimate, pictures [3]int) {
	base := space.Baseline()
	fmt.Fprintf(out, "plan: %s, %d classes, %d pictures to train on, %d to search on, %d to report on; input %dx%d\n",
		c.Data, net.Classes, pictures[0], pictures[1], pictures[2], c.Height, c.Width)
	fmt.Fprintf(out, "  space     %s: %.2g networks; the baseline has %.3f GMACs and %.3f M parameters\n",
		c.Space, c.Space.Size(), float64(net.MACs(base, c.Height, c.Width))/1e9, float64(net.Params(base))/1e6)
	networks, each := tableEffort(c, integers)
	fmt.Fprintf(out, "  table     %d networks x %d turns, about %s\n", networks, each, short(e.Table))
	fmt.Fprintf(out, "  supernet  %d steps of %d pictures (%s, %d phases), about %s\n",
		c.Shrinking.Steps(), c.Batch, c.Supernet, len(c.Shrinking), short(e.Supernet))
	fmt.Fprintf(out, "  search    %d networks in %d generations, about %s\n", c.Search.Evaluations(), c.Search.Generations, short(e.Search))
	if n := trials(c); n > 0 {
		fmt.Fprintf(out, "  trials    %d finalists retrained for %d steps each, about %s\n", n, c.Trial.Steps(), short(e.Trials))
	}
	fmt.Fprintf(out, "  finals    baseline from scratch %d steps; control, hand-scaled and winner retrained %d steps each, about %s\n",
		c.Scratch.Steps(), c.Retrain.Steps(), short(e.Scratch+e.Retrain))
	fmt.Fprintf(out, "  in all    about %s\n", short(e.Total()))
}
