package run

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// bitsFlag makes a space one of bit widths: its list of them.
type bitsFlag struct{ bits *[]uint8 }

func (f bitsFlag) String() string { return "" }
func (f bitsFlag) Type() string   { return "widths" }

func (f bitsFlag) Set(text string) error {
	var bits []uint8
	for word := range strings.SplitSeq(text, ",") {
		b, err := strconv.ParseUint(word, 10, 8)
		if err != nil {
			return misuse.Errorf("give widths from 2 to 8 with commas between, such as 4,6,8")
		}
		bits = append(bits, uint8(b))
	}
	*f.bits = bits
	sp := space.Default()
	sp.Bits = bits
	return sp.Validate()
}

// bitsText is the flag for a space's bit widths; empty in floating point.
func bitsText(sp space.Space) string {
	if !sp.IsQuantised() {
		return ""
	}
	return " --bits " + strings.Trim(strings.ReplaceAll(fmt.Sprint(sp.Bits), " ", ","), "[]")
}

// tablePrecision is what networks of a space are measured in: integers where they have bit widths and the device has such sessions, else --precision.
func (m *machine) tablePrecision(sp space.Space) gobind.Precision {
	if sp.IsQuantised() && m.context.Runs(gobind.Int8) {
		return gobind.Int8
	}
	return m.session.Precision
}

// precisionOf is what a network is measured in among those of a space: one without bit widths runs in --precision beside others in integers.
func (m *machine) precisionOf(sp space.Space, a space.Arch) string {
	if !a.IsQuantised() {
		return m.session.Precision.String()
	}
	return m.tablePrecision(sp).String()
}

// measures is the identity of the device that measures networks of a space.
func (m *machine) measures(sp space.Space) latency.Identity {
	id := m.identity
	if m.tablePrecision(sp) == gobind.Int8 {
		id.Precision = latency.Integers
	}
	return id
}

// setup is what latencies of a space's networks are of. It says in a line what becomes of bit widths.
func (m *machine) setup(sp space.Space, net space.Network, h, w int, words io.Writer) (latency.Setup, error) {
	s := latency.Setup{Identity: m.measures(sp), Network: net, H: h, W: w, Batch: 1}
	switch {
	case !sp.IsQuantised():
	case s.Identity.Precision != latency.Integers:
		fmt.Fprintf(words, "bits: %s has no sessions in integers, so latencies are those of the networks in floating point (%v)\n", m.processor(), m.session.Precision)
	case m.session.Precision != gobind.Float32:
		return s, misuse.Errorf("--precision %v: networks of %v run in integers; leave it out, or search without bit widths", m.session.Precision, sp)
	default:
		fmt.Fprintf(words, "bits: latencies are those in integers (%s), at the networks' bit widths\n", latency.Integers)
	}
	return s, nil
}

// setup is machine.setup of the configuration.
func (p *pipeline) setup() (latency.Setup, error) {
	return p.machine.setup(p.cfg.Space, p.net, p.cfg.Height, p.cfg.Width, p.streams.Err)
}

// learnBits lets the supernet learn the space's bit widths, if it has any, in a phase more, as long as its last one, unless one of its phases draws them
// already.
func (c *Config) learnBits() {
	if c.Space.IsQuantised() && !slices.ContainsFunc(c.Shrinking, drawsBits) {
		last := c.Shrinking[len(c.Shrinking)-1]
		last.Quantised = true
		c.Shrinking = append(slices.Clone(c.Shrinking), last)
	}
}

func drawsBits(p train.Phase) bool { return p.Quantised }
