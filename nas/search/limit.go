package search

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// Limit bounds one cost of a network: Cost(a) <= Max.
type Limit struct {
	Name string // such as latency; the key in Evaluation.Costs
	Unit string // such as ms
	Max  float64
	// Cost must be a function of the network. It is called for every draw, so it should take microseconds.
	Cost func(space.Arch) (float64, error)
}

func (l Limit) amount(v float64) string { return strings.TrimSpace(roundedUp(v) + " " + l.Unit) }

// roundedUp writes v with four significant digits, never less than v, so that a limit copied from a message can be met.
func roundedUp(v float64) string {
	if v <= 0 {
		return strconv.FormatFloat(v, 'g', -1, 64)
	}
	decimals := 3 - int(math.Floor(math.Log10(v)))
	scale := math.Pow10(decimals)
	return strconv.FormatFloat(math.Ceil(v*scale*(1-1e-12))/scale, 'f', max(decimals, 0), 64)
}

// ErrInfeasible is what errors.Is finds in an *InfeasibleError.
var ErrInfeasible = errors.New("no network within the limits")

// InfeasibleError says that no network meets the limits. It is a misuse error.
type InfeasibleError struct {
	Limits  []Limit            // that were to be met together; one alone if Tries is 0
	Nearest space.Arch         // of all that were looked at, the one with the least excess over its worst limit
	Costs   map[string]float64 // of Nearest
	Tries   int                // draws that were made in vain; 0 if the least cost was computed and is over the limit
}

// Error names the limits and what the nearest network needs.
func (e *InfeasibleError) Error() string {
	limits, needs := make([]string, len(e.Limits)), make([]string, len(e.Limits))
	for i, l := range e.Limits {
		limits[i] = strings.TrimSpace(fmt.Sprintf("%s <= %v %s", l.Name, l.Max, l.Unit))
		needs[i] = l.Name + " " + l.amount(e.Costs[l.Name])
	}
	if e.Tries == 0 {
		l := e.Limits[0]
		return fmt.Sprintf("%v: %s cannot be met, the least of all networks is %s, of %v", ErrInfeasible, limits[0], l.amount(e.Costs[l.Name]), e.Nearest)
	}
	return fmt.Sprintf("%v: none of %d draws met %s; the nearest, %v, needs %s",
		ErrInfeasible, e.Tries, strings.Join(limits, ", "), e.Nearest, strings.Join(needs, ", "))
}

// Is makes errors.Is(err, ErrInfeasible) hold.
func (e *InfeasibleError) Is(target error) bool { return target == ErrInfeasible }

func validateLimits(limits []Limit) error {
	seen := map[string]bool{}
	for _, l := range limits {
		switch {
		case l.Name == "" || l.Cost == nil:
			return fmt.Errorf("limit %q needs a name and a cost function", l.Name)
		case seen[l.Name]:
			return misuse.Errorf("%s is limited twice; give one limit", l.Name)
		case !(l.Max > 0) || math.IsInf(l.Max, 0):
			return misuse.Errorf("%s is limited to %v %s; give a positive number", l.Name, l.Max, l.Unit)
		}
		seen[l.Name] = true
	}
	return nil
}

// costOf calls the limit's cost function and refuses what is no number: NaN would pass every comparison with a limit.
func costOf(l Limit, a space.Arch) (float64, error) {
	v, err := l.Cost(a)
	if err != nil {
		return 0, fmt.Errorf("%s of %v: %w", l.Name, a, err)
	}
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%s of %v is %v; a finite number is needed", l.Name, a, v)
	}
	return v, nil
}

// Cheapest returns the network of least cost and that cost, by coordinate descent: for each stage and depth, each block's best
// choice, and the best bit widths of each part outside the blocks, until a round over all of them changes nothing.
//
// It is exact for costs that are a sum over the stages and the parts outside the blocks and, at each depth of a stage, a sum over its blocks:
// multiply-adds, bit operations, parameters, bytes, and any latency that is summed from a table, with or without an intercept. Of other costs
// it finds a local minimum, an upper bound on the least cost.
func Cheapest(sp space.Space, cost func(space.Arch) (float64, error)) (space.Arch, float64, error) {
	best := space.Uniform([space.Stages]uint8{sp.Depths[0], sp.Depths[0], sp.Depths[0]}, sp.Choices()[0])
	least, err := cost(best)
	if err != nil {
		return space.Arch{}, 0, err
	}
	for improved := true; improved; {
		improved = false
		for s := range space.Stages {
			for _, depth := range sp.Depths {
				a, v, err := cheapestStage(sp, best, s, depth, cost)
				if err != nil {
					return space.Arch{}, 0, err
				}
				if v < least {
					best, least, improved = a, v, true
				}
			}
		}
		a, v, err := cheapestOuter(sp, best, least, cost)
		if err != nil {
			return space.Arch{}, 0, err
		}
		if v < least {
			best, least, improved = a, v, true
		}
	}
	return best, least, nil
}

// cheapestOuter returns a, which costs least, with each part outside the blocks, in turn, at its best bit widths.
func cheapestOuter(sp space.Space, a space.Arch, least float64, cost func(space.Arch) (float64, error)) (space.Arch, float64, error) {
	if !sp.IsQuantised() {
		return a, least, nil
	}
	for i := range a.Outer {
		for _, bits := range sp.BitPairs() {
			trial := a
			trial.Outer[i] = bits
			v, err := cost(trial)
			if err != nil {
				return space.Arch{}, 0, err
			}
			if v < least {
				a, least = trial, v
			}
		}
	}
	return a, least, nil
}

// cheapestStage returns a with stage s at the given depth and each of its blocks, in turn, at its best choice.
func cheapestStage(sp space.Space, a space.Arch, s int, depth uint8, cost func(space.Arch) (float64, error)) (space.Arch, float64, error) {
	choices := sp.Choices()
	for i := range a.Blocks[s] {
		switch {
		case i >= int(depth):
			a.Blocks[s][i] = space.Block{}
		case i >= int(a.Depth[s]):
			a.Blocks[s][i] = choices[0]
		}
	}
	a.Depth[s] = depth
	least, err := cost(a)
	for i := range depth {
		for _, b := range choices {
			trial := a
			trial.Blocks[s][i] = b
			v, trialErr := cost(trial)
			if trialErr != nil {
				err = trialErr
			}
			if v < least {
				a, least = trial, v
			}
		}
	}
	return a, least, err
}
