package search

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// traced returns a finished search of 24 networks in 3 generations: its settings, trace and result.
func traced(t testing.TB, seed uint64) (cfg Config, text []byte, result *Result) {
	t.Helper()
	cfg = Config{Population: 8, Pool: 4, Mutants: 4, Crosses: 4, Generations: 3, MutateProb: 0.2, MaxTries: 1000, Seed: seed}
	cfg.TracePath = filepath.Join(t.TempDir(), "trace.jsonl")
	cfg.Fingerprint = "weights 1"
	result = timeless(mustRun(t, cfg, space.Default(), newOracle(randomArch(6)), macs(40), params(0.9)))
	text, err := os.ReadFile(cfg.TracePath)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, text, result
}

// resume runs the search of traced again over a trace of the given text.
func resume(t testing.TB, cfg Config, text []byte, limits ...Limit) (*Result, *oracle, error) {
	t.Helper()
	if err := os.WriteFile(cfg.TracePath, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if limits == nil {
		limits = []Limit{macs(40), params(0.9)}
	}
	o := newOracle(randomArch(6))
	r, err := Run(context.Background(), cfg, space.Default(), o, limits)
	return r, o, err
}

func readAll(t testing.TB, path string) []Evaluation {
	t.Helper()
	h, all, err := ReadTrace(path)
	if err != nil {
		t.Fatal(err)
	}
	if h.Trace != traceName || h.Config.Fingerprint != "weights 1" || len(h.Limits) != 2 || h.Space.String() != space.Default().String() {
		t.Fatalf("header %+v", h)
	}
	for i := range all {
		all[i].Seconds = 0
	}
	return all
}

func TestTrace_HoldsTheResult(t *testing.T) {
	cfg, text, want := traced(t, 1)
	if all := readAll(t, cfg.TracePath); !reflect.DeepEqual(all, want.All) {
		t.Error("the trace and the result differ")
	}
	for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		if !json.Valid(line) || !strings.Contains(string(line), `"crc":"`) {
			t.Errorf("line %d: %s", i+1, line)
		}
	}
}

func TestTrace_KilledAnywhereEndsTheSame(t *testing.T) {
	cfg, text, want := traced(t, 2)
	start := 0
	for n, line := range bytes.SplitAfter(text, []byte("\n")) {
		for _, cut := range []int{0, 1, len(line) / 2, len(line) - 1} {
			if cut < 0 || cut > 0 && cut >= len(line) {
				continue
			}
			r, o, err := resume(t, cfg, text[:start+cut])
			if err != nil {
				t.Fatalf("killed in line %d: %v", n+1, err)
			}
			finished := max(0, n-1) // the first line is the header
			if r.Replayed != finished || len(o.seen) != len(want.All)-finished {
				t.Errorf("killed in line %d: %d replayed, %d evaluated", n+1, r.Replayed, len(o.seen))
			}
			if !reflect.DeepEqual(timeless(r), want) || !reflect.DeepEqual(readAll(t, cfg.TracePath), want.All) {
				t.Errorf("killed in line %d: other end", n+1)
			}
			if got, err := os.ReadFile(cfg.TracePath); err != nil || !bytes.HasPrefix(got, text[:start]) {
				t.Errorf("killed in line %d: finished lines were written again (%v)", n+1, err)
			}
		}
		start += len(line)
	}
}

func TestTrace_AnyFlippedByteIsNamed(t *testing.T) {
	cfg, text, _ := traced(t, 3)
	text = bytes.Join(bytes.SplitAfter(text, []byte("\n"))[:8], nil)
	lines := 1
	for i := range text[:len(text)-1] {
		damaged := bytes.Clone(text)
		damaged[i] ^= 1
		_, _, _, err := parseTrace(cfg.TracePath, damaged)
		if want := fmt.Sprintf("%s: line %d ", cfg.TracePath, lines); err == nil || !misuse.Is(err) || !strings.HasPrefix(err.Error(), want) {
			t.Fatalf("byte %d flipped: %v, want %q", i, err, want)
		}
		if text[i] == '\n' {
			lines++
		}
	}
	damaged := bytes.Clone(text)
	damaged[len(text)/2] ^= 4
	if _, o, err := resume(t, cfg, damaged); !misuse.Is(err) || len(o.seen) != 0 {
		t.Errorf("a damaged trace was resumed: %v", err)
	}
	if now, err := os.ReadFile(cfg.TracePath); err != nil || !bytes.Equal(now, damaged) {
		t.Error("a refused trace was changed")
	}
}

func TestTrace_LinesMissingSwappedOrExtraAreRefused(t *testing.T) {
	cfg, text, _ := traced(t, 4)
	lines := bytes.SplitAfter(text, []byte("\n"))
	join := func(parts ...[][]byte) []byte {
		var all [][]byte
		for _, p := range parts {
			all = append(all, p...)
		}
		return bytes.Join(all, nil)
	}
	for name, c := range map[string]struct {
		text []byte
		want string
	}{
		"missing":    {join(lines[:20], lines[21:]), "line 21 holds"},
		"swapped":    {join(lines[:20], lines[21:22], lines[20:21], lines[22:]), "line 21 holds"},
		"repeated":   {join(lines[:20], lines[19:]), "line 21 holds"},
		"extra":      {join(lines[:25], lines[24:25]), "goes on for 1 lines"},
		"no header":  {join(lines[1:]), "line 1 is not the start"},
		"header two": {join(lines[:1], lines), "line 2 is not an evaluation"},
	} {
		_, o, err := resume(t, cfg, c.text)
		if !misuse.Is(err) || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), cfg.TracePath) || len(o.seen) != 0 {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestTrace_OfAnotherSearchIsRefused(t *testing.T) {
	cfg, text, _ := traced(t, 5)
	for _, c := range []struct {
		change func(*Config)
		limits []Limit
		want   string
	}{
		{func(c *Config) { c.Seed = 9 }, nil, "made with seed 5, this search has seed 9"},
		{func(c *Config) { c.Pool = 5 }, nil, "made with pool 4, this search has pool 5"},
		{func(c *Config) { c.MutateProb = 0.5 }, nil, "mutation probability 0.2"},
		{func(c *Config) { c.Random = true }, nil, "random search false"},
		{func(c *Config) { c.Fingerprint = "weights 2" }, nil, `fingerprint "weights 1", this search has fingerprint "weights 2"`},
		{func(*Config) {}, []Limit{macs(41), params(0.9)}, "limit macs <= 40 M, this search has limit macs <= 41 M"},
		{func(*Config) {}, []Limit{macs(40)}, "limit params <= 0.9 M, this search has limit none"},
	} {
		other := cfg
		c.change(&other)
		_, o, err := resume(t, other, text, c.limits...)
		if !misuse.Is(err) || !strings.Contains(err.Error(), c.want) || len(o.seen) != 0 {
			t.Errorf("%v, want %q", err, c.want)
		}
	}
}

func TestTrace_OfOtherCostsIsRefused(t *testing.T) {
	cfg, text, _ := traced(t, 6)
	slower := macs(40)
	fast := slower.Cost
	slower.Cost = func(a space.Arch) (float64, error) {
		v, err := fast(a)
		return v + 1e-9, err
	}
	if _, _, err := resume(t, cfg, text, slower, params(0.9)); !misuse.Is(err) || !strings.Contains(err.Error(), "line 2 gives") {
		t.Errorf("other costs: %v", err)
	}
}

func TestTrace_ForeignFilesStayUntouched(t *testing.T) {
	cfg, _, _ := traced(t, 7)
	for _, text := range []string{"precious notes", "precious notes\n", "{\n", "{}\n"} {
		if _, _, err := resume(t, cfg, []byte(text)); !misuse.Is(err) || !strings.HasPrefix(err.Error(), cfg.TracePath) {
			t.Errorf("%q: %v", text, err)
		}
		if now, err := os.ReadFile(cfg.TracePath); err != nil || string(now) != text {
			t.Errorf("%q became %q", text, now)
		}
	}
	cfg.TracePath = t.TempDir()
	if _, err := Run(context.Background(), cfg, space.Default(), newOracle(randomArch(1)), nil); !misuse.Is(err) {
		t.Errorf("a folder as trace: %v", err)
	}
	if _, _, err := ReadTrace(filepath.Join(cfg.TracePath, "none")); !misuse.Is(err) {
		t.Errorf("no such trace: %v", err)
	}
}

func FuzzParseTrace(f *testing.F) {
	_, text, _ := traced(f, 8)
	f.Add(text[:bytes.IndexByte(text, '\n')+20], false)
	f.Add([]byte(`{"generation":0,"arch":"k3e6_k3e6_k3e6"}`), true)
	f.Add([]byte("{}\n{}"), false)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		if signed { // a body that would never get past the checksum by chance
			header, err := sign(newHeader(small(1), space.Default(), nil))
			if err != nil || len(data) < 2 {
				return
			}
			data = append(header, signBody(data)...)
		}
		h, evaluations, size, err := parseTrace("trace", data)
		if err != nil {
			if !misuse.Is(err) || h != nil || evaluations != nil || size != 0 {
				t.Fatalf("%v with %v %v %d", err, h, evaluations, size)
			}
			return
		}
		if size > len(data) || bytes.IndexByte(data[size:], '\n') >= 0 || (size > 0) != (h != nil) {
			t.Fatalf("%d of %d bytes taken, header %v", size, len(data), h)
		}
	})
}
