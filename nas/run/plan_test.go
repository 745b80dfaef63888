package run

import (
	"reflect"
	"testing"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
)

var someSpeeds = Speeds{
	SupernetStep: 130 * time.Millisecond, Step: 150 * time.Millisecond, Evaluation: 400 * time.Millisecond,
	Test: 300 * time.Millisecond, Inference: 4 * time.Millisecond,
}

func TestFit_FillsTheBudgetAndNoMore(t *testing.T) {
	for _, preset := range Presets() {
		c, err := NewConfig(preset.Name, ScenesData)
		if err != nil {
			t.Fatal(err)
		}
		for _, budget := range []time.Duration{4 * time.Minute, 25 * time.Minute, 8 * time.Hour} {
			fitted, err := fit(c, someSpeeds, budget)
			if err != nil {
				t.Errorf("%s in %v: %v", preset.Name, budget, err)
				continue
			}
			if err := fitted.Validate(); err != nil {
				t.Errorf("%s in %v: %v", preset.Name, budget, err)
			}
			if total := estimate(fitted, someSpeeds).Total(); total > budget || total < budget*85/100 {
				t.Errorf("%s in %v: planned for %v", preset.Name, budget, total)
			}
		}
	}
}

func TestFit_RefusesABudgetTooSmallAndNamesOneThatIsNot(t *testing.T) {
	c, err := NewConfig("scenes-quick", ScenesData)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fit(c, someSpeeds, 10*time.Second); !misuse.Is(err) {
		t.Errorf("10 s: %v", err)
	}
}

func TestResized_KeepsNearTheNumberAsked(t *testing.T) {
	for n := 24; n <= 1000; n += 61 {
		c := resized(search.Thesis(), n)
		if got := c.Evaluations(); got > n || float64(got) < 0.8*float64(n) || c.Validate() != nil {
			t.Errorf("%d asked, %d made by %+v", n, got, c)
		}
	}
	if c := resized(search.Thesis(), 1000); !reflect.DeepEqual(c, search.Thesis()) {
		t.Errorf("the published settings became %+v", c)
	}
}

func TestEstimate_CountsTheTableOfBitWidthsWhereItIsMeasured(t *testing.T) {
	c, err := NewConfig("scenes-quick", ScenesData)
	if err != nil {
		t.Fatal(err)
	}
	c.TableRounds, c.Space.Bits = 30, []uint8{4, 6, 8}
	float, integers := someSpeeds, someSpeeds
	integers.Integers = true
	before, after := estimate(c, float), estimate(c, integers)
	if ratio := float64(after.Table) / float64(before.Table); ratio != 560.0/210 || after.Measure != before.Measure {
		t.Errorf("a table of 56 networks and 10 turns takes %v, one of 7 networks and 30 turns %v", after.Table, before.Table)
	}
}
