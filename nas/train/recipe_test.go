package train

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// bare is a training of single steps without anything that hides the gradient: weights move by minus the gradient.
func bare(t *testing.T, w *Worker) Training {
	t.Helper()
	training := testTraining(t, w, t.TempDir())
	training.Schedule = Schedule{{Steps: 1, LR: 1}}
	training.Optimiser = Optimiser{AuxWeight: 0.4}
	training.Check = nil
	return training
}

// moved returns by how much one step on a batch moves each weight.
func moved(t *testing.T, w *Worker, training Training, b *data.Batch, networks ...space.Arch) []float32 {
	t.Helper()
	before := weightsOf(training.Model)
	training.Sample = func(int) []space.Arch { return networks }
	if _, err := w.step(&training, 0, b); err != nil {
		t.Fatal(err)
	}
	after := weightsOf(training.Model)
	for i := range after {
		after[i] -= before[i]
	}
	return after
}

func weightsOf(m supernet.Model) []float32 {
	var all []float32
	for _, p := range m.Params() {
		all = append(all, gobind.Host[float32](p.Value)...)
	}
	return all
}

func someBatch(t *testing.T, ds data.Dataset, n, enlarged int) *data.Batch {
	t.Helper()
	loader, err := data.NewLoader(ds, data.LoaderConfig{Batch: n, H: enlarged * testHeight, W: enlarged * testWidth, Seed: 5})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(loader.Close)
	b, err := loader.Next(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// apart is the largest difference between two gradients over their largest element.
func apart(a, b []float32) float64 {
	worst, scale := 0.0, 0.0
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i]-b[i])))
		scale = max(scale, math.Abs(float64(a[i])), math.Abs(float64(b[i])))
	}
	return worst / scale
}

// rounding is what two orders of the same sums may differ by.
const rounding = 2e-5

func TestStep_ASandwichMovesByTheMeanOfItsNetworksGradients(t *testing.T) {
	w := newTestWorker(t)
	sp := space.Default()
	drawn := sp.Sample(rand.New(rand.NewPCG(4, 4)))
	smallest := space.Uniform([space.Stages]uint8{2, 2, 2}, space.Block{Kernel: 3, Expand: 3})
	networks := []space.Arch{sp.Largest(), smallest, drawn}
	b := someBatch(t, testScenes(t).Train, testBatch, 1)
	want := moved(t, w, bare(t, w), b, networks[0])
	for _, a := range networks[1:] {
		for i, v := range moved(t, w, bare(t, w), b, a) {
			want[i] += v
		}
	}
	for i := range want {
		want[i] /= float32(len(networks))
	}
	got := moved(t, w, bare(t, w), b, networks...)
	if d := apart(got, want); d > rounding {
		t.Errorf("the sandwich's gradient is %.2g of its largest element off the mean of its networks'", d)
	}
	training := bare(t, w)
	training.Sample = func(int) []space.Arch { return []space.Arch{smallest, sp.Largest()} }
	if _, err := w.step(&training, 0, b); err == nil || !strings.Contains(err.Error(), "largest") {
		t.Errorf("the smallest network first: %v", err)
	}
}

func TestStep_MicroBatchesAddUpToTheBatch(t *testing.T) {
	w := newTestWorker(t)
	// Two pictures, twice: each half has the statistics of the whole, so that batch norm hides no difference. A shallow network on pictures that are not
	// tiny, or ReLUs at the edge of nothing make much of a rounding.
	a := space.Uniform([space.Stages]uint8{2, 2, 2}, space.Block{Kernel: 3, Expand: 3})
	pair := someBatch(t, testScenes(t).Train, 2, 2)
	whole := &data.Batch{N: 4, H: pair.H, W: pair.W, X: append(append([]float32(nil), pair.X...), pair.X...), Y: append(append([]byte(nil), pair.Y...), pair.Y...)}
	want := moved(t, w, bare(t, w), whole, a)
	training := bare(t, w)
	training.MicroBatch = 2
	if d := apart(moved(t, w, training, whole, a), want); d > rounding {
		t.Errorf("two micro-batches move the weights %.2g of the largest gradient off one batch", d)
	}
	training = bare(t, w)
	training.MicroBatch = 4
	if got := moved(t, w, training, whole, a); !reflect.DeepEqual(got, want) {
		t.Error("one micro-batch of all pictures is not the batch, bit for bit")
	}
}

func TestStep_MicroBatchesWeighByTheirLabelledPixels(t *testing.T) {
	b := someBatch(t, testScenes(t).Train, 2, 1)
	for i := range b.Y[len(b.Y)/2:] { // the second picture has no label at all
		b.Y[len(b.Y)/2+i] = data.Ignore
	}
	weights := make([]float32, 19)
	for i := range weights {
		weights[i] = 1 + float32(i)
	}
	all := weighed(b, 0, 2, weights)
	if first, second := weighed(b, 0, 1, weights), weighed(b, 1, 2, weights); first != all || second != 0 || all == 0 {
		t.Errorf("parts weigh %g and %g of %g", first, second, all)
	}
}

func TestTrain_LeavesTheMovingAverageOfTheWeights(t *testing.T) {
	w := newTestWorker(t)
	folder := t.TempDir()
	const decay = 0.3 // above the warm-up's bound in the first steps, below it later
	run := func(average float64, each func(step int, m supernet.Model)) Training {
		training := testTraining(t, w, folder)
		training.Optimiser.Average, training.Check = average, nil
		if average == 0 {
			training.Folder = t.TempDir()
		}
		training.Progress = func(e Event) {
			if each != nil {
				each(e.Step, training.Model)
			}
		}
		if err := w.Train(context.Background(), training); err != nil {
			t.Fatal(err)
		}
		return training
	}
	start := testTraining(t, w, folder)
	want := make([]float64, 0)
	for _, v := range weightsOf(start.Model) {
		want = append(want, float64(v))
	}
	run(0, func(step int, m supernet.Model) {
		if err := w.settle(); err != nil {
			t.Fatal(err)
		}
		d := min(decay, float64(1+step)/float64(10+step))
		for i, v := range weightsOf(m) {
			want[i] += (1 - d) * (float64(v) - want[i])
		}
	})
	got := weightsOf(run(decay, nil).Model)
	for i := range want {
		if math.Abs(float64(got[i])-want[i]) > 1e-5*max(1, math.Abs(want[i])) {
			t.Fatalf("weight %d is %g, its moving average %g", i, got[i], want[i])
		}
	}
	m, _, err := Open(w.Context(), filepath.Join(folder, CheckpointFile))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if !reflect.DeepEqual(weightsOf(m), got) {
		t.Error("the checkpoint opens with other weights than the average that the training left")
	}
}

func TestStepBytes_IsWhatAStepTakes(t *testing.T) {
	for _, batch := range []int{2, 5} {
		w := newTestWorker(t)
		training := bare(t, w)
		a := space.Default().Largest()
		estimate, err := StepBytes(w.Context(), training.Model, a, gobind.F32, batch, testHeight, testWidth)
		if err != nil {
			t.Fatal(err)
		}
		moved(t, w, training, someBatch(t, testScenes(t).Train, batch, 1), a)
		taken := w.tape.PeakBytes() + batch*testHeight*testWidth*bytesPerPixel
		if ratio := float64(estimate) / float64(taken); ratio < 0.95 || ratio > 1.05 {
			t.Errorf("batch %d: %d bytes estimated, %d taken", batch, estimate, taken)
		}
	}
}
func TestStep_ANetworkTaughtByItselfLearnsNothingFromIt(t *testing.T) {
	w := newTestWorker(t)
	a := space.Default().Largest()
	b := someBatch(t, testScenes(t).Train, testBatch, 1)
	alone := bare(t, w)
	alone.Optimiser.AuxWeight = 0
	want := moved(t, w, alone, b, a)
	taught := bare(t, w)
	taught.Optimiser.AuxWeight = 0
	taught.Sandwich = Sandwich{Networks: 2, Distill: 1}
	got := moved(t, w, taught, b, a, a)
	for i := range got {
		got[i] *= 2 // the mean of a gradient and of none
	}
	if d := apart(got, want); d > 2e-3 { // batch norm's running statistics differ for nothing; the second pass sees the same batch
		t.Errorf("a network taught by itself moves by %.2g of the largest gradient", d)
	}
	half := bare(t, w)
	half.Optimiser.AuxWeight = 0
	half.Sandwich = Sandwich{Networks: 2, Distill: 0.5}
	got = moved(t, w, half, b, a, a)
	for i := range got {
		got[i] *= 2 / 1.5 // a whole and a half
	}
	if d := apart(got, want); d > 2e-3 {
		t.Errorf("taught by half, it is %.2g of the largest gradient off", d)
	}
}

func TestStep_MiningThatKeepsEveryPixelChangesNothing(t *testing.T) {
	w := newTestWorker(t)
	a := space.Default().Largest()
	b := someBatch(t, testScenes(t).Train, testBatch, 1)
	want := moved(t, w, bare(t, w), b, a)
	all := bare(t, w)
	all.HardPixels = HardPixels{Probability: 0.5, LeastShare: 1}
	if got := moved(t, w, all, b, a); !reflect.DeepEqual(got, want) {
		t.Error("mining that keeps all pixels changes the step")
	}
	few := bare(t, w)
	few.HardPixels = HardPixels{Probability: 1e-9, LeastShare: 0.05}
	if got := moved(t, w, few, b, a); apart(got, want) < 1e-3 {
		t.Error("mining a twentieth of the pixels changes nothing")
	}
}

// everything is testTraining with every option of the recipe.
func everything(t *testing.T, w *Worker, folder string) Training {
	training := testTraining(t, w, folder)
	training.Batch, training.MicroBatch = 3, 2
	training.Optimiser.Average = 0.9
	training.HardPixels = HardPixels{Probability: 0.7}
	training.Sandwich = Sandwich{Networks: 3, Distill: 0.7}
	training.Sample = Draw(space.Default(), training.Schedule, training.Sandwich, 3)
	training.ClassUniform = 0.5
	for i := range training.Schedule {
		training.Schedule[i].Decay, training.Schedule[i].SmallSteps = Cosine, training.Schedule[i].Steps/2
	}
	return training
}

func TestTrain_WithEveryOptionResumedIsBitEqual(t *testing.T) {
	w := newTestWorker(t)
	want := stateOf(t, w, everything(t, w, t.TempDir()))
	for _, stop := range []int{1, 4, testSteps} {
		folder := t.TempDir()
		training := everything(t, w, folder)
		ctx, cancel := context.WithCancel(context.Background())
		training.Progress = func(e Event) {
			if e.Step == stop {
				cancel()
			}
		}
		if err := w.Train(ctx, training); stop < testSteps && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if got := stateOf(t, w, everything(t, w, folder)); !reflect.DeepEqual(got, want) {
			t.Errorf("stopped after step %d and resumed, the state at the end differs", stop)
		}
	}
}
