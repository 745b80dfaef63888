package train

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train/torch"
)

// The logits are those that PyTorch computes in double precision from its own files (torch/testdata/check_torch.py).
func TestTorch_ImportedWeightsComputePyTorchsLogits(t *testing.T) {
	w := newTestWorker(t)
	folder := filepath.Join("torch", "testdata")
	var want struct {
		Strides [space.Stages]int
		Logits  []float32
	}
	text, err := os.ReadFile(filepath.Join(folder, "f32.json"))
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"f32.safetensors", "f16.pth"} {
		path := filepath.Join(folder, name)
		state, _, err := torch.ReadState(path)
		if err != nil {
			t.Fatal(err)
		}
		net, arch, err := torch.Describe(state, want.Strides)
		if err != nil {
			t.Fatal(err)
		}
		model, err := supernet.NewPlain(w.Context(), net, arch, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		c, err := Capture(model, false)
		if err != nil {
			t.Fatal(err)
		}
		if auxiliary, err := torch.FromState(c.Tensors, state); auxiliary || err != nil {
			t.Fatalf("auxiliary heads %v, %v", auxiliary, err)
		}
		if err := c.Restore(model); err != nil {
			t.Fatal(err)
		}
		requireLogits(t, path, goldenLogits(t, w, model, []space.Arch{arch}), [][]float32{want.Logits})
		model.Close()
	}
}
