package run

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/search"
)

func TestSearch_ParetoFindsAFrontAndThePredictorSaysHowGoodItIs(t *testing.T) {
	first, folder := copied(t), t.TempDir()
	stdout, stderr := output(t, Search, "--threads", "2", "--from", first, "--out", folder, "--pareto", "3", "--predictor", "--predictor-least", "-1",
		"--population", "6", "--mutants", "3", "--crosses", "3", "--pool", "4", "--generations", "5")
	var r Result
	if err := readJSON(filepath.Join(folder, resultFile), &r); err != nil {
		t.Fatal(err)
	}
	f := r.Front
	if f == nil || len(f.Networks) == 0 || len(f.LimitsMS) != 3 || f.LimitsMS[2] != f.MostMS || !(f.LeastMS < f.LimitsMS[0]) || !(f.Hypervolume > 0 && f.Hypervolume < 1) {
		t.Fatalf("front %+v", f)
	}
	for i, n := range f.Networks {
		if n.PredictedMS < f.LeastMS || n.PredictedMS > f.MostMS || n.MACs <= 0 || n.Params <= 0 {
			t.Errorf("%+v lies outside %v to %v ms", n, f.LeastMS, f.MostMS)
		}
		if i > 0 && (n.PredictedMS <= f.Networks[i-1].PredictedMS || n.MIoU <= f.Networks[i-1].MIoU) {
			t.Errorf("network %d does not go beyond the one before", i+1)
		}
		if !strings.Contains(stdout, n.Arch.String()) {
			t.Errorf("stdout lacks %v", n.Arch)
		}
	}
	all := scoresIn(t, folder)
	if got := search.Hypervolume(all, predictedMS, f.LeastMS, f.MostMS); got != f.Hypervolume {
		t.Errorf("hypervolume %v, of the trace %v", f.Hypervolume, got)
	}
	if all[2].Costs[latencyLimit] != f.LeastMS || all[2].Origin != search.Given {
		t.Errorf("the fastest network is not among the first: %+v", all[:3])
	}
	// It takes 20 networks: 7 are known before the first generation, and 24 and more before the last.
	if g := r.Generations; g[0].Predictor != nil || g[4].Predictor == nil || !g[4].Predictor.Used || g[4].Predictor.Networks < 24 {
		t.Errorf("generations %+v", g)
	}
	report, err := os.ReadFile(filepath.Join(folder, reportFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"looked for a front at 3 latencies", "before generation 5: Spearman"} {
		if !strings.Contains(string(report), want) {
			t.Errorf("the report lacks %q", want)
		}
	}
	if want := fmt.Sprintf("space: %.2g networks: latency %.4g to ", float64(r.Space.Networks), f.LeastMS); !strings.Contains(stderr, want) || r.Space.Draws != 1000 {
		t.Errorf("stderr lacks %q:\n%s", want, stderr)
	}
}

func TestProfile_ExportsAndImportsOnceForAllsTables(t *testing.T) {
	_, table := reference(t)
	path := filepath.Join(t.TempDir(), "table.yaml")
	size := []string{"--size", "32x64", "--classes", "19"}
	printed, _ := output(t, Profile, append(size, "--threads", "2", "--table", table, "--export-ofa", path)...)
	imported, _ := output(t, Profile, append(size, "--import-ofa", path)...)
	predictions := func(text string) (list []string) {
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "predicted ") || strings.HasPrefix(line, "space ") {
				list = append(list, line)
			}
		}
		return list
	}
	if want := predictions(printed); len(want) != 3 || !slices.Equal(predictions(imported), want) {
		t.Errorf("the table predicts\n%s\nimported,\n%s", printed, imported)
	}
	text, _ := output(t, Profile, append(size, "--import-ofa", path, "--json")...)
	var i Imported
	if err := json.Unmarshal([]byte(text), &i); err != nil || i.Rows != 36 || !strings.HasPrefix(i.Conditions, "unknown") || i.BaselineMS <= 0 || i.HandMS <= 0 {
		t.Errorf("--json printed %s (%v)", text, err)
	}
	requireMisuse(t, Profile, append(size, "--import-ofa", table), table+":1: ")
	requireMisuse(t, Profile, []string{"--import-ofa", path, "--size", "64x64"}, "has no entry")
	requireMisuse(t, Profile, append(size, "--import-ofa", path, "--verify", "3"), "leave out")
	requireMisuse(t, Profile, append(size, "--threads", "2", "--table", table, "--export-ofa", filepath.Join(path, "x")), "--export-ofa: ")
	requireMisuse(t, Search, tiny("--pareto", "-1"), "latencies of a front is -1")
	requireMisuse(t, Search, tiny("--out", t.TempDir(), "--predictor", "--predictor-least", "2"), "rank correlation of 2")
}
