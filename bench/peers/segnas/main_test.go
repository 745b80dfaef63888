package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/space"
)

// worker is a server with the driver's ends of its pipes.
type worker struct {
	t       *testing.T
	in      *json.Encoder
	replies *json.Decoder
}

func newWorker(t *testing.T) *worker {
	t.Helper()
	fromDriver, toWorker := io.Pipe()
	fromWorker, toDriver := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- serve(fromDriver, toDriver) }()
	t.Cleanup(func() {
		toWorker.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return &worker{t, json.NewEncoder(toWorker), json.NewDecoder(fromWorker)}
}

// ask returns the reply to a request, given as the fields of q that do adds to.
func (w *worker) ask(do string, q request) map[string]any {
	w.t.Helper()
	q.Do = do
	if err := w.in.Encode(q); err != nil {
		w.t.Fatal(err)
	}
	var r map[string]any
	if err := w.replies.Decode(&r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// must is ask where a refusal fails the test.
func (w *worker) must(do string, q request) map[string]any {
	w.t.Helper()
	r := w.ask(do, q)
	if r["error"] != nil || r["skip"] != nil {
		w.t.Fatalf("%s: %v", do, r)
	}
	return r
}

func file(t *testing.T, path string, bytes []byte) string {
	t.Helper()
	if err := os.WriteFile(path, bytes, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// job is a small request of a kind of work, with a picture that is not constant.
func job(t *testing.T, work, output string) request {
	t.Helper()
	q := request{
		Work: work, Arch: space.Baseline().String(), Seed: 3, Classes: 5, Batch: 1, Height: 32, Width: 40, Threads: 2, Precision: "fp32",
		Output: output, Path: filepath.Join(t.TempDir(), "written"),
	}
	picture := make([]float32, q.Height*q.Width*3)
	for i := range picture {
		picture[i] = float32(math.Sin(float64(i)))
	}
	q.Picture = filepath.Join(t.TempDir(), "picture")
	if err := writeFloats(q.Picture, picture); err != nil {
		t.Fatal(err)
	}
	labels := make([]byte, q.Height*q.Width)
	for i := range labels {
		labels[i] = byte(i / 16 % q.Classes)
	}
	q.Labels = file(t, filepath.Join(t.TempDir(), "labels"), labels)
	return q
}

func TestServe_AnswersAndTimesBothOutputs(t *testing.T) {
	for output, bytes := range map[string]int{"labels": 32 * 40, "logits": 4 * 5 * 5 * 4} {
		w, q := newWorker(t), job(t, "infer", output)
		w.must("load", q)
		w.must("answer", q)
		if written, err := os.ReadFile(q.Path); err != nil || len(written) != bytes {
			t.Errorf("%s: %d bytes written, should be %d (%v)", output, len(written), bytes, err)
		}
		q.Warm, q.Runs, q.Peak = 1, 3, true
		if ms := w.must("time", q)["ms"].([]any); len(ms) != 3 || slices.ContainsFunc(ms, func(v any) bool { return v.(float64) <= 0 }) {
			t.Errorf("%s: times %v", output, ms)
		}
		if m := w.must("memory", q); m["peak_mb"].(float64) < m["before_mb"].(float64) {
			t.Errorf("%s: memory %v", output, m)
		}
		if w.must("export", q); !strings.HasPrefix(readFile(t, q.Path), "\x08") {
			t.Errorf("%s: what was exported begins like no ONNX model", output)
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	bytes, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes)
}

// TestServe_WeightsAreThoseOfEveryPrecision: what is compared across instruction sets is one network.
func TestServe_WeightsAreThoseOfEveryPrecision(t *testing.T) {
	if !slices.Contains(gobind.AvailableISAs(), "avx2") {
		t.Skip("this machine has no avx2")
	}
	var logits [2][]float32
	for i, precision := range []string{"fp32", "fp32-avx2"} {
		logits[i] = loaded(t, precision)
	}
	if d := furthest(logits[0], logits[1]); d > 1e-4 {
		t.Fatalf("a logit differs by %g between instruction sets", d)
	}
	ctx, err := gobind.NewContext(gobind.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ctx.Close()
	if !ctx.Runs(gobind.BFloat16) {
		t.Skip("bf16: this processor has none")
	}
	var largest float64
	for _, v := range logits[0] {
		largest = max(largest, math.Abs(float64(v)))
	}
	if d := furthest(logits[0], loaded(t, "bf16")); d == 0 || d > 0.05*largest {
		t.Fatalf("a logit differs by %g in bf16; the largest is %g", d, largest)
	}
}

// TestServe_IntegersAreWhatIsExported: peers get the network that the session runs.
func TestServe_IntegersAreWhatIsExported(t *testing.T) {
	w, q := newWorker(t), job(t, "infer", "logits")
	w.must("export", q)
	float := readFile(t, q.Path)
	q.Precision = "int8"
	w.must("export", q)
	integers := readFile(t, q.Path)
	if strings.Contains(float, "QuantizeLinear") || !strings.Contains(integers, "QuantizeLinear") || len(integers) > len(float)/2 {
		t.Errorf("files of %d bytes in float32 and of %d in integers", len(float), len(integers))
	}
	if logits := loaded(t, "int8"); furthest(logits, loaded(t, "fp32")) == 0 {
		t.Error("the logits are those of float32")
	}
	q = job(t, "train", "train")
	q.Precision = "int8"
	if r := w.ask("load", q); r["skip"] == nil {
		t.Errorf("training in integers: %v", r)
	}
}

// loaded returns the logits that a worker gives.
func loaded(t *testing.T, precision string) []float32 {
	t.Helper()
	w, q := newWorker(t), job(t, "infer", "logits")
	q.Precision = precision
	w.must("load", q)
	w.must("answer", q)
	logits, err := readFloats(q.Path, 5*4*5)
	if err != nil {
		t.Fatal(err)
	}
	return logits
}

func furthest(a, b []float32) (d float64) {
	for i := range a {
		d = max(d, math.Abs(float64(a[i]-b[i])))
	}
	return d
}

// TestServe_TrainingKeepsTheFirstLosses: the losses that peers are held to are of the weights that they are given.
func TestServe_TrainingKeepsTheFirstLosses(t *testing.T) {
	w, q := newWorker(t), job(t, "train", "train")
	r := w.must("parameters", q)
	floats := 0
	for _, p := range r["parameters"].([]any) {
		size := 1
		for _, n := range p.(map[string]any)["shape"].([]any) {
			size *= int(n.(float64))
		}
		floats += size
	}
	if _, err := readFloats(q.Path, floats); err != nil {
		t.Error(err)
	}
	w.must("load", q)
	for range 2 { // asked again after more steps, the answer is the same
		a := w.must("answer", q)
		if fmt.Sprint(a["shape"]) != "[2 3]" {
			t.Fatalf("losses of shape %v, should be two steps with three losses each", a["shape"])
		}
		losses, err := readFloats(q.Path, 6)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range losses[:3] { // random weights know nothing: about log(classes)
			if l < 0.5 || l > 5 {
				t.Errorf("first losses are %v", losses)
			}
		}
	}
}

func TestServe_RefusesInOneLine(t *testing.T) {
	w, q := newWorker(t), job(t, "infer", "labels")
	if r := w.ask("answer", q); r["error"] == nil {
		t.Errorf("an answer before anything is loaded: %v", r)
	}
	q.Precision = "int4"
	if r := w.ask("load", q); r["skip"] != "has no int4" {
		t.Errorf("a precision that is not there: %v", r)
	}
	q.Precision, q.Arch = "fp32", "k3e6"
	if r := w.ask("load", q); r["error"] == nil || strings.Contains(fmt.Sprint(r["error"]), "\n") {
		t.Errorf("an architecture that is none: %v", r)
	}
	if r := w.ask("sleep", q); r["error"] == nil {
		t.Errorf("a request that is not known: %v", r)
	}
}
