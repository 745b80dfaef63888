package run

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tinyTraining is a training of two steps.
func tinyTraining(out string, more ...string) []string {
	return append([]string{
		"--threads", "2", "--size", "32x64", "--batch", "2", "--scratch-steps", "2", "--train-scenes", "6", "--search-scenes", "2", "--test-scenes", "1",
		"--recalibration-batches", "1", "--checks", "1", "--out", out,
	}, more...)
}

func trained(t *testing.T, args []string) string {
	t.Helper()
	var out, words bytes.Buffer
	if err := Train(context.Background(), args, Streams{&out, &words}); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, words.String())
	}
	return out.String()
}

// A quantised network begins with a float one's weights; the folder then belongs to that beginning, and repeating the command changes nothing.
func TestTrain_StartsFromGivenWeights(t *testing.T) {
	folder := t.TempDir()
	float, few, other := filepath.Join(folder, "float"), filepath.Join(folder, "few"), filepath.Join(folder, "other")
	trained(t, tinyTraining(float))
	checkpoint := filepath.Join(float, "ckpt.safetensors")
	args := tinyTraining(few, "--start", checkpoint, "--arch", "baseline-w4a8")
	first := trained(t, args)
	if again := trained(t, args); again != first {
		t.Errorf("repeated, it says\n%s\nwas\n%s", again, first)
	}
	if random := trained(t, tinyTraining(other, "--arch", "baseline-w4a8")); strings.Split(random, "\nmodel")[0] == strings.Split(first, "\nmodel")[0] {
		t.Error("random weights end as given ones do")
	}
	requireMisuse(t, Train, tinyTraining(few, "--arch", "baseline-w4a8"), "is of another training")
	requireMisuse(t, Train, tinyTraining(filepath.Join(folder, "new"), "--start", filepath.Join(folder, "none")), "--start")
	requireMisuse(t, Train, tinyTraining(filepath.Join(folder, "new"), "--start", checkpoint, "--arch", "hand"), "the model has no block")
	requireMisuse(t, Train, tinyTraining(filepath.Join(folder, "new"), "--start", checkpoint, "--network", "fast-scnn"), "--network fast-scnn")

	var score bytes.Buffer
	model := filepath.Join(few, "ckpt.safetensors")
	scenes := []string{"--train-scenes", "6", "--search-scenes", "2", "--test-scenes", "1"}
	if err := Evaluate(context.Background(), append([]string{"--model", model, "--threads", "2"}, scenes...), Streams{&score, io.Discard}); err != nil {
		t.Fatal(err)
	}
	if score.String() != first {
		t.Errorf("eval says\n%s\ntrain said\n%s", score.String(), first)
	}
	requireMisuse(t, Import, []string{"--to-torch", model, "--out", filepath.Join(folder, "few.safetensors")}, "has bit widths")
	if _, err := os.Stat(filepath.Join(folder, "few.safetensors")); err == nil {
		t.Error("a network with bit widths was written for PyTorch")
	}
}
