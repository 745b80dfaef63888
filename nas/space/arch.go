// Package space is the search space of segmentation networks: the architectures, how to draw, mutate and cross them, and
// the operations, multiply-adds and parameters of the network that an architecture stands for.
//
// Only the context branch is searched: three stages that keep the first 2 to 4 of their inverted residual blocks, each
// block with its own depthwise kernel size and expand ratio. Everything here is a pure function of its arguments and
// safe for concurrent use, given a random source of one's own.
package space

import (
	"fmt"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
)

const (
	// Stages is the number of searched stages.
	Stages = 3
	// MaxDepth is the largest number of blocks in a stage.
	MaxDepth = 4

	minKernel, maxKernel = 3, 7 // odd sizes only: the depthwise kernels of the library
	minExpand, maxExpand = 1, 9 // one digit in the canonical text
)

// Block is one inverted residual block: pointwise to Expand times the input channels, depthwise Kernel x Kernel,
// pointwise to the output channels.
type Block struct {
	Kernel uint8 // 3, 5 or 7
	Expand uint8 // middle channels over input channels
	Bits   Bits  // of its three convolutions
}

// Arch is an architecture, in floating point or quantised throughout. Blocks beyond a stage's depth are zero, so that == holds exactly for
// equal networks and an Arch can be a map key.
type Arch struct {
	Depth  [Stages]uint8           // blocks kept of each stage
	Blocks [Stages][MaxDepth]Block // the first Depth[s] of stage s count
	Outer  [OuterParts]Bits        // of the quantised parts outside the blocks
}

// Uniform returns the architecture of the given depths with the same block everywhere, and its bit widths outside the blocks too.
func Uniform(depth [Stages]uint8, b Block) Arch {
	a := Arch{Depth: depth}
	for s, d := range depth {
		for i := range d {
			a.Blocks[s][i] = b
		}
	}
	for i := range a.Outer {
		a.Outer[i] = b.Bits
	}
	return a
}

// Baseline returns the hand-made network's architecture: three blocks a stage, kernel 3, expand ratio 6.
func Baseline() Arch { return Uniform([Stages]uint8{3, 3, 3}, Block{Kernel: 3, Expand: 6}) }

// PublishedMACs and PublishedParams are what is reported of the baseline, for a picture of 1024x2048. No simple reading of its layers reproduces both;
// read literally they give 11.975 G and 1.071 M.
const (
	PublishedMACs   = 7.44e9
	PublishedParams = 1.21e6
)

// HandScaled returns the baseline scaled down by hand: expand ratio 4 and one block less at the highest resolution.
func HandScaled() Arch { return Uniform([Stages]uint8{2, 3, 3}, Block{Kernel: 3, Expand: 4}) }

// String returns the canonical text, such as k3e6.k5e4_k3e3.k3e6_k5e6.k3e4.k3e4: stages joined by _, blocks by a dot. Bit widths follow a block's
// expand ratio, as in k3e6w8a6, and those of the parts outside the blocks make a fourth section, as in w8a8.w4a6.w8a8.w6a6.w8a8. It is a safe file
// name, of 132 bytes at most, and Parse reads it back.
func (a Arch) String() string {
	text := make([]byte, 0, Stages*MaxDepth*len("k3e6w8a6_")+OuterParts*len("w8a6."))
	for s := range a.Blocks {
		if s > 0 {
			text = append(text, '_')
		}
		for i, b := range a.Blocks[s][:min(a.Depth[s], MaxDepth)] {
			if i > 0 {
				text = append(text, '.')
			}
			text = b.Bits.appendTo(append(text, 'k', '0'+b.Kernel, 'e', '0'+b.Expand))
		}
	}
	if a.IsQuantised() {
		for i, b := range a.Outer {
			text = b.appendTo(append(text, "_...."[i]))
		}
	}
	return string(text)
}

// Validate returns an error unless a is the value of some canonical text: depths of 1 to 4, odd kernels of 3 to 7, expand
// ratios of 1 to 9, bit widths of 2 to 8 throughout or none, and nothing beyond the depths.
func (a Arch) Validate() error {
	quantised := a.IsQuantised()
	for s, d := range a.Depth {
		if d < 1 || d > MaxDepth {
			return misuse.Errorf("stage %d has %d blocks; 1 to %d are allowed", s+1, d, MaxDepth)
		}
		for i, b := range a.Blocks[s] {
			if i >= int(d) {
				if b != (Block{}) {
					return misuse.Errorf("stage %d keeps %d blocks but block %d is not empty", s+1, d, i+1)
				}
				continue
			}
			if !legalKernel(b.Kernel) || !legalExpand(b.Expand) {
				return misuse.Errorf("stage %d block %d has kernel %d and expand ratio %d; kernels are 3, 5 or 7, expand ratios %d to %d",
					s+1, i+1, b.Kernel, b.Expand, minExpand, maxExpand)
			}
			if !b.Bits.suits(quantised) {
				return b.Bits.refusal(fmt.Sprintf("stage %d block %d", s+1, i+1), quantised)
			}
		}
	}
	for i, b := range a.Outer {
		if !b.suits(quantised) {
			return b.refusal(outerNames[i], quantised)
		}
	}
	return nil
}

func legalKernel(k uint8) bool { return k%2 == 1 && k >= minKernel && k <= maxKernel }
func legalExpand(e uint8) bool { return e >= minExpand && e <= maxExpand }

// Parse reads the canonical text of an architecture, and nothing else: Parse(text).String() == text. Whether the result lies in
// a given space is for Space.Contains to say. Errors are misuse.
func Parse(text string) (Arch, error) {
	var a Arch
	stages := strings.Split(text, "_")
	quantised := len(stages) == Stages+1 && strings.HasPrefix(stages[Stages], "w")
	if quantised {
		if err := a.parseOuter(stages[Stages]); err != nil {
			return Arch{}, misuse.Errorf("architecture %.150q: %w", text, err)
		}
		stages = stages[:Stages]
	}
	if len(stages) != Stages {
		return Arch{}, misuse.Errorf("architecture %.150q has %d stages; %d are needed, joined by _, as in %s", text, len(stages), Stages, Baseline())
	}
	for s, stage := range stages {
		blocks := strings.Split(stage, ".")
		if len(blocks) > MaxDepth {
			return Arch{}, misuse.Errorf("architecture %.150q: stage %d has %d blocks; 1 to %d are allowed", text, s+1, len(blocks), MaxDepth)
		}
		a.Depth[s] = uint8(len(blocks))
		for i, b := range blocks {
			var err error
			if a.Blocks[s][i], err = parseBlock(b, quantised); err != nil {
				return Arch{}, misuse.Errorf("architecture %.150q: stage %d block %d %w", text, s+1, i+1, err)
			}
		}
	}
	if err := a.Validate(); err != nil {
		return Arch{}, misuse.Errorf("architecture %.150q: %w", text, err)
	}
	return a, nil
}

// parseOuter reads the section of the parts outside the blocks.
func (a *Arch) parseOuter(section string) error {
	parts := strings.Split(section, ".")
	if len(parts) != OuterParts {
		return misuse.Errorf("%d parts outside the blocks have bit widths; %d do", len(parts), OuterParts)
	}
	for i, part := range parts {
		var ok bool
		if a.Outer[i], ok = parseBits(part); !ok {
			return misuse.Errorf("%s reads %.20q; bit widths read like w8a6", outerNames[i], part)
		}
	}
	return nil
}

// parseBlock reads a block with bit widths or without.
func parseBlock(text string, quantised bool) (Block, error) {
	const shape = len("k3e6")
	form := "k3e6"
	if quantised {
		form = "k3e6w8a6 where parts outside the blocks have bit widths"
	}
	if len(text) < shape || text[0] != 'k' || text[2] != 'e' {
		return Block{}, misuse.Errorf("reads %.20q; a block reads like %s", text, form)
	}
	b := Block{Kernel: text[1] - '0', Expand: text[3] - '0'}
	bits, ok := parseBits(text[shape:])
	if !quantised && ok {
		return Block{}, misuse.Errorf("reads %.20q, and a fourth section is missing, with the bit widths outside the blocks, as in _w8a8.w8a8.w8a8.w8a8.w8a8", text)
	}
	if ok != quantised || !quantised && len(text) != shape {
		return Block{}, misuse.Errorf("reads %.20q; a block reads like %s", text, form)
	}
	b.Bits = bits
	return b, nil
}

// MarshalText returns the canonical text; an Arch without one is an error.
func (a Arch) MarshalText() ([]byte, error) {
	if err := a.Validate(); err != nil {
		return nil, err
	}
	return []byte(a.String()), nil
}

// UnmarshalText is Parse.
func (a *Arch) UnmarshalText(text []byte) error {
	parsed, err := Parse(string(text))
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// Distance is the share of genes in which two architectures differ, from 0 to 1. The genes are the depths, the kernel and expand ratio of every
// block that at least one of the two has, and where one of them is quantised, the bit widths of all these and of the parts outside the blocks. Where
// only one has a block, its genes differ.
func Distance(a, b Arch) float64 {
	genes, differ := 0, 0
	count := func(x, y uint8) {
		genes++
		if x != y {
			differ++
		}
	}
	quantised := a.IsQuantised() || b.IsQuantised()
	countBits := func(x, y Bits) {
		if quantised {
			count(x.W, y.W)
			count(x.A, y.A)
		}
	}
	for s := range a.Depth {
		count(a.Depth[s], b.Depth[s])
		for i := range max(a.Depth[s], b.Depth[s]) {
			count(a.Blocks[s][i].Kernel, b.Blocks[s][i].Kernel)
			count(a.Blocks[s][i].Expand, b.Blocks[s][i].Expand)
			countBits(a.Blocks[s][i].Bits, b.Blocks[s][i].Bits)
		}
	}
	for i := range a.Outer {
		countBits(a.Outer[i], b.Outer[i])
	}
	return float64(differ) / float64(genes)
}
