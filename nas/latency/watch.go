package latency

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/nvml"
)

// Carded is a Device on a GPU whose card can be read. Its runs are watched: measuring begins when clock and temperature have settled,
// and what ran under a throttle reason is thrown away.
type Carded interface {
	Device
	Card() nvml.Card // nil: none, and only the running medians tell when the device is warm
}

const (
	settleEvery  = time.Second     // of running, between two readings
	settleWindow = 5               // readings that are compared
	settleMost   = 2 * time.Minute // of running: a card that never settles is the throttle reasons' and the canary's business
	steadyClock  = 0.02            // SM clocks this close, as a share, are steady
	steadyHeat   = 1               // temperatures this close, in degrees, are steady
	leastRun     = 20 * time.Microsecond
)

// CardConditions tell what a card did while something was measured on it.
type CardConditions struct {
	Settled    bool    `json:"settled"` // clock and temperature were steady before the first sample
	SMMHz      int     `json:"sm_mhz"`  // median
	LeastSMMHz int     `json:"least_sm_mhz"`
	MostSMMHz  int     `json:"most_sm_mhz"`
	MemoryMHz  int     `json:"memory_mhz"` // median
	Celsius    int     `json:"celsius"`    // highest
	Watts      float64 `json:"watts"`      // median
	Throttled  int     `json:"throttled"`  // turns rejected under a throttle reason
	Reasons    string  `json:"reasons,omitempty"`
}

// watch reads a device's card around its runs. A nil watch is that of a device without a card: it sees nothing.
type watch struct {
	card     nvml.Card
	settled  bool
	last     nvml.Reading
	readings []nvml.Reading // since the card has settled
	reasons  nvml.Reasons   // of rejected turns
	rejected int
}

func watchOf(dev Device) *watch {
	carded, ok := dev.(Carded)
	if !ok || carded.Card() == nil {
		return nil
	}
	return &watch{card: carded.Card()}
}

// observe reads the card and returns the reasons that throttled it at either end of the time since the last reading.
func (w *watch) observe() (nvml.Reasons, error) {
	if w == nil {
		return 0, nil
	}
	r, err := w.card.Read()
	if err != nil {
		return 0, fmt.Errorf("watch %v: %w", w.card.Info(), err)
	}
	throttled := (w.last.Reasons | r.Reasons).Throttled()
	w.last = r
	w.readings = append(w.readings, r)
	return throttled, nil
}

// settle runs until the card's SM clock and temperature hold still; note is told how it goes.
func (w *watch) settle(ctx context.Context, n *network, note func(string)) error {
	if w == nil {
		return nil
	}
	for busy, next := time.Duration(0), time.Duration(0); busy < settleMost && !w.settled; {
		s, err := n.run(ctx)
		if err != nil {
			return err
		}
		if busy += max(s.Total, leastRun); busy < next {
			continue
		}
		next = busy + settleEvery
		if _, err := w.observe(); err != nil {
			return err
		}
		note(fmt.Sprintf("warm up, SM clock %d MHz, %d C", w.last.SMMHz, w.last.Celsius))
		w.settled = steady(w.readings)
	}
	w.readings = w.readings[len(w.readings)-1:]
	return nil
}

// steady reports whether the last readings agree.
func steady(readings []nvml.Reading) bool {
	if len(readings) < settleWindow {
		return false
	}
	last := readings[len(readings)-settleWindow:]
	clock := spread(last, func(r nvml.Reading) int { return r.SMMHz })
	heat := spread(last, func(r nvml.Reading) int { return r.Celsius })
	return float64(clock[1]) <= float64(clock[0])*(1+steadyClock) && heat[1]-heat[0] <= steadyHeat
}

// spread returns the least and the most of what readings say.
func spread(readings []nvml.Reading, of func(nvml.Reading) int) (ends [2]int) {
	for i, r := range readings {
		v := of(r)
		if i == 0 {
			ends = [2]int{v, v}
		}
		ends = [2]int{min(ends[0], v), max(ends[1], v)}
	}
	return ends
}

// reject counts a throttled turn.
func (w *watch) reject(reasons nvml.Reasons) {
	w.rejected++
	w.reasons |= reasons
}

// smMHz is the median SM clock since the card has settled; 0 without a card.
func (w *watch) smMHz() int {
	if w == nil {
		return 0
	}
	return w.median(func(r nvml.Reading) float64 { return float64(r.SMMHz) })
}

func (w *watch) median(of func(nvml.Reading) float64) int {
	return int(metrics.Median(w.column(of)) + 0.5)
}

func (w *watch) column(of func(nvml.Reading) float64) []float64 {
	values := make([]float64, len(w.readings))
	for i, r := range w.readings {
		values[i] = of(r)
	}
	return values
}

// conditions is nil without a card.
func (w *watch) conditions() *CardConditions {
	if w == nil || len(w.readings) == 0 {
		return nil
	}
	clock := spread(w.readings, func(r nvml.Reading) int { return r.SMMHz })
	c := &CardConditions{
		Settled: w.settled, SMMHz: w.smMHz(), LeastSMMHz: clock[0], MostSMMHz: clock[1],
		MemoryMHz: w.median(func(r nvml.Reading) float64 { return float64(r.MemoryMHz) }),
		Celsius:   slices.MaxFunc(w.readings, func(a, b nvml.Reading) int { return a.Celsius - b.Celsius }).Celsius,
		Watts:     metrics.Median(w.column(func(r nvml.Reading) float64 { return r.Watts })),
		Throttled: w.rejected,
	}
	if w.rejected > 0 {
		c.Reasons = w.reasons.String()
	}
	return c
}

// tooMuch is the end of a measurement that the card leaves too few good turns for.
func (w *watch) tooMuch(n *network, throttled, turns int) error {
	return fmt.Errorf("the GPU throttles too much to be measured: %d of %d turns of network %s were lost to %v, at %d MHz and %d C; let it cool, or raise its power limit, and repeat the command",
		throttled, turns, n.name, w.reasons, w.last.SMMHz, w.last.Celsius)
}

// explain tells of a card that is gone where that is what a run failed of.
func (w *watch) explain(err error) error {
	if w == nil || err == nil || errors.Is(err, nvml.ErrGone) || errors.Is(err, context.Canceled) {
		return err
	}
	if _, lost := w.card.Read(); errors.Is(lost, nvml.ErrGone) {
		return fmt.Errorf("%w, which ended this: %w", lost, err)
	}
	return err
}
