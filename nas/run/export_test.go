package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/export"
	"github.com/segnas/segnas/nas/train"
)

func TestExport_WritesAndVerifiesATrainedNetwork(t *testing.T) {
	run, _ := reference(t)
	model := filepath.Join(run, winnerModel)
	trained, err := train.LoadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "winner.onnx")
	printed, _ := output(t, Export, "--model", model, "--out", file, "--verify", "--json")
	var e Exported
	if err := json.Unmarshal([]byte(printed), &e); err != nil || e.Verification == nil || !e.Verification.Agrees {
		t.Fatalf("export printed %s (%v)", printed, err)
	}
	if e.Height != trained.Model.Height || e.Width != trained.Model.Width || e.Arch != trained.Model.Arch.String() || e.File != file {
		t.Errorf("exported %+v of %+v", e, trained.Model)
	}
	content, err := os.ReadFile(file)
	if err != nil || len(content) != e.Bytes {
		t.Fatalf("%d bytes, should be %d (%v)", len(content), e.Bytes, err)
	}
	m, err := export.Unmarshal(content)
	if err != nil || !strings.Contains(m.Property(export.KeyClasses), `"traffic light"`) {
		t.Errorf("classes %q (%v)", m.Property(export.KeyClasses), err)
	}
}

func TestExport_DrawsANetworkAndReplacesTheFileAtOnce(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "random.onnx")
	args := []string{"--arch", "k3e3_k5e4_k3e6", "--classes", "4", "--size", "41x57", "--batch", "2", "--out", file}
	if text, _ := output(t, Export, append(args, "--output", "logits", "--verify")...); !strings.Contains(text, "verified: logits differ by at most") {
		t.Errorf("export printed %q", text)
	}
	first, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	output(t, Export, append(args, "--output", "logits")...)
	if again, _ := os.ReadFile(file); string(again) != string(first) {
		t.Error("the same command wrote another file")
	}
	output(t, Export, append(args, "--seed", "2")...)
	if again, _ := os.ReadFile(file); string(again) == string(first) {
		t.Error("another seed and output wrote the same file")
	}
	if left, _ := os.ReadDir(folder); len(left) != 1 {
		t.Errorf("the folder holds %v", left)
	}
}

func TestExport_BadInputIsOneLineAndCode2(t *testing.T) {
	run, _ := reference(t)
	model := filepath.Join(run, winnerModel)
	folder := t.TempDir()
	file := filepath.Join(folder, "a.onnx")
	for _, c := range []struct{ args, want string }{
		{"--out " + file, "--model"},
		{"--arch baseline", "--out"},
		{"--arch baseline --model " + model + " --out " + file, "one of the two"},
		{"--model " + model + " --seed 3 --out " + file, "go with --arch"},
		{"--model " + filepath.Join(run, "none") + " --out " + file, "no such checkpoint"},
		{"--model " + filepath.Join(run, supernetName, "ckpt.safetensors") + " --out " + file, "holds a supernet"},
		{"--arch baseline --output classes --out " + file, "labels and logits"},
		{"--arch baseline --batch 0 --out " + file, "at least 1 picture"},
		{"--arch baseline --classes 256 --out " + file, "255 are allowed"},
		{"--arch baseline --size 100000x100000 --verify --out " + file, "elements at most"},
		{"--arch baseline --out " + filepath.Join(folder, "none", "a.onnx"), "no such file"},
		{"--arch baseline --out " + file + " more", "not expected"},
	} {
		requireMisuse(t, Export, strings.Fields(c.args), c.want)
	}
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Errorf("the folder holds %v", left)
	}
}
