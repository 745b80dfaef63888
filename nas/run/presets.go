package run

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"

	"github.com/BurntSushi/toml"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// ScenesData is the name of the built-in data set of drawn street scenes.
const ScenesData = "scenes"

// Preset is a named set of settings for a kind of task: a file in presets/.
type Preset struct {
	Name string
	Use  string // one line on what it is for
}

//go:embed presets/*.toml
var presetFiles embed.FS

// settings is what a file of settings holds, under the names of config.json: those of Config, and what the file is for.
type settings struct {
	Use string `json:"use,omitempty"`
	Config
}

// Presets lists all presets. A preset that cannot be read is a broken build: it panics.
func Presets() []Preset {
	entries, err := presetFiles.ReadDir("presets")
	if err != nil {
		panic(err)
	}
	var all []Preset
	for _, e := range entries {
		name := strings.TrimSuffix(e.Name(), ".toml")
		s, err := readPreset(name)
		if err != nil {
			panic(err)
		}
		all = append(all, Preset{name, s.Use})
	}
	return all
}

func presetNames() string {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// readPreset reads a preset over the method's own choices; a name that is not known is fs.ErrNotExist.
func readPreset(name string) (settings, error) {
	s := settings{Config: common()}
	text, err := presetFiles.ReadFile("presets/" + name + ".toml")
	if err != nil {
		return s, err
	}
	err = s.merge("preset "+name, text)
	s.Preset = name
	return s, err
}

// NewConfig returns a preset's settings. An empty name is the default for the data.
func NewConfig(preset, data string) (Config, error) {
	if preset == "" {
		preset = "camvid"
		if data == ScenesData {
			preset = "scenes-quick"
		}
	}
	s, err := readPreset(preset)
	if errors.Is(err, fs.ErrNotExist) || strings.ContainsAny(preset, `/\`) {
		return Config{}, misuse.Errorf("preset %q is not known; there are %s", preset, presetNames())
	}
	s.Data = data
	return s.Config, err
}

// common returns what the presets share: the method's own choices.
func common() Config {
	net := space.DefaultNetwork(1)
	c := Config{
		Format: "auto", Seed: 1, Strides: net.Strides, Widths: net.Widths, Space: space.Default(), Supernet: train.Elastic,
		Limits: Limits{Margin: 0.03}, Scenes: ScenesSize{Train: 512, Validation: 32, Test: 64},
	}
	c.Search.MaxTries = 10_000
	return c
}

// readSettings reads a file of the user's: the settings of the preset that it names (or, without one, of the given preset or the data's default),
// and its own over them.
func readSettings(path, preset, data string) (Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return Config{}, misuse.Errorf("--config: %w", err)
	}
	var named struct{ Preset, Data string }
	if _, err := toml.Decode(string(text), &named); err != nil {
		return Config{}, misuse.Errorf("%s: %w", path, err)
	}
	if preset == "" {
		preset = named.Preset
	}
	if data == "" {
		data = named.Data
	}
	if data == "" {
		data = ScenesData
	}
	c, err := NewConfig(preset, data)
	if err != nil {
		return c, err
	}
	s := settings{Config: c}
	err = s.merge(path, text)
	s.Preset, s.Data = c.Preset, data
	return s.Config, err
}

// merge sets what a TOML text sets and keeps the rest. Tables are merged key by key, lists replaced. Errors are misuse and name the setting.
func (s *settings) merge(name string, text []byte) error {
	given := map[string]any{}
	if _, err := toml.Decode(string(text), &given); err != nil {
		return misuse.Errorf("%s: %w", name, err)
	}
	s.forgetLists(given)
	plain, err := json.Marshal(given)
	if err != nil {
		return misuse.Errorf("%s: %w", name, err)
	}
	reader := json.NewDecoder(bytes.NewReader(plain))
	reader.DisallowUnknownFields()
	err = reader.Decode(s)
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind):
		return misuse.Errorf("%s: %s is a %s; a value of Go's type %v is needed", name, strings.TrimPrefix(kind.Field, "Config."), kind.Value, kind.Type)
	case strings.Contains(err.Error(), "unknown field"):
		_, field, _ := strings.Cut(err.Error(), "unknown field ")
		return misuse.Errorf("%s: there is no setting %s; --print-config lists all", name, field)
	}
	return misuse.Errorf("%s: %w", name, err)
}

// forgetLists empties the lists that the text gives, since JSON would merge their elements with those that stood there.
func (s *settings) forgetLists(given map[string]any) {
	for name, list := range map[string]*train.Schedule{"shrinking": &s.Shrinking, "scratch": &s.Scratch, "retrain": &s.Retrain, "trial": &s.Trial} {
		if _, found := given[name]; found {
			*list = nil
		}
	}
}

// TOML returns all settings as the text of a file for --config.
func (c Config) TOML() (string, error) {
	if c.Seed > math.MaxInt64 {
		return "", misuse.Errorf("seed %d: a file of settings takes seeds up to %d", c.Seed, int64(math.MaxInt64))
	}
	plain, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	all := map[string]any{}
	reader := json.NewDecoder(bytes.NewReader(plain))
	reader.UseNumber() // whole numbers stay whole
	if err := reader.Decode(&all); err != nil {
		return "", err
	}
	if search, ok := all["search"].(map[string]any); ok { // a run sets these itself
		delete(search, "seed")
		delete(search, "fingerprint")
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# Settings of segnas, preset %s; all of them can be changed, or left out for the preset's.\n", c.Preset)
	encoder := toml.NewEncoder(&text)
	encoder.Indent = ""
	if err := encoder.Encode(all); err != nil {
		return "", fmt.Errorf("settings as TOML: %w", err)
	}
	return text.String(), nil
}
