package run

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func TestRowOf_ComparesSeedBySeed(t *testing.T) {
	cells := []cell{
		{Variant: "a", Seed: 1, Score: 0.40}, {Variant: "b", Seed: 1, Score: 0.42},
		{Variant: "a", Seed: 2, Score: 0.50}, {Variant: "b", Seed: 2, Score: 0.51},
		{Variant: "a", Seed: 3, Score: 0.60}, {Variant: "b", Seed: 3, Score: 0.63},
	}
	r := rowOf(variant{name: "b"}, "a", cells)
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-4 }
	// Differences 0.02, 0.01, 0.03: mean 0.02, standard deviation 0.01, t(2) = 4.3027.
	if !near(r.Mean, 0.52) || !near(r.Difference, 0.02) || !near(r.Error, 4.3027*0.01/math.Sqrt(3)) {
		t.Errorf("%+v", r)
	}
	if first := rowOf(variant{name: "a"}, "a", cells); first.Difference != 0 || first.Error != 0 || !near(first.SD, 0.1) {
		t.Errorf("the first variant: %+v", first)
	}
}

func tinyAblation(out string, more ...string) []string {
	return append([]string{
		"--threads", "2", "--size", "32x64", "--batch", "2", "--supernet-steps", "4", "--scratch-steps", "2", "--train-scenes", "6", "--search-scenes", "2",
		"--test-scenes", "1", "--recalibration-batches", "1", "--retrain-steps", "2", "--trial-steps", "1", "--table-rounds", "10", "--final-rounds", "2",
		"--population", "4", "--pool", "2", "--mutants", "1", "--crosses", "1", "--generations", "2", "--seeds", "2", "--json", "--out", out,
	}, more...)
}

func TestAblate_TrainsEveryVariantAndSeedOnceAndGoesOn(t *testing.T) {
	for name, only := range map[string]string{"recipe": "cosine,ema", "supernet": "distill"} {
		folder := t.TempDir()
		args := tinyAblation(folder, name, "--only", only)
		var out, again bytes.Buffer
		if err := Ablate(context.Background(), args, Streams{&out, io.Discard}); err != nil {
			t.Fatal(err)
		}
		var result Ablated
		if err := json.Unmarshal(out.Bytes(), &result); err != nil {
			t.Fatal(err)
		}
		if want := 1 + strings.Count(only, ",") + 1; len(result.Rows) != want || len(result.Cells) != 2*want {
			t.Errorf("%s: %d rows, %d cells", name, len(result.Rows), len(result.Cells))
		}
		missing := filepath.Join(folder, name, result.Rows[1].Variant+"-2")
		if err := os.RemoveAll(missing); err != nil {
			t.Fatal(err)
		}
		if err := Ablate(context.Background(), args, Streams{&again, io.Discard}); err != nil {
			t.Fatal(err)
		}
		var repeated Ablated
		if err := json.Unmarshal(again.Bytes(), &repeated); err != nil {
			t.Fatal(err)
		}
		for i, c := range result.Cells {
			if r := repeated.Cells[i]; r.Score != c.Score || r.Variant != c.Variant || r.Seed != c.Seed {
				t.Errorf("%s: cell %d is %+v, was %+v", name, i, r, c)
			}
		}
		if _, err := os.Stat(filepath.Join(missing, resultFile)); err != nil {
			t.Errorf("%s: what was missing was not trained again: %v", name, err)
		}
		if err := Ablate(context.Background(), append(args, "--batch", "3"), Streams{io.Discard, io.Discard}); !misuse.Is(err) {
			t.Errorf("other settings in the same folder: %v", err)
		}
	}
}

func TestAblate_RefusesWhatIsNotThere(t *testing.T) {
	for _, args := range [][]string{{}, {"report", "--out", t.TempDir()}, {"everything"}, {"recipe", "supernet"}, {"recipe", "--only", "magic"}, {"recipe", "--seeds", "0"}} {
		if err := Ablate(context.Background(), args, Streams{io.Discard, io.Discard}); !misuse.Is(err) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
