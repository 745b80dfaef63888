package latency

import (
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

func writeRows(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "table.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOFA_AnImportedTablePredictsAsTheExportedOne(t *testing.T) {
	for seed := range uint64(3) {
		d := noisy(seed)
		table := fill(t, filepath.Join(t.TempDir(), "table.jsonl"), d, quick())
		want, err := table.Predictor()
		if err != nil {
			t.Fatal(err)
		}
		text, err := table.ExportOFA()
		if err != nil {
			t.Fatal(err)
		}
		s := d.setup()
		got, rows, err := ImportOFA(writeRows(t, string(text)), s.Network, s.H, s.W)
		if err != nil || rows != len(table.Entries())+2 {
			t.Fatalf("%d rows of %d entries: %v", rows, len(table.Entries()), err)
		}
		if got.Setup().Identity != (Identity{}) {
			t.Errorf("the imported table claims to know its device: %+v", got.Setup().Identity)
		}
		rng := rand.New(rand.NewPCG(seed, 3))
		for range 200 {
			a := space.Default().Sample(rng)
			for name, of := range map[string]func(*Predictor) (float64, error){
				"whole":  func(p *Predictor) (float64, error) { return p.Predict(a) },
				"blocks": func(p *Predictor) (float64, error) { return p.PredictSearched(a) },
			} {
				was, err := of(want)
				is, err2 := of(got)
				if err != nil || err2 != nil || math.Abs(is/was-1) > 1e-7 {
					t.Fatalf("%s of %v: %v ms became %v (%v, %v)", name, a, was, is, err, err2)
				}
			}
		}
		if _, err := got.PredictEnergy(space.Baseline()); err == nil {
			t.Error("an imported table predicts an energy that nobody measured")
		}
	}
}

func TestOFA_ReadsTheRowsOfTheTablesThatPeopleHave(t *testing.T) {
	rows, err := parseOFA("t", []byte("# a comment\n---\n\n"+
		"expanded_conv-input:7x7x192-output:7x7x320-expand:6-kernel:5-stride:1-idskip:0: {count: 31, mean: 1.25, var: 0.0625}\r\n"+
		"expanded_conv-input:45x60x64-output:23x30x96-expand:3-kernel:3-stride:2-idskip:0: {mean: 0.5}  \n"+
		"expanded_conv-input:45x60x64-output:45x60x64-expand:4-kernel:7-stride:1-idskip:1: {var: 1e-3, mean: 2e-1, count: 4}"))
	if err != nil {
		t.Fatal(err)
	}
	want := []ofaRow{
		{"block 7x7x192-7x7x320 e6 k5 s1", 31, 1.25, 0.0625},
		{"block 45x60x64-23x30x96 e3 k3 s2", 0, 0.5, 0},
		{"block 45x60x64-45x60x64 e4 k7 s1 res", 4, 0.2, 0.001},
	}
	if len(rows) != 3 || rows[0] != want[0] || rows[1] != want[1] || rows[2] != want[2] {
		t.Errorf("%+v, want %+v", rows, want)
	}
}

func TestOFA_RefusesWhatItCannotUseByLine(t *testing.T) {
	const good = "expanded_conv-input:7x7x192-output:7x7x320-expand:6-kernel:5-stride:1-idskip:0: {count: 31, mean: 1.25, var: 0.1}\n"
	block := func(old, new string) string { return good + strings.Replace(good, old, new, 1) }
	for text, want := range map[string]string{
		good + good: ":2: the row stands in line 1 already",
		good + "Conv-input:224x224x3-output:112x112x32: {mean: 1}\n": `:2: a row of kind "Conv"; expanded_conv, stem,`,
		good + "Logits-input:7x7x1280-output:1000: {mean: 1}\n":      `:2: a row of kind "Logits"`,
		block("-idskip:0", "-idskip:0-se:1-hs:0"):                    ":2: ",
		block("expand:6", "expand:384"):                              "(tables for MobileNetV3",
		block("expand:6", "expand:06"):                               `"expand:06" is not its expand`,
		block("kernel:5", "kernel:4"):                                "a kernel of 4",
		block("stride:1", "stride:3"):                                "a stride of 3",
		block("output:7x7", "output:7x8"):                            "an output of 7x8; with stride 1 it is 7x7",
		block("idskip:0", "idskip:1"):                                "an idskip of 1",
		block("7x7x192", "7x192"):                                    `"input:7x192" is not its input`,
		block("input", "in"):                                         `"in:7x7x192" is not its input`,
		block("1.25", "-1"):                                          "nothing below 0",
		block("1.25", "NaN"):                                         "with numbers",
		block("mean: 1.25", "median: 1.25"):                          "with a mean",
		block("mean: 1.25", "mean: 1.25, mean: 2"):                   "with numbers",
		block("count: 31", "count: 3.5"):                             "with a mean",
		block("{", ""):                                               "should read {count",
		good + "expanded_conv:\n  mean: 1\n":                         "is no row",
		"":                                                           "holds no row",
		"# nothing\n":                                                "holds no row",
	} {
		path := writeRows(t, text)
		_, _, err := ImportOFA(path, space.DefaultNetwork(19), 90, 120)
		if !misuse.Is(err) || !strings.HasPrefix(err.Error(), path+":") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, _, err := ImportOFA(filepath.Join(t.TempDir(), "none"), space.DefaultNetwork(19), 90, 120); !misuse.Is(err) {
		t.Errorf("no such file: %v", err)
	}
	p, rows, err := ImportOFA(writeRows(t, good), space.DefaultNetwork(19), 90, 120)
	if err != nil || rows != 1 {
		t.Fatal(rows, err)
	}
	if _, err := p.Predict(space.Baseline()); !misuse.Is(err) || !strings.Contains(err.Error(), `has no entry "stem 90x120x3-`) {
		t.Errorf("a table that lacks the stem: %v", err)
	}
}

func FuzzParseOFA(f *testing.F) {
	f.Add("expanded_conv-input:7x7x192-output:7x7x320-expand:6-kernel:5-stride:1-idskip:0: {count: 31, mean: 1.25, var: 0.1}\n")
	f.Add("stem-input:90x120x3-output:12x15x64: {mean: 1}\nintercept-input:90x120x3-output:90x120x19: {count: 7, mean: -0.01, var: 0}")
	f.Add("Conv-input:1: {}\n")
	f.Fuzz(func(t *testing.T, text string) {
		rows, err := parseOFA("file", []byte(text))
		if err != nil {
			if !misuse.Is(err) || rows != nil || !strings.HasPrefix(err.Error(), "file:") {
				t.Fatalf("%v with %v", err, rows)
			}
			return
		}
		seen := map[string]bool{}
		for _, r := range rows {
			if r.key == "" || seen[r.key] || math.IsNaN(r.mean) || math.IsInf(r.mean, 0) || r.count < 0 || r.variance < 0 {
				t.Fatalf("%+v", r)
			}
			seen[r.key] = true
		}
	})
}
