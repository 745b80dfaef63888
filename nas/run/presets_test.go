package run

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/train"
)

func TestPresets_AreValidAndSayWhatTheyAreFor(t *testing.T) {
	if n := len(Presets()); n != 3 {
		t.Errorf("%d presets", n)
	}
	for _, p := range Presets() {
		c, err := NewConfig(p.Name, ScenesData)
		if err != nil || c.Validate() != nil || c.Preset != p.Name || p.Use == "" {
			t.Errorf("%s (%s): %v, %v", p.Name, p.Use, err, c.Validate())
		}
	}
	for _, name := range []string{"fast", "../presets/camvid", "camvid.toml"} {
		if _, err := NewConfig(name, ScenesData); !misuse.Is(err) || !strings.Contains(err.Error(), "thesis-cityscapes") {
			t.Errorf("preset %s: %v", name, err)
		}
	}
}

// The supernet's phases stand in the published proportions in every preset, their rates too but for camvid's, which are one rate as measured, and the
// published preset has the published numbers.
func TestPresets_ShrinkAsPublished(t *testing.T) {
	for _, p := range Presets() {
		c, err := NewConfig(p.Name, ScenesData)
		if err != nil {
			t.Fatal(err)
		}
		s := c.Shrinking
		if len(s) != 3 || s[0].Steps != 4*s[1].Steps || s[2].Steps != 3*s[1].Steps || s[0].MinDepth != 4 || s[1].MinDepth != 3 || s[2].MinDepth != 2 {
			t.Errorf("%s: phases %+v", p.Name, s)
		}
		rates := []float64{0.045, 2.5e-3, 8e-3}
		if p.Name == "camvid" {
			rates = []float64{0.045, 0.045, 0.045}
		}
		for i, rate := range rates {
			if scale := s[i].LR / rate; scale < 0.999*s[0].LR/0.045 || scale > 1.001*s[0].LR/0.045 {
				t.Errorf("%s: phase %d has rate %g, not in proportion", p.Name, i+1, s[i].LR)
			}
		}
	}
	c, err := NewConfig("thesis-cityscapes", "x")
	if err != nil {
		t.Fatal(err)
	}
	want := search.Thesis()
	if !reflect.DeepEqual(c.Search, want) {
		t.Errorf("search %+v, published %+v", c.Search, want)
	}
	const epoch = 2801 / 12
	if c.Batch != 12 || c.Shrinking.Steps() != 2000*epoch || c.Scratch.Steps() != 1000*(2975/12) || c.Shrinking[0].LR != 0.045 || c.Optimiser.AuxWeight != 0.4 {
		t.Errorf("the published preset has %+v", c)
	}
	if c.HardPixels != (train.HardPixels{}) || c.Sandwich != (train.Sandwich{}) || c.Optimiser.Average != 0 || c.ClassUniform != 0 {
		t.Error("the published preset has options beyond the thesis")
	}
	for _, s := range c.schedules() {
		for _, phase := range *s {
			if phase.SmallSteps != 0 {
				t.Errorf("the published preset has small pictures: %+v", phase)
			}
		}
	}
}

func settingsFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConfig_AFileStandsOverThePresetAndFlagsOverTheFile(t *testing.T) {
	path := settingsFile(t, `
preset = "camvid"
data = "pictures"
batch = 3
[optimiser]
clip = 7.5
[[scratch]]
steps = 11
learning_rate = 0.5
`)
	c, err := presetOf([]string{"--config", path, "--batch", "9"})
	if err != nil {
		t.Fatal(err)
	}
	base, err := NewConfig("camvid", "pictures")
	if err != nil {
		t.Fatal(err)
	}
	want := base
	want.Batch, want.Optimiser.Clip, want.Scratch = 3, 7.5, train.Schedule{{Steps: 11, LR: 0.5}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nwant %+v", c, want)
	}
	o, err := parseSearch([]string{"--config", path, "--batch", "9", "--preset", "scenes-quick"}, Streams{io.Discard, io.Discard})
	if err != nil || o.cfg.Batch != 9 || o.cfg.Height != 128 || o.cfg.Optimiser.Clip != 7.5 {
		t.Errorf("flags over the file: %+v, %v", o.cfg, err)
	}
}

func TestConfig_AFileThatCannotBeUsedIsNamedInOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"batch = 3\nbatches = 4":             `no setting "batches"`,
		"batch = \"many\"":                   "batch is a string",
		"batch = ":                           "line 1",
		"preset = \"fast\"":                  "preset",
		"[optimiser]\nmomentums = 1":         `no setting "momentums"`,
		"[[scratch]]\nsteps = 1.5":           "steps",
		"space = \"k3 e3\"":                  "search space",
		"[[shrinking]]\nsteps = 4\nrate = 1": `no setting "rate"`,
	} {
		path := settingsFile(t, text)
		_, err := presetOf([]string{"--config", path})
		if !misuse.Is(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v; wanted %q in one line", text, err, want)
		}
	}
	if _, err := presetOf([]string{"--config", "nowhere.toml"}); !misuse.Is(err) || !strings.Contains(err.Error(), "nowhere.toml") {
		t.Errorf("a missing file: %v", err)
	}
}

// What --print-config prints is the same settings again.
func TestConfig_PrintedSettingsReadBackAreTheSame(t *testing.T) {
	for _, p := range Presets() {
		args := []string{"--preset", p.Name, "--print-config", "--seed", "9223372036854775807", "--sandwich", "4", "--distill", "0.5", "--ema", "0.99",
			"--ohem", "0.7", "--decay", "cosine", "--warmup-steps", "5", "--limit-like", "hand", "--micro-batch", "2", "--scales", "0.5:1.5"}
		var out bytes.Buffer
		if err := Search(context.Background(), args, Streams{&out, io.Discard}); err != nil {
			t.Fatal(err)
		}
		path := settingsFile(t, out.String())
		asked, err := parseSearch(args, Streams{io.Discard, io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		read, err := presetOf([]string{"--config", path})
		if err != nil {
			t.Fatalf("%s: %v\n%s", p.Name, err, out.String())
		}
		want, _ := json.Marshal(asked.cfg)
		got, _ := json.Marshal(read)
		if string(got) != string(want) {
			t.Errorf("%s: printed and read\n%s\nasked\n%s", p.Name, got, want)
		}
	}
}

func TestConfig_ASeedThatNoFileHoldsIsNotPrintedWrong(t *testing.T) {
	var out bytes.Buffer
	err := Search(context.Background(), []string{"--print-config", "--seed", "18446744073709551615"}, Streams{&out, io.Discard})
	if !misuse.Is(err) || out.Len() > 0 {
		t.Errorf("%v, printed %q", err, out.String())
	}
}

func FuzzConfig_NeverPanicsAndRefusesInOneLine(f *testing.F) {
	f.Add("batch = 3")
	f.Add("[[scratch]]\nsteps = 4\nlearning_rate = 1e-3")
	f.Add("[search]\npool = [1,2]")
	f.Fuzz(func(t *testing.T, text string) {
		s := settings{Config: common()}
		if err := s.merge("file", []byte(text)); err != nil && !misuse.Is(err) {
			t.Errorf("%q: %v", text, err)
		}
	})
}
