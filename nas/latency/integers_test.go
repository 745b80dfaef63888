package latency

import (
	"context"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// fewBits is the default space with the method's bit widths.
func fewBits() space.Space {
	sp := space.Default()
	sp.Bits = []uint8{4, 6, 8}
	return sp
}

// integers is a noisy device that runs networks with bit widths in integers.
func integers(seed uint64) *fakeDevice {
	d := noisy(seed)
	d.id.Precision = Integers
	return d
}

func TestIntegers_PredictNetworksWithTheirBitWidths(t *testing.T) {
	d, sp := integers(11), fewBits()
	table, err := Open(filepath.Join(t.TempDir(), "table.jsonl"), d.setup())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Fill(context.Background(), d, sp, Options{}); err != nil {
		t.Fatal(err)
	}
	for a := range d.opens { // all but one have bit widths
		if !a.IsQuantised() && a != space.Baseline() {
			t.Errorf("%v was measured", a)
		}
	}
	if missing := table.Missing(sp); len(missing) > 0 || d.open != 0 {
		t.Errorf("%d networks are open, and after filling %v are missing", d.open, missing)
	}
	v, err := Verify(context.Background(), d, table, sp, 20, rand.New(rand.NewPCG(3, 3)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if v.Whole.MAPE > 0.015 || v.Whole.Spearman < 0.98 || v.Whole.Within5 < 1 {
		t.Errorf("%+v", v.Whole)
	}
	p, err := table.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	for i, pt := range v.Points {
		if !pt.Arch.IsQuantised() {
			t.Errorf("network %d to verify is %v", i, pt.Arch)
		}
	}
	few, many := space.Baseline().Quantised(space.Bits{W: 4, A: 4}), space.Baseline().Quantised(space.Bits{W: 8, A: 8})
	a, err := p.Predict(few)
	b, err2 := p.Predict(many)
	fewTime, _ := d.trueTotal(few)
	manyTime, _ := d.trueTotal(many)
	if want := milliseconds(fewTime) / milliseconds(manyTime); err != nil || err2 != nil || math.Abs(a/b/want-1) > 0.02 {
		t.Errorf("the baseline at 4 bits takes %v of 8 bits, want %v; %v, %v", a/b, want, err, err2)
	}
	if float, err := p.Predict(space.Baseline()); err != nil || float == b {
		t.Errorf("the baseline in floating point takes %v ms, at 8 bits %v, %v", float, b, err)
	}
	if _, err := p.Predict(space.HandScaled()); !misuse.Is(err) {
		t.Errorf("another network in floating point: %v", err)
	}
	if _, err := table.ExportOFA(); !misuse.Is(err) {
		t.Errorf("exported in a form that has no bit widths: %v", err)
	}
}

// A device without sessions in integers measures and predicts what the networks are in floating point.
func TestIntegers_ElsewhereBitWidthsCountForNothing(t *testing.T) {
	d, sp := noisy(12), fewBits()
	table, err := Open(filepath.Join(t.TempDir(), "table.jsonl"), d.setup())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Fill(context.Background(), d, sp, quick()); err != nil {
		t.Fatal(err)
	}
	if missing := table.Missing(space.Default()); len(missing) > 0 || len(table.Entries()) != len(fill(t, filepath.Join(t.TempDir(), "t.jsonl"), noisy(12), quick()).Entries()) {
		t.Errorf("%d entries, %v are missing", len(table.Entries()), missing)
	}
	p, err := table.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	a := space.HandScaled()
	want, err := p.Predict(a)
	if got, err2 := p.Predict(a.Quantised(space.Bits{W: 4, A: 8})); err != nil || err2 != nil || got != want {
		t.Errorf("with bit widths %v ms, without %v; %v, %v", got, want, err2, err)
	}
	ms, _, err := MeasureNetworks(context.Background(), d, d.setup(), []space.Arch{sp.Largest(), a}, quick())
	if err != nil || ms[0].Arch != sp.Largest() || ms[1].Arch != a {
		t.Errorf("%+v, %v", ms, err)
	}
	for opened := range d.opens {
		if opened.IsQuantised() {
			t.Errorf("%v was opened", opened)
		}
	}
}

func TestIntegers_TablesAreNotMixedUp(t *testing.T) {
	float, d := newFake(), newFake()
	d.id.Precision = Integers
	path := filepath.Join(t.TempDir(), "table.jsonl")
	fill(t, path, float, quick())
	if _, err := Open(path, d.setup()); !misuse.Is(err) || !strings.Contains(err.Error(), "2 threads, int8") {
		t.Errorf("a table in floating point is taken for one in integers: %v", err)
	}
}

func TestEffort_GrowsLessThanTheNetworks(t *testing.T) {
	for _, c := range []struct {
		bits                   []uint8
		rounds, networks, each int
	}{
		{nil, 30, 6 + 1, 30}, // the baseline is less deep than those that cover
		{[]uint8{8}, 30, 6 + 2, 30},
		{[]uint8{4, 8}, 30, 24 + 2, 15},
		{[]uint8{4, 6, 8}, 30, 54 + 2, 10},
		{[]uint8{4, 6, 8}, 300, 54 + 2, 100},
		{[]uint8{4, 6, 8}, 4, 54 + 2, 4},
	} {
		sp := space.Default()
		sp.Bits = c.bits
		if networks, each := Effort(sp, c.rounds); networks != c.networks || each != c.each {
			t.Errorf("%v: %d networks, %d turns each", c, networks, each)
		}
	}
}
