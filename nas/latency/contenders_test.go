package latency

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/segnas/segnas/nas/space"
)

// Any network is timed by the table's own estimator: beside a busy neighbour, a contender that is an architecture's network in disguise comes out as
// that network does.
func TestMeasureContenders_TimesAreThoseOfTheSameNetworks(t *testing.T) {
	d := noisy(4)
	d.slowness = bursts(2*time.Second, 400*time.Millisecond, 1.6)
	setup := d.setup()
	archs := []space.Arch{space.Baseline(), space.HandScaled()}
	var contenders []Contender
	for _, a := range archs {
		contenders = append(contenders, Contender{"some " + a.String(), func(ctx context.Context) (Runner, error) {
			return d.Open(ctx, setup.Network, a, setup.H, setup.W, setup.Batch)
		}})
	}
	times, cond, err := MeasureContenders(context.Background(), d, setup, contenders, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(times) != 2 || d.open != 0 || cond.Canaries == 0 {
		t.Fatalf("%d times, %d networks open, %d visits of the canary", len(times), d.open, cond.Canaries)
	}
	for i, a := range archs {
		total, _ := d.trueTotal(a)
		if off := float64(times[i].Median)/float64(total) - 1; math.Abs(off) > 0.12 || times[i].N < 60 {
			t.Errorf("%v: %v from %d samples, a quiet machine takes %v", a, times[i].Median, times[i].N, total)
		}
	}
}

func TestMeasureContenders_AFailureNamesTheNetworkAndClosesTheOthers(t *testing.T) {
	d := newFake()
	broken := errors.New("no memory")
	setup := d.setup()
	_, _, err := MeasureContenders(context.Background(), d, setup, []Contender{
		{"good", func(ctx context.Context) (Runner, error) {
			return d.Open(ctx, setup.Network, space.Baseline(), setup.H, setup.W, 1)
		}},
		{"broken", func(context.Context) (Runner, error) { return nil, broken }},
	}, Options{})
	if !errors.Is(err, broken) || d.open != 0 || err.Error() != "open network broken at 90x120: no memory" {
		t.Errorf("%v, %d networks open", err, d.open)
	}
}
