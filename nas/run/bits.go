package run

import (
	"slices"
	"strconv"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/train"
)

// bitsFlag makes the space one of bit widths.
type bitsFlag struct{ c *Config }

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
	f.c.Space.Bits = bits
	return f.c.Space.Validate()
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
