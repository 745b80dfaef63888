package train

import (
	"context"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// quantisedEvaluator evaluates networks of a quantised supernet whose clips are fitted to the largest one, so that they suit no other.
func quantisedEvaluator(t *testing.T, threads int) *Evaluator {
	t.Helper()
	device, err := gobind.NewContext(gobind.Options{Threads: threads})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(device.Close)
	w, err := NewWorker(device)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	training := quantisedTraining(t, w, t.TempDir())
	splits := testScenes(t)
	feed := Some{Data: splits.Train, Batch: testBatch, Height: testHeight, Width: testWidth, Seed: 1, Batches: 2}
	largest, err := supernet.Widest(training.Model)
	if err == nil {
		err = w.Calibrate(context.Background(), training.Model, largest, feed)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &Evaluator{
		Worker: w, Supernet: training.Model, Recalibration: feed, Clips: true, Validation: All{splits.SearchVal, testBatch, testHeight, testWidth},
	}
}

// stateOfCut returns all that a network is scored with.
func stateOfCut(t *testing.T, e *Evaluator, a space.Arch) []supernet.NamedTensor {
	t.Helper()
	network, err := e.cut(context.Background(), a)
	if err != nil {
		t.Fatal(err)
	}
	defer network.Close()
	return plainState(t, network)
}

func plainState(t *testing.T, m *supernet.Plain) []supernet.NamedTensor {
	t.Helper()
	state, err := supernet.State(m, false)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// inputClips counts the clips of activations, and those of them that two states of a network differ in. But for statistics, all else is to be the same.
func inputClips(t *testing.T, got, want []supernet.NamedTensor) (all, differ int) {
	t.Helper()
	for i := range want {
		name, same := want[i].Name, reflect.DeepEqual(got[i], want[i])
		switch {
		case strings.Contains(name, ".input.clip"):
			all++
			if !same {
				differ++
			}
		case same, strings.HasSuffix(name, ".mean"), strings.HasSuffix(name, ".variance"):
		default:
			t.Errorf("%s is another", name)
		}
	}
	return all, differ
}

func sampledArchs(n int) (all []space.Arch) {
	sp := space.Default()
	sp.Bits = []uint8{4, 8}
	rng := rand.New(rand.NewPCG(6, 6))
	for range n {
		all = append(all, sp.Sample(rng))
	}
	return all
}

// Fitted clips are a function of the network's weights and the batches: fitted to it alone, with statistics of those clips after it.
func TestEvaluator_FittedClipsAreTheNetworksOwn(t *testing.T) {
	e := quantisedEvaluator(t, 2)
	for _, a := range sampledArchs(3) {
		got := stateOfCut(t, e, a)
		alone, err := supernet.Cut(e.Supernet, a)
		if err != nil {
			t.Fatal(err)
		}
		defer alone.Close()
		kept := plainState(t, alone)
		for _, q := range supernet.Quantisers(alone) { // of activations: what was there before is of no consequence
			for bits := range nn.MostBits + 1 {
				if p := q.Clip(bits); p != nil && strings.HasSuffix(q.Name, ".input") {
					gobind.Host[float32](p.Value)[0] *= 3
				}
			}
		}
		for _, mode := range []func(int) nn.Mode{nn.Calibrate, nn.Recalibrate} {
			batch := 0
			err := e.Recalibration.Each(context.Background(), func(b *data.Batch) error {
				_, _, err := e.Worker.forward(alone, a, b, mode(batch))
				batch++
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := e.Worker.settle(); err != nil {
			t.Fatal(err)
		}
		if want := plainState(t, alone); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: fitted alone, the network is another", a)
		}
		if all, differ := inputClips(t, got, kept); all == 0 || 2*differ < all {
			t.Errorf("%v: %d of %d clips were fitted anew", a, differ, all)
		}
	}
}

func TestEvaluator_FittedClipsAndScoresAreThoseOfAnyNumberOfThreads(t *testing.T) {
	a := sampledArchs(1)[0]
	var want []supernet.NamedTensor
	var score float64
	for _, threads := range []int{1, 2, 3} {
		e := quantisedEvaluator(t, threads)
		got := stateOfCut(t, e, a)
		scored, err := e.Evaluate(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		if threads == 1 {
			want, score = got, scored.MIoU
		}
		if !reflect.DeepEqual(got, want) || scored.MIoU != score {
			t.Errorf("%d threads: the network is another; mIoU %v, was %v", threads, scored.MIoU, score)
		}
	}
}

// Without fitting, a network is what it was before there was any: the supernet's clips, and statistics.
func TestEvaluator_KeepsClipsUnlessTold(t *testing.T) {
	e := quantisedEvaluator(t, 2)
	e.Clips = false
	for _, a := range append(sampledArchs(2), space.Baseline()) {
		got := stateOfCut(t, e, a)
		network, err := supernet.Cut(e.Supernet, a)
		if err != nil {
			t.Fatal(err)
		}
		defer network.Close()
		cut := plainState(t, network)
		if err := e.Worker.Recalibrate(context.Background(), network, a, e.Recalibration); err != nil {
			t.Fatal(err)
		}
		if want := plainState(t, network); !reflect.DeepEqual(got, want) {
			t.Errorf("%v: recalibrated by itself, the network is another", a)
		}
		if _, differ := inputClips(t, got, cut); differ > 0 {
			t.Errorf("%v: %d clips are not the supernet's", a, differ)
		}
		if !a.IsQuantised() { // has no clips to fit
			e.Clips = true
			if fitted := stateOfCut(t, e, a); !reflect.DeepEqual(fitted, got) {
				t.Errorf("%v: with clips fitted, a network in floating point is another", a)
			}
		}
	}
	e.Recalibration = nil
	if _, err := e.Evaluate(context.Background(), space.Baseline()); err == nil {
		t.Error("clips are fitted to no batches")
	}
}
