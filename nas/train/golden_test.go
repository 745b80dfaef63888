package train

import (
	"encoding/json"
	"flag"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// Checkpoints of every version and kind lie in testdata, each with what it holds and what it computes: what was written once is readable for
// ever. A new version, or a new kind, gets files of its own beside the old ones:
//
//	go test ./nas/train -run Golden -write-golden
var writeGolden = flag.Bool("write-golden", false, "write the golden checkpoints that testdata lacks")

// golden is what a reader should find in a checkpoint, here or in Python (testdata/read_checkpoint.py).
type golden struct {
	Model   Description    `json:"model"`
	Step    int            `json:"step"`
	Seed    uint64         `json:"seed"`
	Tensors []goldenTensor `json:"tensors"`
	// Archs are some networks of the model, with their logits [4][4][classes] of goldenPicture.
	Archs  []space.Arch `json:"archs"`
	Logits [][]float32  `json:"logits"`
}

type goldenTensor struct {
	Name  string  `json:"name"`
	Shape []int   `json:"shape"`
	First float32 `json:"first"`
	Last  float32 `json:"last"`
	Sum   float64 `json:"sum"`
}

const (
	goldenSize   = 32
	averagedKind = "average" // a plain network with the moving average of its weights
)

func goldenPicture() *data.Batch {
	b := &data.Batch{N: 1, H: goldenSize, W: goldenSize, X: make([]float32, goldenSize*goldenSize*3), Y: make([]byte, goldenSize*goldenSize)}
	for i := range b.X {
		b.X[i] = float32(i*37%101)/25 - 2
	}
	return b
}

// goldenModels describes a small model of every kind. The networks are as narrow as the fixed stem lets them be.
func goldenModels() map[string]Description {
	small := space.Uniform([space.Stages]uint8{1, 1, 2}, space.Block{Kernel: 3, Expand: 1})
	elastic := space.Space{Kernels: []uint8{3, 5}, Expands: []uint8{1, 2}, Depths: []uint8{1, 2}}
	naive := space.Space{Kernels: []uint8{3}, Expands: []uint8{1}, Depths: []uint8{1, 2}}
	about := Description{
		Network: space.Network{Classes: 3, Strides: [space.Stages]int{1, 2, 2}, Widths: [space.Stages]int{8, 8, 8}},
		Height:  goldenSize, Width: goldenSize, Dataset: "drawn",
		Classes: Classes{Names: []string{"road", "side walk", "Straße"}, Colors: [][3]int{{128, 64, 128}, {244, 35, 232}, {0, 0, 0}}, Values: []int{7, 8, 0}},
	}
	plain, shared, own := about, about, about
	plain.Kind, plain.Arch = Plain, &small
	shared.Kind, shared.Space = Elastic, &elastic
	own.Kind, own.Space = Naive, &naive
	return map[string]Description{"plain": plain, "elastic": shared, "naive": own, averagedKind: plain}
}

func goldenFile(version, kind, ending string) string {
	return filepath.Join("testdata", "checkpoint-"+version, kind+ending)
}

// goldenArchs are the networks of a model whose logits are kept.
func goldenArchs(d Description) []space.Arch {
	if d.Kind == Plain {
		return []space.Arch{*d.Arch}
	}
	smallest := space.Uniform([space.Stages]uint8{1, 1, 1}, space.Block{Kernel: d.Space.Kernels[0], Expand: d.Space.Expands[0]})
	return []space.Arch{d.Space.Largest(), smallest}
}

// goldenLogits runs a model's networks on the picture.
func goldenLogits(t *testing.T, w *Worker, m supernet.Model, archs []space.Arch) [][]float32 {
	t.Helper()
	var all [][]float32
	for _, a := range archs {
		logits, _, err := w.forward(m, a, goldenPicture(), nn.Infer)
		if err != nil {
			t.Fatal(err)
		}
		values := make([]float32, logits.Elements())
		if err := gobind.Download(w.tape.Stream(), values, logits.Reshape(len(values))); err != nil {
			t.Fatal(err)
		}
		all = append(all, values)
	}
	return all
}

// tensorsOf describes a checkpoint's tensors.
func tensorsOf(list []safetensors.Tensor) []goldenTensor {
	all := make([]goldenTensor, len(list))
	for i, t := range list {
		all[i] = goldenTensor{Name: t.Name, Shape: t.Shape, First: t.Data[0], Last: t.Data[len(t.Data)-1]}
		for _, v := range t.Data {
			all[i].Sum += float64(v)
		}
	}
	return all
}

// roundTensors leaves numbers of few digits, which repositories pack well.
func roundTensors(list []safetensors.Tensor) {
	for _, tensor := range list {
		for i, v := range tensor.Data {
			tensor.Data[i] = float32(math.Round(float64(v)*32)) / 32
			switch {
			case strings.HasSuffix(tensor.Name, ".momentum"):
				tensor.Data[i] = float32(i%16) / 64
			case strings.HasSuffix(tensor.Name, ".variance"):
				tensor.Data[i] = max(tensor.Data[i], 1.0/32)
			}
		}
	}
}

// withAverages adds the tensors' values as their averages, and changes their own.
func withAverages(list []safetensors.Tensor) []safetensors.Tensor {
	for _, tensor := range slices.Clone(list) {
		average := safetensors.Tensor{Name: tensor.Name + averageSuffix, Shape: tensor.Shape, Data: slices.Clone(tensor.Data)}
		for i := range tensor.Data {
			tensor.Data[i] /= 2
		}
		list = append(list, average)
	}
	return list
}

// makeGolden writes a model's checkpoint and what it holds, unless they are there.
func makeGolden(t *testing.T, w *Worker, kind string, d Description) {
	t.Helper()
	path, about := goldenFile(checkpointVersion, kind, ".safetensors"), goldenFile(checkpointVersion, kind, ".json")
	if _, err := os.Stat(path); err == nil {
		return
	}
	rng := rand.New(rand.NewPCG(7, 7))
	m, err := d.Build(w.context, rng)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for _, a := range goldenArchs(d) { // statistics that are not those of a new network
		if _, _, err := w.forward(m, a, goldenPicture(), nn.Recalibrate(0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.settle(); err != nil {
		t.Fatal(err)
	}
	c, err := Capture(m, kind == "plain") // with momentum, as a training writes it; without, as a winner is kept
	if err != nil {
		t.Fatal(err)
	}
	roundTensors(c.Tensors)
	if kind == averagedKind {
		c.Tensors = withAverages(c.Tensors)
	}
	c.Model, c.Step, c.Seed, c.ConfigHash = d, 12, 1<<63, "0123456789abcdef"
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := c.SaveFile(path); err != nil {
		t.Fatal(err)
	}
	if err := c.trained().Restore(m); err != nil {
		t.Fatal(err)
	}
	g := golden{Model: d, Step: c.Step, Seed: c.Seed, Tensors: tensorsOf(c.Tensors), Archs: goldenArchs(d)}
	g.Logits = goldenLogits(t, w, m, g.Archs)
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(about, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestGolden_OldCheckpointsLoadAndComputeWhatTheyDid(t *testing.T) {
	w := newTestWorker(t)
	if *writeGolden {
		for kind, d := range goldenModels() {
			makeGolden(t, w, kind, d)
		}
	}
	files, err := filepath.Glob(goldenFile("*", "*", ".safetensors"))
	if err != nil || len(files) < 3 {
		t.Fatalf("golden checkpoints %v, %v", files, err)
	}
	for _, path := range files {
		var want golden
		text, err := os.ReadFile(path[:len(path)-len(".safetensors")] + ".json")
		if err == nil {
			err = json.Unmarshal(text, &want)
		}
		if err != nil {
			t.Fatal(err)
		}
		m, c, err := Open(w.context, path)
		if err != nil {
			t.Error(err)
			continue
		}
		if c, err = LoadFile(path); err != nil { // as it lies there, with what is not the model's
			t.Fatal(err)
		}
		if !reflect.DeepEqual(c.Model, want.Model) || c.Step != want.Step || c.Seed != want.Seed || !reflect.DeepEqual(tensorsOf(c.Tensors), want.Tensors) {
			t.Errorf("%s: other than it was: %+v", path, c.Model)
		}
		requireLogits(t, path, goldenLogits(t, w, m, want.Archs), want.Logits)
		m.Close()
	}
	for kind := range goldenModels() {
		if _, err := os.Stat(goldenFile(checkpointVersion, kind, ".safetensors")); err != nil {
			t.Errorf("the current version has no golden checkpoint: %v", err)
		}
	}
}

// requireLogits allows what instruction sets differ by.
func requireLogits(t *testing.T, path string, got, want [][]float32) {
	t.Helper()
	for i := range want {
		var largest, off float64
		if len(got) != len(want) || len(got[i]) != len(want[i]) {
			t.Fatalf("%s: %d logits, should be %d", path, len(got[i]), len(want[i]))
		}
		for j, v := range want[i] {
			largest = max(largest, math.Abs(float64(v)))
			off = max(off, math.Abs(float64(v)-float64(got[i][j])))
		}
		if !(largest > 0) || !(off <= 1e-4*largest) {
			t.Errorf("%s, network %d: logits are off by %g of at most %g", path, i+1, off, largest)
		}
	}
}
