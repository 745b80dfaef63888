package run

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/train"
)

// torchFile is a state_dict that PyTorch wrote.
func torchFile(name string) string {
	return filepath.Join("..", "train", "torch", "testdata", name)
}

func TestImport_ToTorchAndBackIsTheSameNetwork(t *testing.T) {
	run, _ := reference(t)
	model, folder := filepath.Join(run, winnerModel), t.TempDir()
	there, back := filepath.Join(folder, "there.safetensors"), filepath.Join(folder, "back.safetensors")
	printed, _ := output(t, Import, "--to-torch", model, "--out", there, "--json")
	var exported ImportedTorch
	if err := json.Unmarshal([]byte(printed), &exported); err != nil || !exported.Auxiliary || exported.File != there {
		t.Fatalf("import printed %s (%v)", printed, err)
	}
	output(t, Import, "--torch", there, "--out", back)
	want, err := train.LoadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	got, err := train.LoadFile(back)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Model, want.Model) || !reflect.DeepEqual(got.Tensors, want.Tensors) {
		t.Errorf("there and back, %+v became %+v, or its tensors changed", want.Model, got.Model)
	}
}

func TestImport_TakesWhatPyTorchSavedAndTheUsersClasses(t *testing.T) {
	pictures, folder := drawFolder(t), t.TempDir()
	golden := filepath.Join("..", "train", "testdata", "checkpoint-1", "plain.safetensors")
	for _, from := range []string{"f32.safetensors", "f32.pth", "f16.pth"} {
		out := filepath.Join(folder, from+".safetensors")
		printed, _ := output(t, Import, "--torch", torchFile(from), "--out", out, "--classes-from", golden, "--size", "24x40", "--threads", "1")
		if !strings.Contains(printed, "drawn at random") || !strings.Contains(printed, "k3e1_k5e1_k3e2.k3e1") {
			t.Errorf("%s: printed %q", from, printed)
		}
		c, err := train.LoadFile(out)
		if err != nil || c.Model.Height != 24 || c.Model.Width != 40 || c.Model.Classes.Names[2] != "Straße" {
			t.Fatalf("%s: %+v, %v", from, c.Model, err)
		}
		output(t, Segment, "--model", out, "--out", filepath.Join(folder, "labelled"), "--threads", "1", filepath.Join(pictures, "images", "a.png"))
	}
	numbered := filepath.Join(folder, "numbered.safetensors")
	output(t, Import, "--torch", torchFile("f32.pth"), "--out", numbered, "--strides", "2,2,1")
	c, err := train.LoadFile(numbered)
	if err != nil || c.Model.Classes.Names[1] != "class 1" || c.Model.Network.Strides != [3]int{2, 2, 1} {
		t.Errorf("%+v, %v", c.Model, err)
	}
}

func TestImport_NamesWhatIsWrongAndWritesNothing(t *testing.T) {
	run, _ := reference(t)
	model, folder := filepath.Join(run, winnerModel), t.TempDir()
	out := filepath.Join(folder, "out.safetensors")
	for want, args := range map[string][]string{
		"one of the two":                {"--out", out},
		"--out":                         {"--torch", model},
		`"keras" is not known`:          {"--torch", model, "--out", out, "--layout", "keras"},
		"one for each of the 3 stages":  {"--torch", torchFile("f32.pth"), "--out", out, "--strides", "1,2"},
		"stride 3; 1 or 2":              {"--torch", torchFile("f32.pth"), "--out", out, "--strides", "1,2,3"},
		"no such file":                  {"--torch", filepath.Join(folder, "none"), "--out", out},
		"is a directory":                {"--torch", folder, "--out", out},
		"tensor head.classifier.weight": {"--torch", model, "--out", out}, // a checkpoint of ours has other shapes
		"it is truncated or of another": {"--torch", os.DevNull, "--out", out},
		"holds a supernet":              {"--to-torch", filepath.Join(run, supernetName, train.CheckpointFile), "--out", out},
		"has 2 classes and the network": {"--torch", torchFile("f32.pth"), "--out", out, "--classes-from", drawFolder(t)},
		"--classes-from: stat":          {"--torch", torchFile("f32.pth"), "--out", out, "--classes-from", filepath.Join(folder, "none")},
		"go with --torch":               {"--to-torch", model, "--out", out, "--size", "8x8"},
		"--out: writing " + folder:      {"--to-torch", model, "--out", filepath.Join(folder, "none", "x")},
	} {
		requireMisuse(t, Import, args, want)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
