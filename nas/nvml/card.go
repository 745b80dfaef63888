// Package nvml is what measuring on a GPU asks of its card: who it is, its clocks, temperature, power and energy, and what holds its
// clocks down. Cards are behind an interface, so that packages without cgo can measure with them and tests can play one; package
// nvml/driver finds the real ones, by NVIDIA's management library.
package nvml

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// Card is one GPU. One goroutine uses it at a time.
type Card interface {
	Info() Info
	// Read returns the card's state now. An error that is ErrGone says that the card will not come back to this process.
	Read() (Reading, error)
}

// ErrGone is what errors.Is finds when a card has fallen off the bus, or its driver has been unloaded.
var ErrGone = errors.New("the GPU is gone")

// Info is who a card is. It is comparable.
type Info struct {
	Name   string `json:"name"`   // such as NVIDIA H100 80GB HBM3
	UUID   string `json:"uuid"`   // such as GPU-6ab0...
	Driver string `json:"driver"` // version, such as 550.54.15
	// MaxSMMHz and MaxMemoryMHz are the highest clocks that the card can have.
	MaxSMMHz     int `json:"max_sm_mhz"`
	MaxMemoryMHz int `json:"max_memory_mhz"`
	// MemoryBytes is the card's memory in all.
	MemoryBytes uint64 `json:"memory_bytes"`
	// Energy says that the card counts the energy that it takes.
	Energy bool `json:"energy"`
}

// String is such as "NVIDIA H100 80GB HBM3 (GPU-6ab0...), driver 550.54.15".
func (i Info) String() string { return fmt.Sprintf("%s (%s), driver %s", i.Name, i.UUID, i.Driver) }

// Reading is a card's state at one moment.
type Reading struct {
	SMMHz     int
	MemoryMHz int
	Celsius   int
	Watts     float64 // 0 where the card does not tell
	Joules    float64 // since the driver was loaded; counts where Info.Energy
	Reasons   Reasons
}

// Reasons are the causes that hold a card's clocks below what it could run at, as NVML numbers them.
type Reasons uint64

// The reasons of NVML.
const (
	Idle Reasons = 1 << iota
	ApplicationClocks
	PowerCap
	HardwareSlowdown
	SyncBoost
	ThermalSlowdown
	HardwareThermal
	PowerBrake
	DisplayClocks
)

var reasonNames = [...]string{
	"idle", "application clocks", "power cap", "hardware slowdown", "sync boost", "thermal slowdown", "hardware thermal slowdown", "power brake",
	"display clocks",
}

// throttles are the reasons that come and go with heat and power. The others are settings that a whole session is measured under, or
// say that nothing runs between two batches.
const throttles = PowerCap | HardwareSlowdown | ThermalSlowdown | HardwareThermal | PowerBrake

// Throttled returns those reasons under which a sample is worth nothing.
func (r Reasons) Throttled() Reasons { return r & throttles }

// String names the reasons: "power cap, thermal slowdown"; "none".
func (r Reasons) String() string {
	var names []string
	for rest := r; rest != 0; rest &= rest - 1 {
		bit := bits.TrailingZeros64(uint64(rest))
		if bit < len(reasonNames) {
			names = append(names, reasonNames[bit])
		} else {
			names = append(names, fmt.Sprintf("reason %#x", uint64(1)<<bit))
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Choose returns the card that a backend's device is. The device's text may hold the UUID, which decides; else a card of the only
// name that the text holds, or the only card there is.
func Choose(cards []Card, device string) (Card, error) {
	if len(cards) == 0 {
		return nil, errors.New("NVML knows no card")
	}
	by := func(part func(Info) string) (found []Card) {
		for _, c := range cards {
			if text := part(c.Info()); text != "" && strings.Contains(device, text) {
				found = append(found, c)
			}
		}
		return found
	}
	for _, part := range []func(Info) string{func(i Info) string { return i.UUID }, func(i Info) string { return i.Name }} {
		if found := by(part); len(found) == 1 {
			return found[0], nil
		}
	}
	if len(cards) == 1 {
		return cards[0], nil
	}
	return nil, fmt.Errorf("which of the %d cards that NVML knows is %q cannot be told", len(cards), device)
}
