// Package latency measures networks on a device and predicts the latency of every network of a space from a table.
//
// The table holds one entry per distinct operation (space.Op.Key). Operations are timed inside whole networks as they are
// deployed, so that caches are as they will be: a few networks that together hold every operation run in turns, the runs'
// operations are pooled by key, and a network's latency is the sum of its operations plus an intercept fitted on whole runs.
//
// Networks with bit widths run in integers where the setup says so (Integers), and then widths are part of the keys. Elsewhere they are measured and
// predicted as what they are in floating point.
//
// Machines are shared. A canary, the baseline network, runs between the turns: turns beside a slow canary are rejected,
// counted and repeated, and accepted ones are scaled by the canary's ratio to its quiet level, so that a slow drift of the
// clock cancels. Table, verification and comparison all use this one estimator. On a GPU whose card can be read, samples taken under
// a throttle reason are rejected, too.
//
// A Table and its Predictor may be used by several goroutines as long as none of them fills the table.
package latency

import (
	"context"
	"fmt"
	"time"

	"github.com/segnas/segnas/nas/nvml"
	"github.com/segnas/segnas/nas/space"
)

// Identity says what was measured.
type Identity struct {
	Kind    string `json:"kind"`    // backend: "cpu", "cuda"
	CPU     string `json:"cpu"`     // the processor's own name
	ISA     string `json:"isa"`     // instruction set that the kernels use
	Threads int    `json:"threads"` // threads of the session
	// Precision is the session's numbers where they are not float32: "bf16", or Integers.
	Precision string `json:"precision,omitempty"`
	Library   string `json:"library,omitempty"` // stamp of the library that ran
	// GPU is the backend's own line on its device, where that is not the CPU, and Card what NVML knows of it, if anything.
	GPU  string    `json:"gpu,omitempty"`
	Card nvml.Info `json:"card,omitzero"`
}

// String is the canonical text, such as "cpu AMD EPYC 7B13, isa avx2, 2 threads, library 3f9a".
func (id Identity) String() string {
	text := id.device()
	if id.Library != "" {
		text += ", library " + id.Library
	}
	return text
}

// device is the canonical text without the library's stamp: what a table belongs to.
func (id Identity) device() string {
	text := fmt.Sprintf("%s %s, isa %s, %d threads", id.Kind, id.CPU, id.ISA, id.Threads)
	switch {
	case id.Card != nvml.Info{}:
		text = id.Kind + " " + id.Card.String()
	case id.GPU != "":
		text = id.Kind + " " + id.GPU
	}
	if id.Precision != "" {
		text += ", " + id.Precision
	}
	return text
}

// differs tells in words why times of one device do not hold for another; nil: they do. What one of them does not know is not held
// against the other: without libnvidia-ml nobody knows a driver version.
func (id Identity) differs(other Identity) error {
	same := id.device() == other.device()
	if id.GPU != "" && other.GPU != "" {
		same = id.Kind == other.Kind && id.Precision == other.Precision && id.GPU == other.GPU
		if same && id.Card.UUID != "" && other.Card.UUID != "" {
			same = id.Card.UUID == other.Card.UUID
		}
	}
	if !same {
		return fmt.Errorf("it was measured on %s, and this is %s", id.device(), other.device())
	}
	if has, now := id.Card.Driver, other.Card.Driver; has != now && has != "" && now != "" {
		return fmt.Errorf("it was measured with driver %s, and %s now has driver %s, whose times may be others", has, other.Card.Name, now)
	}
	return nil
}

// Integers is the Precision of a device that runs networks with bit widths in integers, and those without in float32.
const Integers = "int8"

// Setup is everything that a measured time depends on beside the architecture.
type Setup struct {
	Identity Identity      `json:"identity"`
	Network  space.Network `json:"network"`
	H        int           `json:"h"` // picture height in pixels
	W        int           `json:"w"` // picture width in pixels
	Batch    int           `json:"batch"`
}

// networks returns the space as its networks run: in floating point but in a setup of integers.
func (s Setup) networks(sp space.Space) space.Space {
	if s.Identity.Precision == Integers {
		return sp
	}
	return sp.Float()
}

// as returns an architecture as it runs.
func (s Setup) as(a space.Arch) space.Arch {
	if s.Identity.Precision == Integers {
		return a
	}
	return a.Float()
}

// ops returns the operations of an architecture as it runs.
func (s Setup) ops(a space.Arch) []space.Op { return s.Network.Ops(s.as(a), s.H, s.W) }

// canary is the architecture whose time tells how quiet the machine is: the baseline, in a setup of integers with 8 bits throughout.
func (s Setup) canary() space.Arch { return s.as(space.Baseline().Quantised(space.Bits{W: 8, A: 8})) }

// Sample is one run of a network. A device with a clock of its own stamps by that: on a GPU, Total is the time from the event ahead of
// the first operation to that behind the last, and Ops are the times between the events at their ends, so that launching is in neither.
type Sample struct {
	Total time.Duration
	Ops   []time.Duration // one per entry of space.Network.Ops, in order, stamped inside the whole run
}

// Device opens deployed networks.
type Device interface {
	Identity() Identity
	// Open makes a network of architecture a ready to run on pictures of h x w pixels, batch at a time. It has bit widths only where the
	// identity's precision is Integers.
	Open(ctx context.Context, net space.Network, a space.Arch, h, w, batch int) (Runner, error)
}

// Runner is one open network; one goroutine uses it at a time.
type Runner interface {
	Run() (Sample, error)
	Close() error
}

// Options tell how long and how carefully to measure. The zero value is replaced by the defaults given here.
type Options struct {
	Rounds    int           // accepted turns of every network: 30
	Take      int           // recorded runs of a turn, which follow one that only warms the caches: 2
	Tolerance float64       // how far the canary may be above its quiet level, as a share of it: 0.1
	Attempts  int           // turns at most, in multiples of Rounds: 3
	Together  int           // networks open at once, beside the canary: 4
	Interval  time.Duration // wanted time between two canaries, which bounds how short a disturbance is noticed: 250 ms
	Energy    time.Duration // how long each network runs for its energy, where the card counts that: not at all

	Progress func(done, total int, note string) // called after every round; done never falls
	Now      func() time.Time                   // the clock of the entries' dates: time.Now
}

func (o Options) withDefaults() Options {
	positive := func(v *int, otherwise int) {
		if *v <= 0 {
			*v = otherwise
		}
	}
	positive(&o.Rounds, 30)
	positive(&o.Take, 2)
	positive(&o.Attempts, 3)
	positive(&o.Together, 4)
	if o.Tolerance <= 0 {
		o.Tolerance = 0.1
	}
	if o.Interval <= 0 {
		o.Interval = 250 * time.Millisecond
	}
	if o.Progress == nil {
		o.Progress = func(int, int, string) {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
