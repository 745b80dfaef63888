// Package space is the search space of segmentation networks: the architectures, how to draw, mutate and cross them, and
// the operations, multiply-adds and parameters of the network that an architecture stands for.
//
// Only the context branch is searched: three stages that keep the first 2 to 4 of their inverted residual blocks, each
// block with its own depthwise kernel size and expand ratio. Everything here is a pure function of its arguments and
// safe for concurrent use, given a random source of one's own.
package space

import (
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
}

// Arch is an architecture. Blocks beyond a stage's depth are zero, so that == holds exactly for equal networks and an
// Arch can be a map key.
type Arch struct {
	Depth  [Stages]uint8           // blocks kept of each stage
	Blocks [Stages][MaxDepth]Block // the first Depth[s] of stage s count
}

// Uniform returns the architecture of the given depths with the same block everywhere.
func Uniform(depth [Stages]uint8, b Block) Arch {
	a := Arch{Depth: depth}
	for s, d := range depth {
		for i := range d {
			a.Blocks[s][i] = b
		}
	}
	return a
}

// Baseline returns the hand-made network's architecture: three blocks a stage, kernel 3, expand ratio 6.
func Baseline() Arch { return Uniform([Stages]uint8{3, 3, 3}, Block{3, 6}) }

// PublishedMACs and PublishedParams are what is reported of the baseline, for a picture of 1024x2048. No simple reading of its layers reproduces both;
// read literally they give 11.975 G and 1.071 M.
const (
	PublishedMACs   = 7.44e9
	PublishedParams = 1.21e6
)

// HandScaled returns the baseline scaled down by hand: expand ratio 4 and one block less at the highest resolution.
func HandScaled() Arch { return Uniform([Stages]uint8{2, 3, 3}, Block{3, 4}) }

// String returns the canonical text, such as k3e6.k5e4_k3e3.k3e6_k5e6.k3e4.k3e4: stages joined by _, blocks by a dot. It is a
// safe file name, and Parse reads it back.
func (a Arch) String() string {
	text := make([]byte, 0, Stages*MaxDepth*len("k3e6_"))
	for s := range a.Blocks {
		if s > 0 {
			text = append(text, '_')
		}
		for i, b := range a.Blocks[s][:min(a.Depth[s], MaxDepth)] {
			if i > 0 {
				text = append(text, '.')
			}
			text = append(text, 'k', '0'+b.Kernel, 'e', '0'+b.Expand)
		}
	}
	return string(text)
}

// Validate returns an error unless a is the value of some canonical text: depths of 1 to 4, odd kernels of 3 to 7, expand
// ratios of 1 to 9, and nothing beyond the depths.
func (a Arch) Validate() error {
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
	if len(stages) != Stages {
		return Arch{}, misuse.Errorf("architecture %.100q has %d stages; %d are needed, joined by _, as in %s", text, len(stages), Stages, Baseline())
	}
	for s, stage := range stages {
		blocks := strings.Split(stage, ".")
		if len(blocks) > MaxDepth {
			return Arch{}, misuse.Errorf("architecture %.100q: stage %d has %d blocks; 1 to %d are allowed", text, s+1, len(blocks), MaxDepth)
		}
		a.Depth[s] = uint8(len(blocks))
		for i, b := range blocks {
			if len(b) != len("k3e6") || b[0] != 'k' || b[2] != 'e' {
				return Arch{}, misuse.Errorf("architecture %.100q: stage %d block %d reads %.20q; a block reads like k3e6", text, s+1, i+1, b)
			}
			a.Blocks[s][i] = Block{Kernel: b[1] - '0', Expand: b[3] - '0'}
		}
	}
	if err := a.Validate(); err != nil {
		return Arch{}, misuse.Errorf("architecture %.100q: %w", text, err)
	}
	return a, nil
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

// Distance is the share of genes in which two architectures differ, from 0 to 1. The genes are the depths, and the kernel and
// expand ratio of every block that at least one of the two has; where only one has it, both genes differ.
func Distance(a, b Arch) float64 {
	genes, differ := 0, 0
	count := func(x, y uint8) {
		genes++
		if x != y {
			differ++
		}
	}
	for s := range a.Depth {
		count(a.Depth[s], b.Depth[s])
		for i := range max(a.Depth[s], b.Depth[s]) {
			count(a.Blocks[s][i].Kernel, b.Blocks[s][i].Kernel)
			count(a.Blocks[s][i].Expand, b.Blocks[s][i].Expand)
		}
	}
	return float64(differ) / float64(genes)
}
