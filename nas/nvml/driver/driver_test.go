package driver

import (
	"errors"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	card "github.com/segnas/segnas/nas/nvml"
)

// fakeLibrary is NVML with one card, whose answers to all but its name a test may replace by a status.
func fakeLibrary(fail *nvml.Return) *mock.Interface {
	device := &mock.Device{
		GetNameFunc:         func() (string, nvml.Return) { return "NVIDIA H100 PCIe", nvml.SUCCESS },
		GetUUIDFunc:         func() (string, nvml.Return) { return "GPU-0a", nvml.SUCCESS },
		GetMaxClockInfoFunc: func(c nvml.ClockType) (uint32, nvml.Return) { return 1000 + uint32(c), nvml.SUCCESS },
		GetClockInfoFunc:    func(c nvml.ClockType) (uint32, nvml.Return) { return 900 + uint32(c), *fail },
		GetMemoryInfoFunc:   func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 80 << 30, Free: 1}, nvml.SUCCESS },
		GetTemperatureFunc:  func(nvml.TemperatureSensors) (uint32, nvml.Return) { return 51, *fail },
		GetPowerUsageFunc:   func() (uint32, nvml.Return) { return 0, nvml.ERROR_NOT_SUPPORTED },
		GetCurrentClocksThrottleReasonsFunc: func() (uint64, nvml.Return) {
			return nvml.ClocksThrottleReasonSwPowerCap | nvml.ClocksThrottleReasonHwThermalSlowdown, *fail
		},
		GetTotalEnergyConsumptionFunc: func() (uint64, nvml.Return) { return 2500, *fail },
	}
	return &mock.Interface{
		InitFunc:                   func() nvml.Return { return *fail },
		ShutdownFunc:               func() nvml.Return { return nvml.SUCCESS },
		SystemGetDriverVersionFunc: func() (string, nvml.Return) { return "550.54.15", nvml.SUCCESS },
		DeviceGetCountFunc:         func() (int, nvml.Return) { return 1, nvml.SUCCESS },
		DeviceGetHandleByIndexFunc: func(int) (nvml.Device, nvml.Return) { return device, nvml.SUCCESS },
	}
}

func TestOpen_MissingLibraryIsSaidInWords(t *testing.T) {
	for code, want := range map[nvml.Return]string{
		nvml.ERROR_LIBRARY_NOT_FOUND:       "there is no libnvidia-ml.so.1",
		nvml.ERROR_DRIVER_NOT_LOADED:       "kernel driver is not loaded",
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: "of different versions",
	} {
		if _, err := open(fakeLibrary(&code)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", code, err, want)
		}
	}
}

// Here, too, the program has started: with or without the library.
func TestOpen_TheRealLibraryOrItsAbsence(t *testing.T) {
	l, err := Open()
	if err != nil {
		t.Logf("no NVML here: %v", err)
		return
	}
	defer l.Close()
	cards, err := l.Cards()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cards {
		r, err := c.Read()
		if err != nil || c.Info().UUID == "" || r.SMMHz <= 0 {
			t.Errorf("%v: %+v, %v", c.Info(), r, err)
		}
		t.Logf("%v: %+v", c.Info(), r)
	}
}

func TestCard_ReadsAndNoticesItsLoss(t *testing.T) {
	code := nvml.SUCCESS
	l, err := open(fakeLibrary(&code))
	if err != nil {
		t.Fatal(err)
	}
	cards, err := l.Cards()
	if err != nil || len(cards) != 1 {
		t.Fatalf("%d cards, %v", len(cards), err)
	}
	want := card.Info{Name: "NVIDIA H100 PCIe", UUID: "GPU-0a", Driver: "550.54.15", MaxSMMHz: 1001, MaxMemoryMHz: 1002, MemoryBytes: 80 << 30, Energy: true}
	if got := cards[0].Info(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	r, err := cards[0].Read()
	wanted := card.Reading{SMMHz: 901, MemoryMHz: 902, Celsius: 51, Joules: 2.5, Reasons: card.PowerCap | card.HardwareThermal}
	if err != nil || r != wanted {
		t.Errorf("%+v, %v, want %+v", r, err, wanted)
	}
	code = nvml.ERROR_GPU_IS_LOST
	if _, err := cards[0].Read(); !errors.Is(err, card.ErrGone) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a lost card: %v", err)
	}
	code = nvml.ERROR_UNKNOWN
	if _, err := cards[0].Read(); err == nil || errors.Is(err, card.ErrGone) {
		t.Errorf("another failure: %v", err)
	}
}
