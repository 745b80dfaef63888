package train

import (
	"context"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// quantisedTraining is testTraining of a supernet that learns bit widths in its last phase.
func quantisedTraining(t *testing.T, w *Worker, folder string) Training {
	t.Helper()
	training := testTraining(t, w, folder)
	sp := space.Default()
	sp.Bits = []uint8{4, 8}
	training.About.Space = &sp
	model, err := training.About.Build(w.Context(), rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	training.Schedule[len(training.Schedule)-1].Quantised = true
	training.Model, training.Sample = model, Draw(sp, training.Schedule, Sandwich{}, 3)
	training.Check = nil
	return training
}

// Clips are fitted once, when the first phase of bit widths begins; a training that stops before, at or after that ends the same.
func TestTrain_OfBitWidthsResumedIsBitEqualToUninterrupted(t *testing.T) {
	w := newTestWorker(t)
	want := stateOf(t, w, quantisedTraining(t, w, t.TempDir()))
	for stop := 1; stop < testSteps; stop++ {
		folder := t.TempDir()
		training := quantisedTraining(t, w, folder)
		ctx, cancel := context.WithCancel(context.Background())
		training.Progress = func(e Event) {
			if e.Step == stop {
				cancel()
			}
		}
		if err := w.Train(ctx, training); !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled after step %d: %v", stop, err)
		}
		fitted, err := Fitted(training.Model)
		phase, _ := training.Schedule.At(stop - 1)
		if err != nil || fitted != training.Schedule[phase].Quantised {
			t.Errorf("after step %d clips are fitted: %v, %v", stop, fitted, err)
		}
		if got := stateOf(t, w, quantisedTraining(t, w, folder)); !reflect.DeepEqual(got, want) {
			t.Errorf("stopped after step %d and resumed, the state at the end differs", stop)
		}
	}
}

// Bit widths are drawn in the phases that say so alone.
func TestDraw_BitWidthsInTheirPhaseAlone(t *testing.T) {
	sp := space.Default()
	sp.Bits = []uint8{4, 6, 8}
	schedule := threePhases(9)
	schedule[2].Quantised = true
	for _, sandwich := range []Sandwich{{}, {Networks: 3}} {
		draw := Draw(sp, schedule, sandwich, 1)
		for step := range schedule.Steps() {
			phase, _ := schedule.At(step)
			for _, a := range draw(step) {
				if a.IsQuantised() != schedule[phase].Quantised {
					t.Errorf("step %d of phase %d draws %v", step, phase+1, a)
				}
			}
		}
	}
}

func TestFitted_IsWhatAModelInFloatingPointIs(t *testing.T) {
	w := newTestWorker(t)
	m, err := supernet.NewPlain(w.Context(), space.DefaultNetwork(3), space.HandScaled(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if fitted, err := Fitted(m); err != nil || !fitted {
		t.Errorf("%v, %v", fitted, err)
	}
}
