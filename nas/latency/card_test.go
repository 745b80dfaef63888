package latency

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/nvml"
	"github.com/segnas/segnas/nas/space"
)

// fakeCard is a card on its device's simulated clock. Cold, it clocks a tenth higher than when it has settled.
type fakeCard struct {
	nvml.Fake
	device   *fakeDevice
	settles  time.Duration // after which clock and temperature hold still
	restless bool          // they never do
	reasons  func(now time.Duration) nvml.Reasons
	lostAt   time.Duration // 0: never
	watts    float64
	joules   float64
}

const settledMHz = 1500

// warmth goes from 0 to 1 while the card settles.
func (c *fakeCard) warmth() float64 {
	if c.settles == 0 {
		return 1
	}
	return min(1, c.device.now.Seconds()/c.settles.Seconds())
}

func (c *fakeCard) mhz() int {
	if c.restless && int(c.device.now.Seconds())%4 == 0 {
		return settledMHz * 8 / 10
	}
	return int(settledMHz * (1.1 - 0.1*c.warmth()))
}

func (c *fakeCard) read() (nvml.Reading, error) {
	now := c.device.now
	if c.lostAt > 0 && now >= c.lostAt {
		return nvml.Reading{}, fmt.Errorf("SM clock: %w (NVML: ERROR_GPU_IS_LOST)", nvml.ErrGone)
	}
	r := nvml.Reading{SMMHz: c.mhz(), MemoryMHz: 2619, Celsius: 30 + int(40*c.warmth()), Watts: c.watts, Joules: c.joules, Reasons: nvml.Idle}
	if c.reasons != nil {
		r.Reasons |= c.reasons(now)
	}
	return r, nil
}

// newFakeGPU is a GPU that settles within 20 s and is slower by half while it is throttled.
func newFakeGPU() *fakeDevice {
	d := newFake()
	c := &fakeCard{device: d, settles: 20 * time.Second, watts: 300}
	c.About = nvml.Info{Name: "NVIDIA Fake 100", UUID: "GPU-0a", Driver: "550.54.15", MaxSMMHz: 1980, MaxMemoryMHz: 2619, Energy: true}
	c.Next = c.read
	d.card = c
	d.id = Identity{Kind: "cuda", CPU: "Fake 9000", ISA: "avx2", Threads: 2, Library: "aaaa", GPU: "NVIDIA Fake 100, 80 GB", Card: c.About}
	d.slowness = func(now time.Duration) float64 {
		slow := settledMHz / float64(c.mhz())
		if c.reasons != nil && c.reasons(now).Throttled() != 0 {
			slow *= 1.5
		}
		return slow
	}
	return d
}

// heat throttles for length in every period.
func heat(period, length time.Duration) func(time.Duration) nvml.Reasons {
	return func(now time.Duration) nvml.Reasons {
		if now%period < length {
			return nvml.ThermalSlowdown
		}
		return nvml.ApplicationClocks
	}
}

func TestCard_MeasuringBeginsWhenClockAndTemperatureHoldStill(t *testing.T) {
	d := newFakeGPU()
	ms, cond, err := MeasureNetworks(context.Background(), d, d.setup(), []space.Arch{space.HandScaled()}, quick())
	if err != nil {
		t.Fatal(err)
	}
	c := cond.Card
	if c == nil || !c.Settled || c.SMMHz != settledMHz || c.LeastSMMHz < settledMHz || c.MostSMMHz > settledMHz*102/100 || c.Celsius != 70 || c.Watts != 300 || c.MemoryMHz != 2619 {
		t.Errorf("conditions %+v", c)
	}
	if total, _ := d.trueTotal(space.HandScaled()); math.Abs(float64(ms[0].Total.Median)/float64(total)-1) > 0.01 {
		t.Errorf("measured %v, the settled card takes %v", ms[0].Total.Median, total)
	}
	d = newFakeGPU()
	d.card.restless = true
	if _, cond, err = MeasureNetworks(context.Background(), d, d.setup(), []space.Arch{space.HandScaled()}, quick()); err != nil || d.now > 3*settleMost {
		t.Errorf("a card that never settles: %v after %v", err, d.now)
	}
	if cond.Card == nil || cond.Card.Settled {
		t.Errorf("a card that never settles: %+v", cond.Card)
	}
}

func TestCard_ThrottledTurnsAreRejectedAndCounted(t *testing.T) {
	d := newFakeGPU()
	d.card.reasons = heat(time.Second, 300*time.Millisecond)
	archs := []space.Arch{space.HandScaled(), space.Baseline()}
	ms, cond, err := MeasureNetworks(context.Background(), d, d.setup(), archs, Options{Interval: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if c := cond.Card; c == nil || c.Throttled == 0 || c.Throttled+cond.Rejected >= cond.Turns/2 || c.Reasons != "thermal slowdown" {
		t.Errorf("conditions %+v, %+v", cond, cond.Card)
	}
	for i, m := range ms {
		if total, _ := d.trueTotal(archs[i]); math.Abs(float64(m.Total.Median)/float64(total)-1) > 0.01 || m.Total.Rejected == 0 || m.Total.P99 > total*11/10 {
			t.Errorf("%+v, the card takes %v when it is not throttled", m.Total, total)
		}
	}
}

// Slow turns could be told by the canary; those under a reason that does not slow this network down are thrown away as well.
func TestCard_ThrottlingThatDoesNotShowIsRejectedToo(t *testing.T) {
	d := newFakeGPU()
	d.card.reasons = heat(time.Second, 300*time.Millisecond)
	d.slowness = nil
	_, cond, err := MeasureNetworks(context.Background(), d, d.setup(), []space.Arch{space.HandScaled()}, Options{Interval: 20 * time.Millisecond})
	if err != nil || cond.Card.Throttled == 0 || cond.Rejected != 0 {
		t.Errorf("%v, %+v, %+v", err, cond, cond.Card)
	}
}

func TestCard_TooMuchThrottlingEndsWithOneLine(t *testing.T) {
	d := newFakeGPU()
	d.card.reasons = func(time.Duration) nvml.Reasons { return nvml.PowerCap }
	_, _, err := MeasureNetworks(context.Background(), d, d.setup(), []space.Arch{space.HandScaled()}, quick())
	if err == nil || strings.Contains(err.Error(), "\n") || misuse.Is(err) || d.open != 0 {
		t.Fatalf("%v, %d networks open", err, d.open)
	}
	for _, want := range []string{"throttles too much", "13 of 13 turns", "power cap", "1500 MHz", "70 C"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q lacks %q", err, want)
		}
	}
}

// vanish fills a table on a GPU that vanishes while the second group is measured; the driver's and the runtime's errors come in either
// order.
func vanish(t *testing.T, path string, runFails bool) error {
	t.Helper()
	first := newFakeGPU()
	opt := quick()
	groups := 0
	opt.Progress = func(done, total int, note string) {
		if strings.HasSuffix(note, "done") {
			if groups++; groups == 1 {
				first.card.lostAt = first.now + 50*time.Millisecond
				if runFails {
					first.card.lostAt = first.now
					first.stopAt = first.runs + 3
				}
			}
		}
	}
	table, err := Open(path, first.setup())
	if err != nil {
		t.Fatal(err)
	}
	if _, err = table.Fill(context.Background(), first, space.Default(), opt); err == nil || first.open != 0 {
		t.Fatalf("the GPU vanished: %v, %d networks open", err, first.open)
	}
	return err
}

func TestCard_AVanishedGPUIsOneLineAndTheTableIsKept(t *testing.T) {
	for name, runFails := range map[string]bool{"seen by NVML": false, "seen by a run": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "table.jsonl")
			err := vanish(t, path, runFails)
			if !errors.Is(err, nvml.ErrGone) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "finished entries are kept") {
				t.Errorf("%v", err)
			}
			if runFails && !errors.Is(err, errStopped) {
				t.Errorf("%v does not hold the run's own error", err)
			}
			again, err := Open(path, newFakeGPU().setup())
			if err != nil || len(again.Entries()) == 0 {
				t.Fatalf("%v, %d entries", err, len(again.Entries()))
			}
			before := readFile(t, path)
			fill(t, path, newFakeGPU(), quick())
			if !strings.HasPrefix(string(readFile(t, path)), string(before)) {
				t.Error("finished entries were measured again")
			}
		})
	}
}

func TestCard_HeaderKeepsWhoWasMeasured(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.jsonl")
	fill(t, path, newFakeGPU(), quick())
	header, _, _ := strings.Cut(string(readFile(t, path)), "\n")
	for _, want := range []string{`"NVIDIA Fake 100"`, `"GPU-0a"`, `"550.54.15"`, `"max_sm_mhz":1980`, `"settled":true`, `"sm_mhz":1500`} {
		if !strings.Contains(header, want) {
			t.Errorf("the header lacks %s:\n%s", want, header)
		}
	}
	for want, change := range map[string]func(*Identity){
		"measured with driver 550.54.15, and NVIDIA Fake 100 now has driver 560.1": func(id *Identity) { id.Card.Driver = "560.1" },
		"GPU-0a": func(id *Identity) { id.Card.UUID = "GPU-0b" },
		"avx2":   func(id *Identity) { *id = newFake().id },
		"bf16":   func(id *Identity) { id.Precision = "bf16" },
	} {
		setup := newFakeGPU().setup()
		change(&setup.Identity)
		if _, err := Open(path, setup); !misuse.Is(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v; want misuse with %q", err, want)
		}
	}
	setup := newFakeGPU().setup()
	setup.Identity.Card = nvml.Info{} // no libnvidia-ml today
	setup.Identity.Threads = 7        // of the host
	if _, err := Open(path, setup); err != nil {
		t.Errorf("without NVML: %v", err)
	}
}

func TestCard_WithoutOneTheRunningMediansWarmUp(t *testing.T) {
	d := newFakeGPU()
	d.card, d.id.Card = nil, nvml.Info{}
	path := filepath.Join(t.TempDir(), "table.jsonl")
	fill(t, path, d, quick())
	if text := string(readFile(t, path)); strings.Contains(text, "settled") || strings.Contains(text, "sm_mhz") {
		t.Error("clocks from nowhere")
	}
}

func TestEnergy_OfAPictureIsMeasuredAndPredicted(t *testing.T) {
	d := newFakeGPU()
	opt := quick()
	opt.Energy = time.Second
	path := filepath.Join(t.TempDir(), "table.jsonl")
	table := fill(t, path, d, opt)
	p, err := table.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range []space.Arch{space.HandScaled(), space.Baseline(), space.Default().Largest()} {
		total, _ := d.trueTotal(a)
		want := 300 * total.Seconds()
		if got, err := p.PredictEnergy(a); err != nil || math.Abs(got/want-1) > 0.01 {
			t.Errorf("%v: %.4f J predicted, %v; it takes %.4f", a, got, err, want)
		}
	}
	if p.EnergyError() > 0.01 {
		t.Errorf("error %v on a card of constant power", p.EnergyError())
	}
	d = newFakeGPU()
	d.card.About.Energy = false
	d.id.Card = d.card.About
	if p, err = fill(t, filepath.Join(t.TempDir(), "none.jsonl"), d, opt).Predictor(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.PredictEnergy(space.Baseline()); !misuse.Is(err) || !strings.Contains(err.Error(), "holds no energies") {
		t.Errorf("without a counter: %v", err)
	}
}

func TestEnergy_AThrottledSpanIsTakenAgain(t *testing.T) {
	d := newFakeGPU()
	spans := 0
	opt := quick()
	opt.Energy = 10 * time.Second
	opt.Progress = func(done, total int, note string) {
		if done == total && spans == 0 { // all turns are taken, the first span follows
			spans++
			until := d.now + 5*time.Second
			d.card.reasons = func(now time.Duration) nvml.Reasons {
				if now < until {
					return nvml.PowerBrake
				}
				return 0
			}
		}
	}
	ms, cond, err := MeasureNetworks(context.Background(), d, d.setup(), []space.Arch{space.HandScaled()}, opt)
	total, _ := d.trueTotal(space.HandScaled())
	if err != nil || cond.Card.Throttled != 1 || math.Abs(ms[0].Joules/(300*total.Seconds())-1) > 0.01 {
		t.Errorf("%v, %+v, %v J", err, cond.Card, ms)
	}
}

func TestFitEnergy_FindsBothPartsAndNeverNegativeOnes(t *testing.T) {
	seconds, macs := []float64{0.01, 0.02, 0.03, 0.05}, []float64{3e9, 2e9, 9e9, 8e9}
	joules := make([]float64, len(seconds))
	for i := range joules {
		joules[i] = 80*seconds[i] + 1e-10*macs[i]
	}
	if m := fitEnergy(seconds, macs, joules); math.Abs(m.watts-80) > 1e-6 || math.Abs(m.perMAC-1e-10) > 1e-16 || m.off > 1e-9 {
		t.Errorf("%+v", m)
	}
	if m := fitEnergy(seconds[:1], macs[:1], joules[:1]); m.watts <= 0 || m.perMAC != 0 || m.off > 1e-9 {
		t.Errorf("one network: %+v", m)
	}
	for i := range joules {
		joules[i] = 100*seconds[i] - 5e-12*macs[i]
	}
	if m := fitEnergy(seconds, macs, joules); m.watts <= 0 || m.perMAC != 0 || m.off > 0.05 {
		t.Errorf("less with more multiply-adds: %+v", m)
	}
}

func TestIdentity_NamesTheCard(t *testing.T) {
	id := newFakeGPU().id
	if got := id.String(); got != "cuda NVIDIA Fake 100 (GPU-0a), driver 550.54.15, library aaaa" {
		t.Error(got)
	}
	id.Card, id.Precision = nvml.Info{}, "bf16"
	if got := id.String(); got != "cuda NVIDIA Fake 100, 80 GB, bf16, library aaaa" {
		t.Error(got)
	}
}
