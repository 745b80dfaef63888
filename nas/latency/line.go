package latency

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/segnas/segnas/nas/space"
)

// format is the version of the table's file. The file is JSON lines: a header, then one line an entry, each ending in a checksum of
// everything before it. Lines are only ever appended; of two with the same key, the later one holds.
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

var polynomial = crc32.MakeTable(crc32.Castagnoli)

const (
	sealFormat = `,"crc":"%08x"}`
	sealSize   = len(`,"crc":"00000000"}`)
)

// seal turns a value whose JSON is an object into a line of the file.
func seal(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("write latency table: %w", err)
	}
	return sealBytes(line[:len(line)-1]), nil
}

// sealBytes completes an object that lacks its closing brace.
func sealBytes(open []byte) []byte {
	return fmt.Appendf(open, sealFormat+"\n", crc32.Checksum(open, polynomial))
}

// unseal returns the JSON of a line without its line end, and whether its checksum holds.
func unseal(line []byte) ([]byte, bool) {
	n := len(line) - sealSize
	if n < 1 || !bytes.Equal(bytes.TrimSuffix(sealBytes(bytes.Clone(line[:n])), []byte("\n")), line) {
		return nil, false
	}
	return append(bytes.Clone(line[:n]), '}'), true
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
