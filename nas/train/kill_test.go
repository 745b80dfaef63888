package train

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// killedVariable names the folder in which a child process of the test trains.
const killedVariable = "SEGNAS_TEST_KILLED_TRAINING"

const (
	killedSteps = 240
	kills       = 20
)

// killedTraining is a training of a small supernet that saves after every step, so that a kill meets every part of the work.
func killedTraining(t *testing.T, w *Worker, folder string) Training {
	t.Helper()
	training := testTraining(t, w, folder)
	small := goldenModels()["elastic"]
	training.About.Space, training.About.Network.Widths = small.Space, small.Network.Widths
	model, err := training.About.Build(w.Context(), rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(model.Close)
	training.Model = model
	feed := All{Data: training.Data, Batch: testBatch, Height: testHeight, Width: testWidth}
	training.Check = func(ctx context.Context) (Checked, error) {
		c, err := w.Evaluate(ctx, model, small.Space.Largest(), feed)
		return Checked{Confusion: c}, err
	}
	training.Schedule = threePhases(killedSteps)
	training.Sample = Draw(*small.Space, training.Schedule, Sandwich{}, 3)
	training.Optimiser.Average = 0.9
	training.Checks = 10
	return training
}

func TestKilled_Child(t *testing.T) {
	folder := os.Getenv(killedVariable)
	if folder == "" {
		t.Skip("this is what the processes do that TestTrain_KilledTwentyTimesEndsTheSame kills")
	}
	w := newTestWorker(t)
	if err := w.Train(context.Background(), killedTraining(t, w, folder)); err != nil {
		t.Fatal(err)
	}
}

// logLines counts the lines of a training's log.
func logLines(folder string) int {
	content, _ := os.ReadFile(filepath.Join(folder, MetricsFile))
	return bytes.Count(content, []byte("\n"))
}

// live trains in a child process and kills it (SIGKILL) a random while after it has made a step or more; false when it ended before.
func live(t *testing.T, folder string, rng *rand.Rand) (killed bool) {
	t.Helper()
	before := logLines(folder)
	var out bytes.Buffer
	child := exec.Command(os.Args[0], "-test.run=^TestKilled_Child$")
	child.Env = append(os.Environ(), killedVariable+"="+folder)
	child.Stdout, child.Stderr = &out, &out
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	grown := before + 1 + rng.IntN(3)
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			return false
		case <-time.After(200 * time.Microsecond):
		}
		if logLines(folder) > grown {
			time.Sleep(time.Duration(rng.Int64N(int64(5 * time.Millisecond))))
			child.Process.Kill()
			<-ended
			return true
		}
	}
}

func TestTrain_KilledTwentyTimesEndsTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("twenty-one processes, one after the other, take half a minute")
	}
	w := newTestWorker(t)
	whole, folder := t.TempDir(), t.TempDir()
	if err := w.Train(context.Background(), killedTraining(t, w, whole)); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)) // any moment will do
	for n := range kills {
		if !live(t, folder, rng) {
			t.Fatalf("the training ended after %d kills: make it longer", n)
		}
		if _, _, err := Load(folder); err != nil && logLines(folder) > 1 {
			t.Fatalf("kill %d: %v", n+1, err)
		}
	}
	reached := logLines(folder)
	if err := w.Train(context.Background(), killedTraining(t, w, folder)); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d records after the last kill", reached)
	requireSameFile(t, filepath.Join(whole, CheckpointFile), filepath.Join(folder, CheckpointFile))
	want, err := ReadLog(filepath.Join(whole, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadLog(filepath.Join(folder, MetricsFile))
	if err != nil || len(got) != len(want) {
		t.Fatalf("%d records instead of %d, %v", len(got), len(want), err)
	}
	for i := range want {
		a, b := want[i], got[i]
		if a.Step != b.Step || a.Loss != b.Loss || a.LR != b.LR || (a.MIoU == nil) != (b.MIoU == nil) || (a.MIoU != nil && *a.MIoU != *b.MIoU) {
			t.Errorf("record %d is %+v, should be %+v", i, b, a)
		}
	}
	requireCurvesOfLog(t, folder)
}

func requireSameFile(t *testing.T, want, got string) {
	t.Helper()
	a, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(got); err != nil || !bytes.Equal(a, b) {
		t.Errorf("%s differs from %s, %v", got, want, err)
	}
}
