package nvml

import (
	"strings"
	"testing"
)

func TestReasons_OnlyHeatAndPowerThrottle(t *testing.T) {
	for _, c := range []struct {
		reasons, throttled Reasons
		text               string
	}{
		{0, 0, "none"},
		{Idle | ApplicationClocks | SyncBoost | DisplayClocks, 0, "idle, application clocks, sync boost, display clocks"},
		{Idle | PowerCap | ThermalSlowdown, PowerCap | ThermalSlowdown, "idle, power cap, thermal slowdown"},
		{HardwareSlowdown | HardwareThermal | PowerBrake, HardwareSlowdown | HardwareThermal | PowerBrake,
			"hardware slowdown, hardware thermal slowdown, power brake"},
		{1 << 40, 0, "reason 0x10000000000"},
	} {
		if c.reasons.Throttled() != c.throttled || c.reasons.String() != c.text {
			t.Errorf("%#x: throttled %v, text %q; want %v and %q", uint64(c.reasons), c.reasons.Throttled(), c.reasons, c.throttled, c.text)
		}
	}
}

func TestChoose_UUIDThenNameThenTheOnlyOne(t *testing.T) {
	card := func(name, uuid string) Card { return &Fake{About: Info{Name: name, UUID: uuid}} }
	a, b, c := card("NVIDIA A10", "GPU-1"), card("NVIDIA A10", "GPU-2"), card("NVIDIA T4", "GPU-3")
	for _, test := range []struct {
		cards  []Card
		device string
		want   Card
		words  string
	}{
		{[]Card{a, b, c}, "NVIDIA A10, 24 GB, GPU-2", b, ""},
		{[]Card{a, b, c}, "NVIDIA T4, 16 GB", c, ""},
		{[]Card{a}, "some GPU", a, ""},
		{[]Card{a, b, c}, "NVIDIA A10, 24 GB", nil, "which of the 3 cards"},
		{nil, "NVIDIA T4", nil, "knows no card"},
	} {
		got, err := Choose(test.cards, test.device)
		if got != test.want || (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%q of %d cards: %v, %v", test.device, len(test.cards), got, err)
		}
	}
}
