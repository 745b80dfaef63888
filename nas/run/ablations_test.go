package run

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// ablated runs one ablation and returns what it printed.
func ablated(t *testing.T, args ...string) (a Ablated) {
	t.Helper()
	var out, words bytes.Buffer
	if err := Ablate(context.Background(), args, Streams{&out, &words}); err != nil {
		t.Fatalf("%v: %v\n%s", args, err, words.String())
	}
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// withoutTimes is a result but for what the clock says.
func withoutTimes(a Ablated) string {
	for i := range a.Cells {
		a.Cells[i].Took = 0
	}
	for i := range a.Rows {
		a.Rows[i].Took = 0
	}
	text, _ := json.Marshal(a)
	return string(text)
}

func TestAblate_EveryClaimOfTheMethodInOneFolder(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains some sixty little networks")
	}
	folder := t.TempDir()
	for _, name := range []string{"headline", "redesign", "sharing", "recalibration", "clips", "rank", "evolution", "constraint", "devices", "best", "quantised"} {
		args := tinyAblation(folder, name)
		first := ablated(t, args...)
		if len(first.Rows) == 0 || len(first.Cells) != 2*len(first.Rows) {
			t.Fatalf("%s: %d rows, %d cells", name, len(first.Rows), len(first.Cells))
		}
		for _, r := range first.Rows {
			for _, c := range first.Columns[1:] {
				if v, has := r.More[c.Name]; !has || math.IsNaN(v) {
					t.Errorf("%s: %s has no %s", name, r.Variant, c.Name)
				}
			}
		}
		if name == devicesName {
			checkDevices(t, first)
		}
		if again := ablated(t, args...); withoutTimes(again) != withoutTimes(first) {
			t.Errorf("%s: repeated, it says\n%s\nwas\n%s", name, withoutTimes(again), withoutTimes(first))
		}
	}
	supernets, err := filepath.Glob(filepath.Join(folder, supernetName+"-*"))
	if err != nil || len(supernets) != 2*5 { // two seeds of: the preset's, with warm phases, without phases, naive, with bit widths
		t.Errorf("supernets %v, %v", supernets, err)
	}
	if ablated(t, tinyAblation(folder, "cost")...).Notes == nil {
		t.Error("cost says nothing of a further device, though devices were searched for")
	}
	page, err := os.ReadFile(filepath.Join(folder, reportFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"headline", "redesign", "sharing", "recalibration", "clips", "rank", "evolution", "constraint", "devices", "cost", "best", "quantised"} {
		if !strings.Contains(string(page), `id="`+name+`"`) {
			t.Errorf("the report has no section %s", name)
		}
	}
}

// checkDevices holds the networks found to their devices' limits. All are of the supernet's space, those for integers too.
func checkDevices(t *testing.T, a Ablated) {
	t.Helper()
	names := map[string]bool{}
	for _, c := range a.Cells {
		names[c.Variant] = true
		if c.Arch.IsQuantised() || c.More[predictedColumn] > c.More["limit"] {
			t.Errorf("%s: %v takes %v ms of %v", c.Variant, c.Arch, c.More[predictedColumn], c.More["limit"])
		}
	}
	isas := gobind.AvailableISAs()
	if !names["int8"] || names["avx2"] && isas[len(isas)-1] == "avx2" {
		t.Errorf("devices %v", names)
	}
}

func TestAblate_MoreSeedsLater(t *testing.T) {
	folder := t.TempDir()
	args := tinyAblation(folder, "recipe", "--only", "ema", "--seeds", "1")
	one := ablated(t, args...)
	two := ablated(t, append(args, "--seeds", "2")...)
	if len(one.Cells) != 2 || len(two.Cells) != 4 || one.Cells[0].Took != two.Cells[0].Took {
		t.Errorf("%d cells, then %d; the first took %v, then %v", len(one.Cells), len(two.Cells), one.Cells[0].Took, two.Cells[0].Took)
	}
}

func TestUnphased_TakesAsManyMultiplyAdds(t *testing.T) {
	c, err := presetOf(nil)
	if err != nil {
		t.Fatal(err)
	}
	want := 0.0
	for _, phase := range c.Shrinking {
		want += phase.WholeSteps() * c.passMACs(phase.MinDepth)
	}
	whole := c.Shrinking.Steps()
	c.unphased()
	if got := c.Shrinking[0].WholeSteps() * c.passMACs(0); math.Abs(got/want-1) > 1/float64(whole) {
		t.Errorf("%v of %v multiply-adds", got, want)
	}
	if c.Shrinking.Steps() <= whole || len(c.Shrinking) != 1 {
		t.Errorf("%d steps in %d phases: with all depths from the start, networks are smaller and steps more than %d", c.Shrinking.Steps(), len(c.Shrinking), whole)
	}
}

func TestSmallFirst_SeesAsManyPixels(t *testing.T) {
	s := train.Schedule{{Steps: 1600, LR: 1, WarmupSteps: 160}, {Steps: 400, LR: 1, SmallSteps: 400}}
	pixels := func(s train.Schedule) (n float64) {
		for step := range s.Steps() {
			n++
			if s.Small(step) {
				n -= 0.75
			}
		}
		return n
	}
	if first := smallFirst(s, 0)[1]; first.WholeSteps() != 100 || s[1].WholeSteps() != 100 {
		t.Errorf("a phase of 400 small steps sees as much as %v", s[1].WholeSteps())
	}
	for _, share := range []float64{0, 0.5, 0.75, 1} {
		got := smallFirst(s, share)
		if math.Abs(pixels(got)-pixels(s)) > 2 || got[1].SmallSteps != int(share*float64(got[1].Steps)+0.5) || got[0].WarmupSteps < 160 || s[1].Steps != 400 {
			t.Errorf("a share of %v: %v pixels of %v in %+v", share, pixels(got), pixels(s), got)
		}
	}
}

func TestHandWithin_IsTheDearestOfItsKindWithinTheLimit(t *testing.T) {
	net, sp := space.DefaultNetwork(11), space.Default()
	cost := func(a space.Arch) (float64, error) { return float64(net.MACs(a, 360, 480)), nil }
	base, _ := cost(space.Baseline())
	for _, share := range []float64{1, 1.2, 1.5} {
		l := search.Limit{Name: "macs", Max: base / share, Cost: cost}
		a, err := handWithin(sp, l)
		if err != nil {
			t.Fatal(err)
		}
		got, _ := cost(a)
		if got > l.Max || share == 1 && a != space.Baseline() {
			t.Errorf("over %v: %v of cost %v", share, a, got)
		}
		deeper := a
		deeper.Depth[2]++
		if a.Depth[2] < space.MaxDepth {
			if dear, _ := cost(space.Uniform(deeper.Depth, a.Blocks[0][0])); dear <= l.Max {
				t.Errorf("over %v: %v, though one block more is within, too", share, a)
			}
		}
	}
	if _, err := handWithin(sp, search.Limit{Name: "macs", Max: 1, Cost: cost}); err == nil {
		t.Error("no network costs 1 multiply-add")
	}
}

func TestWaitFor_WaitsForTheOther(t *testing.T) {
	path := t.TempDir()
	other, err := openFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	p := &pipeline{streams: Streams{io.Discard, io.Discard}}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := p.waitFor(ctx, path); err != context.DeadlineExceeded {
		t.Errorf("while it is in use: %v", err)
	}
	time.AfterFunc(100*time.Millisecond, func() { other.close() })
	f, err := p.waitFor(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	f.close()
}

// rankCells are networks of the given scores, with one seed after the other.
func rankCells(supernet, retrained [][]float64) *Ablated {
	a := &Ablated{Seeds: len(supernet)}
	for n := range supernet[0] {
		a.Rows = append(a.Rows, AblatedRow{Variant: string(rune('a' + n))})
	}
	for seed := range supernet {
		for n, r := range a.Rows {
			v := retrained[seed][n]
			a.Cells = append(a.Cells, cell{Variant: r.Variant, Seed: uint64(seed + 5), Score: v, More: map[string]float64{
				supernetColumn: supernet[seed][n], retrainedColumn: v, macsColumn: float64(-n),
			}})
		}
	}
	return a
}

func TestConcludeRank_CorrelatesSeedBySeed(t *testing.T) {
	up, down := []float64{1, 2, 3, 4}, []float64{4, 3, 2, 1}
	a := rankCells([][]float64{up, down}, [][]float64{up, up})
	if err := concludeRank(nil, nil, a); err != nil {
		t.Fatal(err)
	}
	rows := map[string]string{}
	for _, r := range a.Tables[0].Rows {
		rows[r[0]] = r[1]
	}
	// The supernet's taus are 1 and -1: mean 0, standard deviation sqrt 2, t(1) = 12.7062. Multiply-adds fall where the scores rise.
	for name, want := range map[string]string{supernetColumn: "0.00 ± 12.71", macsColumn: "-1.00 ± 0.00", "another seed's supernet and retraining": "1.00"} {
		if rows[name] != want {
			t.Errorf("%s: %q, want %q", name, rows[name], want)
		}
	}
}

func TestAblations_HaveNamesOfTheirOwn(t *testing.T) {
	c, err := presetOf(nil)
	if err != nil {
		t.Fatal(err)
	}
	names := ablationNames(c)
	slices.Sort(names)
	if len(slices.Compact(slices.Clone(names))) != len(names) || slices.Contains(names, reportName) {
		t.Errorf("%v", names)
	}
	for _, a := range ablations(c) {
		seen := map[string]bool{}
		for _, v := range a.variants {
			if seen[v.name] || v.score == nil && a.score == nil || len(a.columns) == 0 {
				t.Errorf("%s: variant %s", a.name, v.name)
			}
			seen[v.name] = true
		}
	}
}
