package train

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train/safetensors"
)

func exampleCheckpoint(step int) Checkpoint {
	arch := space.HandScaled()
	return Checkpoint{
		Model: Description{
			Kind: Plain, Network: space.DefaultNetwork(2), Arch: &arch, Height: 32, Width: 64, Dataset: "scenes",
			Classes: Classes{Names: []string{"road", "sky"}, Colors: [][3]int{{1, 2, 3}, {4, 5, 6}}},
		},
		Step: step, Seed: 1 << 63, ConfigHash: "abc",
		Tensors: []safetensors.Tensor{{Name: "stem/w", Shape: []int{2}, Data: []float32{float32(step), 1}}},
	}
}

func TestCheckpoint_LoadInvertsSave(t *testing.T) {
	folder := t.TempDir()
	if err := exampleCheckpoint(7).Save(folder); err != nil {
		t.Fatal(err)
	}
	got, notice, err := Load(folder)
	if err != nil || notice != "" || !reflect.DeepEqual(got, exampleCheckpoint(7)) {
		t.Errorf("read back %+v, %q, %v", got, notice, err)
	}
}

func TestLoad_FallsBackToThePreviousInWords(t *testing.T) {
	folder := t.TempDir()
	if _, _, err := Load(folder); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("empty folder: %v", err)
	}
	for _, step := range []int{5, 10} {
		if err := exampleCheckpoint(step).Save(folder); err != nil {
			t.Fatal(err)
		}
	}
	flip(t, filepath.Join(folder, CheckpointFile))
	c, notice, err := Load(folder)
	if err != nil || c.Step != 5 || !strings.Contains(notice, "checksum") || !strings.Contains(notice, "step 5") {
		t.Errorf("step %d, notice %q, %v", c.Step, notice, err)
	}
	flip(t, filepath.Join(folder, PreviousFile))
	if _, _, err := Load(folder); !misuse.Is(err) || !strings.Contains(err.Error(), CheckpointFile) {
		t.Errorf("both damaged: %v", err)
	}
	os.Remove(filepath.Join(folder, CheckpointFile))
	if _, _, err := Load(folder); !misuse.Is(err) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("one missing, one damaged: %v", err)
	}
}

func flip(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 4
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoadFile_NamesWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*safetensors.File, *Checkpoint){
		"reads version 1":     func(f *safetensors.File, _ *Checkpoint) { f.Metadata["version"] = "2" },
		"not a segnas":        func(f *safetensors.File, _ *Checkpoint) { f.Metadata["format"] = "" },
		"step \"-1\"":         func(f *safetensors.File, _ *Checkpoint) { f.Metadata["step"] = "-1" },
		"seed \"x\"":          func(f *safetensors.File, _ *Checkpoint) { f.Metadata["seed"] = "x" },
		"cannot be read":      func(f *safetensors.File, _ *Checkpoint) { f.Metadata["model"] = "{" },
		"network of 0":        func(_ *safetensors.File, c *Checkpoint) { c.Model.Network.Classes = 0 },
		"kind \"big\"":        func(_ *safetensors.File, c *Checkpoint) { c.Model.Kind = "big" },
		"without its arch":    func(_ *safetensors.File, c *Checkpoint) { c.Model.Arch = nil },
		"network \"vgg\" is":  func(_ *safetensors.File, c *Checkpoint) { c.Model.Kind, c.Model.Name = Known, "vgg" },
		"without its search":  func(_ *safetensors.File, c *Checkpoint) { c.Model.Kind = Elastic },
		"1 names":             func(_ *safetensors.File, c *Checkpoint) { c.Model.Classes.Names = []string{"road"} },
		"pictures of 0x64":    func(_ *safetensors.File, c *Checkpoint) { c.Model.Height = 0 },
		"stage 1 has stride ": func(_ *safetensors.File, c *Checkpoint) { c.Model.Network.Strides[0] = 3 },
	} {
		c := exampleCheckpoint(1)
		change(&safetensors.File{Metadata: map[string]string{}}, &c)
		f, err := c.file()
		if err != nil {
			t.Fatal(err)
		}
		change(&f, &c)
		path := filepath.Join(t.TempDir(), "x.safetensors")
		if err := safetensors.WriteFile(path, "", f); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadFile(path); !misuse.Is(err) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
