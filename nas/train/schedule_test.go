package train

import (
	"math"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func TestLearningRate_IsPolyWithWarmUp(t *testing.T) {
	p := Phase{Steps: 100, LR: 0.5, WarmupSteps: 4}
	for step, want := range map[int]float64{
		0: 0.5 / 4, 3: 0.5 * math.Pow(0.97, 0.9), 50: 0.5 * math.Pow(0.5, 0.9), 99: 0.5 * math.Pow(0.01, 0.9),
	} {
		if got := p.LearningRate(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
}

func TestSchedule_AtFindsPhaseAndPlace(t *testing.T) {
	s := Schedule{{Steps: 3}, {Steps: 2}, {Steps: 1}}
	if s.Steps() != 6 {
		t.Errorf("%d steps", s.Steps())
	}
	for step, want := range [][2]int{{0, 0}, {0, 1}, {0, 2}, {1, 0}, {1, 1}, {2, 0}, {2, 1}} {
		if phase, within := s.At(step); [2]int{phase, within} != want {
			t.Errorf("step %d lies in phase %d, place %d; want %v", step, phase, within, want)
		}
	}
}

func TestScaled_KeepsTheSumAndProportions(t *testing.T) {
	s := threePhases(2000)
	for _, steps := range []int{3, 12, 333, 4001} {
		scaled := s.Scaled(float64(steps) / 2000)
		if scaled.Steps() != steps || scaled.Validate() != nil || scaled[2].MinDepth != 2 {
			t.Errorf("%d steps became %+v", steps, scaled)
		}
	}
}

func TestLearningRate_CosineHalvesInTheMiddleAndEndsNearNothing(t *testing.T) {
	p := Phase{Steps: 100, LR: 0.5, Decay: Cosine, WarmupSteps: 4}
	for step, want := range map[int]float64{0: 0.5 / 4, 25: 0.25 * (1 + math.Sqrt2/2), 50: 0.25, 99: 0.25 * (1 + math.Cos(0.99*math.Pi))} {
		if got := p.LearningRate(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: %v, want %v", step, got, want)
		}
	}
}

func TestSmall_IsEachPhasesFirstStepsAndScalesWithThem(t *testing.T) {
	s := Schedule{{Steps: 8, LR: 1, SmallSteps: 6}, {Steps: 4, LR: 1}, {Steps: 4, LR: 1, SmallSteps: 1}}
	for factor := range 3 {
		scaled := s.Scaled(float64(factor + 1))
		small := 0
		for step := range scaled.Steps() {
			if scaled.Small(step) {
				small++
			}
		}
		if n := factor + 1; small != 7*n || !scaled.Small(6*n-1) || scaled.Small(6*n) || scaled.Small(8*n) || !scaled.Small(12*n) {
			t.Errorf("times %d: %d small steps of %+v", n, small, scaled)
		}
	}
}

// threePhases is progressive shrinking of a number of steps, in the method's proportions.
func threePhases(steps int) Schedule {
	s := Schedule{{Steps: 1000, LR: 0.045, MinDepth: 4}, {Steps: 250, LR: 2.5e-3, MinDepth: 3}, {Steps: 750, LR: 8e-3, MinDepth: 2}}
	return s.Scaled(float64(steps) / 2000)
}

func TestScheduleValidate_Refuses(t *testing.T) {
	for _, s := range []Schedule{nil, {{Steps: 0, LR: 1}}, {{Steps: 1}}, {{Steps: 1, LR: math.NaN()}}, {{Steps: 1, LR: 1, WarmupSteps: 2}}, {{Steps: 1, LR: 1, SmallSteps: 2}}, {{Steps: 1, LR: 1, Decay: "step"}}} {
		if err := s.Validate(); !misuse.Is(err) {
			t.Errorf("%+v: %v", s, err)
		}
	}
	if err := (Schedule{{Steps: 1, LR: 1}}).Validate(); err != nil {
		t.Error(err)
	}
}
