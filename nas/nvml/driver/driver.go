// Package driver finds NVIDIA's cards by their driver's management library, libnvidia-ml, which is opened at run time: without it a
// program starts all the same, and Open says in words what is missing. It is a package of its own because go-nvml is cgo and links
// with flags that let an undefined C function pass (house_test.go holds gobind to a link without them).
//
// Nothing here changes a card's settings.
package driver

import (
	"errors"
	"fmt"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	card "github.com/segnas/segnas/nas/nvml"
)

// Library is the opened management library.
type Library struct {
	api    nvml.Interface
	driver string
}

// Open opens libnvidia-ml. The caller closes it when its cards are no longer read.
func Open() (*Library, error) { return open(nvml.New()) }

func open(api nvml.Interface) (*Library, error) {
	if code := api.Init(); code != nvml.SUCCESS {
		return nil, inWords(code)
	}
	version, code := api.SystemGetDriverVersion()
	if code != nvml.SUCCESS {
		api.Shutdown()
		return nil, fmt.Errorf("driver version: %w", inWords(code))
	}
	return &Library{api, version}, nil
}

// Close closes the library.
func (l *Library) Close() { l.api.Shutdown() }

// Driver returns the driver's version.
func (l *Library) Driver() string { return l.driver }

// Cards lists the cards.
func (l *Library) Cards() ([]card.Card, error) {
	count, code := l.api.DeviceGetCount()
	if code != nvml.SUCCESS {
		return nil, fmt.Errorf("count of cards: %w", inWords(code))
	}
	var cards []card.Card
	for i := range count {
		device, code := l.api.DeviceGetHandleByIndex(i)
		if code != nvml.SUCCESS {
			return nil, fmt.Errorf("card %d: %w", i, inWords(code))
		}
		c, err := l.card(device)
		if err != nil {
			return nil, fmt.Errorf("card %d: %w", i, err)
		}
		cards = append(cards, c)
	}
	return cards, nil
}

type gpu struct {
	device nvml.Device
	info   card.Info
}

// card asks a device who it is. What an old card or a virtual one does not tell stays zero.
func (l *Library) card(device nvml.Device) (*gpu, error) {
	g := &gpu{device: device, info: card.Info{Driver: l.driver}}
	var code nvml.Return
	if g.info.Name, code = device.GetName(); code != nvml.SUCCESS {
		return nil, fmt.Errorf("name: %w", inWords(code))
	}
	if g.info.UUID, code = device.GetUUID(); code != nvml.SUCCESS {
		return nil, fmt.Errorf("UUID: %w", inWords(code))
	}
	sm, _ := device.GetMaxClockInfo(nvml.CLOCK_SM)
	memory, _ := device.GetMaxClockInfo(nvml.CLOCK_MEM)
	g.info.MaxSMMHz, g.info.MaxMemoryMHz = int(sm), int(memory)
	if all, code := device.GetMemoryInfo(); code == nvml.SUCCESS {
		g.info.MemoryBytes = all.Total
	}
	_, code = device.GetTotalEnergyConsumption()
	g.info.Energy = code == nvml.SUCCESS
	return g, nil
}

// Info implements nvml.Card.
func (g *gpu) Info() card.Info { return g.info }

// Read implements nvml.Card. Clocks and temperature every card has; power and throttle reasons may be missing.
func (g *gpu) Read() (r card.Reading, err error) {
	read := func(what string, needed bool, get func() (float64, nvml.Return)) float64 {
		v, code := get()
		switch {
		case code == nvml.SUCCESS:
			return v
		case err == nil && (needed || code != nvml.ERROR_NOT_SUPPORTED):
			err = fmt.Errorf("%s of %s: %w", what, g.info.Name, inWords(code))
		}
		return 0
	}
	r.SMMHz = int(read("SM clock", true, func() (float64, nvml.Return) { return number(g.device.GetClockInfo(nvml.CLOCK_SM)) }))
	r.MemoryMHz = int(read("memory clock", true, func() (float64, nvml.Return) { return number(g.device.GetClockInfo(nvml.CLOCK_MEM)) }))
	r.Celsius = int(read("temperature", true, func() (float64, nvml.Return) { return number(g.device.GetTemperature(nvml.TEMPERATURE_GPU)) }))
	r.Watts = read("power", false, func() (float64, nvml.Return) { return number(g.device.GetPowerUsage()) }) / 1e3
	r.Reasons = card.Reasons(read("throttle reasons", false, func() (float64, nvml.Return) {
		return number(g.device.GetCurrentClocksThrottleReasons())
	}))
	if g.info.Energy {
		r.Joules = read("energy", true, func() (float64, nvml.Return) { return number(g.device.GetTotalEnergyConsumption()) }) / 1e3
	}
	return r, err
}

func number[N uint32 | uint64](v N, code nvml.Return) (float64, nvml.Return) { return float64(v), code }

// inWords says what a status means for who measures. Errors of a lost card are card.ErrGone.
func inWords(code nvml.Return) error {
	switch code {
	case nvml.ERROR_LIBRARY_NOT_FOUND:
		return errors.New("there is no libnvidia-ml.so.1, which comes with NVIDIA's driver")
	case nvml.ERROR_DRIVER_NOT_LOADED:
		return errors.New("libnvidia-ml.so.1 is there, but NVIDIA's kernel driver is not loaded")
	case nvml.ERROR_LIB_RM_VERSION_MISMATCH:
		return errors.New("libnvidia-ml.so.1 and the loaded kernel driver are of different versions: restart the machine after a driver update")
	case nvml.ERROR_NO_PERMISSION:
		return errors.New("no permission to ask NVIDIA's driver")
	case nvml.ERROR_GPU_IS_LOST, nvml.ERROR_GPU_NOT_FOUND, nvml.ERROR_RESET_REQUIRED, nvml.ERROR_UNINITIALIZED:
		return fmt.Errorf("%w (NVML: %v)", card.ErrGone, code)
	}
	return fmt.Errorf("NVML: %v", code)
}
