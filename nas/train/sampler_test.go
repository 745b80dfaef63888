package train

import (
	"testing"

	"github.com/segnas/segnas/nas/space"
)

func TestDraw_IsAFunctionOfSeedAndStepWithinThePhase(t *testing.T) {
	sp := space.Default()
	schedule := ProgressiveShrinking(sp, 400, 1)
	first, again, other := Draw(sp, schedule, 1), Draw(sp, schedule, 1), Draw(sp, schedule, 2)
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
