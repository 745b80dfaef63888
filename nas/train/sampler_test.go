package train

import (
	"slices"
	"testing"

	"github.com/segnas/segnas/nas/space"
)

func TestDraw_IsAFunctionOfSeedAndStepWithinThePhase(t *testing.T) {
	sp := space.Default()
	schedule := threePhases(400)
	one := func(seed uint64) func(step int) space.Arch {
		sample := Draw(sp, schedule, Sandwich{}, seed)
		return func(step int) space.Arch { return sample(step)[0] }
	}
	first, again, other := one(1), one(1), one(2)
	distinct := map[space.Arch]bool{}
	differ := 0
	for step := 399; step >= 0; step-- {
		a := first(step)
		distinct[a] = true
		if a != again(step) {
			t.Fatalf("step %d draws %v and %v", step, a, again(step))
		}
		if a != other(step) {
			differ++
		}
		phase, _ := schedule.At(step)
		for _, d := range a.Depth {
			if d < schedule[phase].MinDepth {
				t.Fatalf("step %d of phase %d draws %v", step, phase+1, a)
			}
		}
	}
	if len(distinct) < 395 || differ < 395 {
		t.Errorf("%d distinct networks in 400 steps, %d unlike another seed's", len(distinct), differ)
	}
}

func TestDraw_ASandwichHasTheLargestThenTheSmallestOfThePhaseThenDrawnOnes(t *testing.T) {
	sp := space.Default()
	schedule := threePhases(40)
	sample, again := Draw(sp, schedule, Sandwich{Networks: 4}, 1), Draw(sp, schedule, Sandwich{Networks: 4}, 1)
	for step := range 40 {
		phase, _ := schedule.At(step)
		least := schedule[phase].MinDepth
		all := sample(step)
		smallest := space.Uniform([space.Stages]uint8{least, least, least}, space.Block{Kernel: 3, Expand: 3})
		if len(all) != 4 || all[0] != sp.Largest() || all[1] != smallest {
			t.Fatalf("step %d trains %v", step, all)
		}
		if !slices.Equal(all, again(step)) {
			t.Fatalf("step %d differs when it is drawn again", step)
		}
	}
}
