// Package latency measures networks on a device and predicts the latency of every network of a space from a table.
//
// The table holds one entry per distinct operation (space.Op.Key). Operations are timed inside whole networks as they are
// deployed, so that caches are as they will be: a few networks that together hold every operation run in turns, the runs'
// operations are pooled by key, and a network's latency is the sum of its operations plus an intercept fitted on whole runs.
//
// Machines are shared. A canary, the baseline network, runs between the turns: turns beside a slow canary are rejected,
// counted and repeated, and accepted ones are scaled by the canary's ratio to its quiet level, so that a slow drift of the
// clock cancels. Table, verification and comparison all use this one estimator.
//
// A Table and its Predictor may be used by several goroutines as long as none of them fills the table.
package latency

import (
	"context"
	"fmt"
	"time"

	"github.com/segnas/segnas/nas/space"
)

// Identity says what was measured.
type Identity struct {
	Kind    string `json:"kind"`    // backend: "cpu", "cuda"
	CPU     string `json:"cpu"`     // the processor's own name
	ISA     string `json:"isa"`     // instruction set that the kernels use
	Threads int    `json:"threads"` // threads of the session
	// Precision is the session's numbers where they are not float32: "bf16".
	Precision string `json:"precision,omitempty"`
	Library   string `json:"library,omitempty"` // stamp of the library that ran
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
	if id.Precision != "" {
		text += ", " + id.Precision
	}
	return text
}

// Setup is everything that a measured time depends on beside the architecture.
type Setup struct {
	Identity Identity      `json:"identity"`
	Network  space.Network `json:"network"`
	H        int           `json:"h"` // picture height in pixels
	W        int           `json:"w"` // picture width in pixels
	Batch    int           `json:"batch"`
}

// Sample is one run of a network.
type Sample struct {
	Total time.Duration
	Ops   []time.Duration // one per entry of space.Network.Ops, in order, stamped inside the whole run
}

// Device opens deployed networks.
type Device interface {
	Identity() Identity
	// Open makes a network of architecture a ready to run on pictures of h x w pixels, batch at a time.
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
