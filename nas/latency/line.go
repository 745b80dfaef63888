package latency

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/segnas/segnas/nas/space"
)

// format is the version of the table's file. The file is JSON lines: a header, then one line an entry, each sealed
// (sealed.Line). Lines are only ever appended; of two with the same key, the later one holds.
const format = "segnas-latency-1"

type header struct {
	Format string `json:"format"`
	Setup
	Card *CardConditions `json:"card,omitempty"` // when the table was begun
}

// Origin is when and with what an entry was measured.
type Origin struct {
	Library string        `json:"library"`          // stamp of the library: entries of another are stale
	Canary  time.Duration `json:"canary_ns"`        // quiet level to which the times are scaled
	SMMHz   int           `json:"sm_mhz,omitempty"` // median clock of a GPU's multiprocessors
	At      time.Time     `json:"at"`
}

// Entry is one operation's line.
type Entry struct {
	Op string `json:"op"` // space.Op.Key
	Stats
	Origin
}

// networkLine is a whole network that ran while the entries were measured: the intercept is fitted on these.
type networkLine struct {
	Measurement
	Origin
}

func (o Origin) valid() bool { return o.Canary > 0 }

// decode reads one entry: exactly one of the results is set.
func decode(text []byte) (*Entry, *networkLine, error) {
	var kind struct {
		Op   *string
		Arch *space.Arch
	}
	if err := json.Unmarshal(text, &kind); err != nil {
		return nil, nil, err
	}
	switch {
	case kind.Op != nil && kind.Arch == nil:
		e := new(Entry)
		if err := json.Unmarshal(text, e); err != nil {
			return nil, nil, err
		}
		if !e.Stats.valid() || !e.Origin.valid() {
			return nil, nil, fmt.Errorf("times of %q are impossible", e.Op)
		}
		return e, nil, nil
	case kind.Arch != nil && kind.Op == nil:
		n := new(networkLine)
		if err := json.Unmarshal(text, n); err != nil {
			return nil, nil, err
		}
		if !n.Total.valid() || !n.Searched.valid() || !n.Origin.valid() || !(n.Joules >= 0) {
			return nil, nil, fmt.Errorf("times of network %s are impossible", n.Arch)
		}
		return nil, n, nil
	default:
		return nil, nil, fmt.Errorf("neither an operation nor a network")
	}
}
