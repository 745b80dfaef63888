package train

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

const (
	testHeight, testWidth, testBatch = 32, 64, 2
	testSteps                        = 6
)

func newTestWorker(t *testing.T) *Worker {
	t.Helper()
	context, err := gobind.NewContext(gobind.Options{Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(context.Close)
	w, err := NewWorker(context)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func testScenes(t *testing.T) data.Splits {
	t.Helper()
	splits, err := data.Scenes(data.ScenesConfig{H: testHeight, W: testWidth, Seed: 1, Train: 7, SearchVal: 3, Val: 3, CacheBytes: 1 << 24})
	if err != nil {
		t.Fatal(err)
	}
	return splits
}

// testTraining is a short training of the elastic supernet with all that can vary: three phases, augmentation, clipping, checks.
func testTraining(t *testing.T, w *Worker, folder string) Training {
	t.Helper()
	sp := space.Default()
	splits := testScenes(t)
	network := space.DefaultNetwork(splits.Train.Classes().Len())
	about := Description{Kind: Elastic, Network: network, Space: &sp, Height: testHeight, Width: testWidth, Dataset: "scenes"}
	classes := splits.Train.Classes()
	about.Classes.Names = classes.Names
	about.Classes.Colors = make([][3]int, classes.Len())
	model, err := about.Build(w.Context(), rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	schedule := threePhases(testSteps)
	optimiser := DefaultOptimiser()
	optimiser.Clip = 5
	training := Training{
		Model: model, About: about, Data: splits.Train, Batch: testBatch, Height: testHeight, Width: testWidth,
		Augment: data.StandardAugment(), Schedule: schedule, Optimiser: optimiser, Sample: Draw(sp, schedule, Sandwich{}, 3),
		Seed: 3, ConfigHash: "x", Folder: folder, Checks: 2,
	}
	feed := All{Data: splits.Val, Batch: testBatch, Height: testHeight, Width: testWidth}
	training.Check = func(ctx context.Context) (Checked, error) {
		c, err := w.Evaluate(ctx, model, sp.Largest(), feed)
		return Checked{Confusion: c}, err
	}
	return training
}

// stateOf trains on whatever the folder holds and returns the model's whole state at the end.
func stateOf(t *testing.T, w *Worker, training Training) []supernet.NamedTensor {
	t.Helper()
	if err := w.Train(context.Background(), training); err != nil {
		t.Fatal(err)
	}
	state, err := supernet.State(training.Model, true)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestTrain_ResumedIsBitEqualToUninterrupted(t *testing.T) {
	w := newTestWorker(t)
	want := stateOf(t, w, testTraining(t, w, t.TempDir()))
	for stop := 1; stop <= testSteps; stop++ {
		folder := t.TempDir()
		training := testTraining(t, w, folder)
		ctx, cancel := context.WithCancel(context.Background())
		training.Progress = func(e Event) {
			if e.Step == stop {
				cancel()
			}
		}
		err := w.Train(ctx, training)
		if stop < testSteps && (!errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "saved")) {
			t.Fatalf("cancelled after step %d: %v", stop, err)
		}
		got := stateOf(t, w, testTraining(t, w, folder))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("stopped after step %d and resumed, the state at the end differs", stop)
		}
		records, err := ReadLog(filepath.Join(folder, MetricsFile))
		if err != nil || len(records) != testSteps+2 {
			t.Errorf("stopped after step %d and resumed, the log has %d records, %v", stop, len(records), err)
		}
		requireCurvesOfLog(t, folder)
	}
}

func TestTrain_DamagedCheckpointFallsBackToTheSameEnd(t *testing.T) {
	w := newTestWorker(t)
	want := stateOf(t, w, testTraining(t, w, t.TempDir()))
	folder := t.TempDir()
	ctx, cancel := context.WithCancel(context.Background())
	training := testTraining(t, w, folder)
	training.Progress = func(e Event) {
		if e.Step == 4 {
			cancel()
		}
	}
	if err := w.Train(ctx, training); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	flip(t, filepath.Join(folder, CheckpointFile))
	training = testTraining(t, w, folder)
	notice := ""
	training.Notice = func(text string) { notice = text }
	if got := stateOf(t, w, training); !reflect.DeepEqual(got, want) {
		t.Error("the state at the end differs")
	}
	if !strings.Contains(notice, "going on from "+PreviousFile) {
		t.Errorf("notice %q", notice)
	}
}

func TestTrain_RefusesACheckpointOfAnotherTraining(t *testing.T) {
	w := newTestWorker(t)
	folder := t.TempDir()
	stateOf(t, w, testTraining(t, w, folder))
	for name, change := range map[string]func(*Training){
		"seed":     func(t *Training) { t.Seed++ },
		"settings": func(t *Training) { t.ConfigHash = "y" },
		"steps":    func(t *Training) { t.Schedule = Schedule{{Steps: 2, LR: 1}} },
		"model":    func(t *Training) { a := space.Baseline(); t.About.Kind, t.About.Arch = Plain, &a },
	} {
		training := testTraining(t, w, folder)
		change(&training)
		if err := w.Train(context.Background(), training); !misuse.Is(err) {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

func TestTrain_DivergenceIsAnErrorAndNotAResult(t *testing.T) {
	w := newTestWorker(t)
	training := testTraining(t, w, t.TempDir())
	training.Schedule = Schedule{{Steps: 40, LR: 1e30}}
	training.Optimiser.Clip = 0
	if err := w.Train(context.Background(), training); err == nil || !strings.Contains(err.Error(), "diverged") {
		t.Errorf("error %v", err)
	}
}

func TestEvaluator_IsAFunctionOfTheArchitectureInConstantMemory(t *testing.T) {
	w := newTestWorker(t)
	training := testTraining(t, w, t.TempDir())
	stateOf(t, w, training)
	splits := testScenes(t)
	feed := Some{Data: splits.Train, Batch: testBatch, Height: testHeight, Width: testWidth, Seed: 1, Batches: 2}
	e := Evaluator{Worker: w, Supernet: training.Model, Recalibration: feed, Validation: All{splits.SearchVal, testBatch, testHeight, testWidth}}
	rng := rand.New(rand.NewPCG(5, 5))
	archs := []space.Arch{space.Default().Largest()}
	for range 5 {
		archs = append(archs, space.Default().Sample(rng))
	}
	scores := map[space.Arch]float64{}
	memory := 0
	for round := range 2 {
		for _, a := range archs {
			score, err := e.Evaluate(context.Background(), a)
			if err != nil {
				t.Fatal(err)
			}
			if round == 1 && score.MIoU != scores[a] {
				t.Errorf("%v: %v, then %v", a, scores[a], score.MIoU)
			}
			scores[a] = score.MIoU
			if memory == 0 {
				memory = w.MemoryBytes()
			}
		}
	}
	if w.MemoryBytes() != memory {
		t.Errorf("memory grew from %d to %d bytes", memory, w.MemoryBytes())
	}
}

func TestRecalibrate_ForgetsWhatWasThere(t *testing.T) {
	w := newTestWorker(t)
	training := testTraining(t, w, t.TempDir())
	splits := testScenes(t)
	feed, err := Keep(context.Background(), Some{Data: splits.Train, Batch: testBatch, Height: testHeight, Width: testWidth, Batches: 2}, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	var states [2][]supernet.NamedTensor
	for i := range states {
		network, err := supernet.Cut(training.Model, space.HandScaled())
		if err != nil {
			t.Fatal(err)
		}
		for range i + 1 { // the second network's statistics are not the fresh ones
			if err := w.Recalibrate(context.Background(), network, network.Arch(), feed); err != nil {
				t.Fatal(err)
			}
		}
		states[i], err = supernet.State(network, false)
		network.Close()
		if err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(states[0], states[1]) {
		t.Error("statistics depend on those before")
	}
}

func TestKeep_FeedsTheSameBatches(t *testing.T) {
	splits := testScenes(t)
	all := All{Data: splits.Train, Batch: 3, Height: 16, Width: 16}
	kept, err := Keep(context.Background(), all, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	collect := func(f Feed) (values [][]float32) {
		err := f.Each(context.Background(), func(b *data.Batch) error {
			values = append(values, append([]float32(nil), b.X...))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	want := collect(all)
	if len(want) != 3 || !reflect.DeepEqual(collect(kept), want) || !reflect.DeepEqual(collect(kept), want) {
		t.Error("kept batches differ")
	}
	if small, err := Keep(context.Background(), all, 100); err != nil || small != Feed(all) {
		t.Errorf("too large a feed was kept: %v", err)
	}
}
