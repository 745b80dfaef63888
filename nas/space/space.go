package space

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
)

// Space is a set of architectures: every stage takes any of Depths, every kept block any of Kernels and of Expands, each
// independently. The lists are ascending and without repeats; Validate says so.
//
// A space with Bits is one of quantised networks: the weights and the activations of every block and of every part outside them take any of
// those widths. Without, it is one of networks in floating point.
type Space struct {
	Kernels []uint8
	Expands []uint8
	Depths  []uint8
	Bits    []uint8
}

// Default returns the space of the method: kernels 3 and 5, expand ratios 3, 4 and 6, depths 2 to 4; about 3.7e9 networks.
func Default() Space {
	return Space{Kernels: []uint8{3, 5}, Expands: []uint8{3, 4, 6}, Depths: []uint8{2, 3, 4}}
}

// Validate returns a misuse error unless the space is well formed. The other methods expect a valid space.
func (sp Space) Validate() error {
	for _, list := range []struct {
		name, right string
		values      []uint8
		legal       func(uint8) bool
	}{
		{"kernels", "3, 5 or 7", sp.Kernels, legalKernel},
		{"expand ratios", "1 to 9", sp.Expands, legalExpand},
		{"depths", "1 to 4", sp.Depths, func(d uint8) bool { return d >= 1 && d <= MaxDepth }},
		{"bit widths", "2 to 8", sp.Bits, legalBits},
	} {
		if len(list.values) == 0 && list.name != "bit widths" {
			return misuse.Errorf("search space without %s; give at least one of %s", list.name, list.right)
		}
		for i, v := range list.values {
			if !list.legal(v) {
				return misuse.Errorf("search space has %d among its %s; %s are allowed", v, list.name, list.right)
			}
			if i > 0 && v <= list.values[i-1] {
				return misuse.Errorf("search space lists its %s as %v; they must ascend without repeats", list.name, list.values)
			}
		}
	}
	return nil
}

// IsQuantised reports whether the space's networks have bit widths.
func (sp Space) IsQuantised() bool { return len(sp.Bits) > 0 }

// Float returns the space of the same networks in floating point.
func (sp Space) Float() Space {
	sp.Bits = nil
	return sp
}

// Widest returns a with the largest bit widths of the space throughout, in a space of floating point without any.
func (sp Space) Widest(a Arch) Arch {
	pairs := sp.BitPairs()
	return a.Quantised(pairs[len(pairs)-1])
}

// BitPairs returns what the bit widths of a part can be, those of the weights in the outer order; in a space of floating point the zero value alone.
func (sp Space) BitPairs() []Bits {
	if !sp.IsQuantised() {
		return []Bits{{}}
	}
	pairs := make([]Bits, 0, len(sp.Bits)*len(sp.Bits))
	for _, w := range sp.Bits {
		for _, a := range sp.Bits {
			pairs = append(pairs, Bits{w, a})
		}
	}
	return pairs
}

// String returns the space as text, such as "k3,5 e3,4,6 d2,3,4", or "k3,5 e3,4,6 d2,3,4 b4,6,8" of quantised networks.
func (sp Space) String() string {
	text := "k" + join(sp.Kernels) + " e" + join(sp.Expands) + " d" + join(sp.Depths)
	if sp.IsQuantised() {
		text += " b" + join(sp.Bits)
	}
	return text
}

func join(values []uint8) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(values), " ", ","), "[]")
}

// MarshalText returns the space's text; as JSON, byte slices would turn into base64.
func (sp Space) MarshalText() ([]byte, error) {
	if err := sp.Validate(); err != nil {
		return nil, err
	}
	return []byte(sp.String()), nil
}

// UnmarshalText reads the text of String; errors are misuse.
func (sp *Space) UnmarshalText(text []byte) error {
	examples := [...]string{"k3,5", "e3,4,6", "d2,3,4", "b4,6,8"}
	fields := strings.Split(string(text), " ")
	quantised := len(fields) == len(examples) && strings.HasPrefix(fields[3], "b")
	if len(fields) != len(examples)-1 && !quantised {
		return misuse.Errorf("search space %.100q; write kernels, expand ratios and depths, as in %q, and bit widths of quantised networks, as in %q",
			text, Default(), examples[3])
	}
	var lists [len(examples)][]uint8
	for i, field := range fields {
		digits, found := strings.CutPrefix(field, examples[i][:1])
		for d := range strings.SplitSeq(digits, ",") {
			if !found || len(d) != 1 || d[0] < '0' || d[0] > '9' {
				return misuse.Errorf("search space %.100q: %.40q should read like %q", text, field, examples[i])
			}
			lists[i] = append(lists[i], d[0]-'0')
		}
	}
	parsed := Space{Kernels: lists[0], Expands: lists[1], Depths: lists[2], Bits: lists[3]}
	if err := parsed.Validate(); err != nil {
		return err
	}
	*sp = parsed
	return nil
}

// Size returns the number of architectures: exactly up to 2^53, beyond that to 15 digits. With three bit widths the default space has 3.8e25.
func (sp Space) Size() float64 {
	pairs := float64(len(sp.BitPairs()))
	blocks := float64(len(sp.Kernels)*len(sp.Expands)) * pairs
	var stage float64
	for _, d := range sp.Depths {
		n := 1.0
		for range d {
			n *= blocks
		}
		stage += n
	}
	size := stage * stage * stage
	for range OuterParts {
		size *= pairs
	}
	return size
}

// Contains reports whether a lies in the space.
func (sp Space) Contains(a Arch) bool {
	if a.IsQuantised() != sp.IsQuantised() {
		return false
	}
	for s, d := range a.Depth {
		if !slices.Contains(sp.Depths, d) {
			return false
		}
		for _, b := range a.Blocks[s][:d] {
			if !slices.Contains(sp.Kernels, b.Kernel) || !slices.Contains(sp.Expands, b.Expand) || !sp.hasBits(b.Bits) {
				return false
			}
		}
	}
	for _, b := range a.Outer {
		if !sp.hasBits(b) {
			return false
		}
	}
	return a.Validate() == nil
}

func (sp Space) hasBits(b Bits) bool {
	return !sp.IsQuantised() || slices.Contains(sp.Bits, b.W) && slices.Contains(sp.Bits, b.A)
}

// Choices returns all blocks of the space, kernels in the outer order, expand ratios in the inner, and innermost bit widths. The shapes alone
// are Float's choices.
func (sp Space) Choices() []Block {
	pairs := sp.BitPairs()
	choices := make([]Block, 0, len(sp.Kernels)*len(sp.Expands)*len(pairs))
	for _, k := range sp.Kernels {
		for _, e := range sp.Expands {
			for _, bits := range pairs {
				choices = append(choices, Block{k, e, bits})
			}
		}
	}
	return choices
}

// Largest returns the architecture of the largest depth, kernel, expand ratio and bit widths everywhere: the supernet itself.
func (sp Space) Largest() Arch {
	choices := sp.Choices()
	return Uniform(sp.maxDepths(), choices[len(choices)-1])
}

func (sp Space) maxDepths() [Stages]uint8 {
	d := sp.Depths[len(sp.Depths)-1]
	return [Stages]uint8{d, d, d}
}

// Covering returns architectures that together hold every distinct operation of the space (Op.Key): a stage's first block
// changes resolution and channels, the later ones are alike, so one network of the largest depth per block choice is enough, and no fewer
// can do. In floating point they are uniform. With bit widths, where the last block is an operation of its own, each place takes all choices in turn.
func (sp Space) Covering() []Arch {
	choices := sp.Choices()
	if sp.IsQuantised() {
		archs := sp.mixed(sp.maxDepths(), choices)
		if least := sp.Depths[0]; least == 1 && len(sp.Depths) > 1 { // a stage's first block may be the network's last, or not
			archs = append(archs, sp.mixed([Stages]uint8{least, least, least}, choices)...)
		}
		return archs
	}
	archs := make([]Arch, len(choices))
	for i, b := range choices {
		archs[i] = Uniform(sp.maxDepths(), b)
	}
	return archs
}

// mixed returns as many architectures as there are choices. Each place takes another choice in each of them. A stage's places are one choice apart, so that
// neighbours in the list, which are measured together, share what they measure; stages are far apart, so that networks differ less in what they cost.
func (sp Space) mixed(depth [Stages]uint8, choices []Block) []Arch {
	pairs := sp.BitPairs()
	archs := make([]Arch, len(choices))
	for n := range archs {
		a := &archs[n]
		a.Depth = depth
		for s, d := range depth {
			for i := range d {
				a.Blocks[s][i] = choices[(n+int(i)+s*len(choices)/Stages)%len(choices)]
			}
		}
		for part := range a.Outer {
			a.Outer[part] = pairs[(n+part)%len(pairs)]
		}
	}
	return archs
}

// All yields every architecture once, in a fixed order. Mind Size before ranging over it.
func (sp Space) All() iter.Seq[Arch] {
	var stages []stage
	for _, d := range sp.Depths {
		stages = append(stages, sp.stagesOf(d)...)
	}
	outers := len(sp.BitPairs())
	outers *= outers * outers * outers * outers
	return func(yield func(Arch) bool) {
		for _, x := range stages {
			for _, y := range stages {
				for _, z := range stages {
					a := Arch{Depth: [Stages]uint8{x.depth, y.depth, z.depth}, Blocks: [Stages][MaxDepth]Block{x.blocks, y.blocks, z.blocks}}
					for i := range outers {
						a.Outer = sp.outer(i)
						if !yield(a) {
							return
						}
					}
				}
			}
		}
	}
}

// outer returns the i-th of all combinations of bit widths outside the blocks.
func (sp Space) outer(i int) (o [OuterParts]Bits) {
	pairs := sp.BitPairs()
	for part := range o {
		o[part] = pairs[i%len(pairs)]
		i /= len(pairs)
	}
	return o
}

type stage struct {
	depth  uint8
	blocks [MaxDepth]Block
}

// stagesOf lists every stage of d blocks.
func (sp Space) stagesOf(d uint8) []stage {
	stages := []stage{{depth: d}}
	for i := range d {
		var longer []stage
		for _, st := range stages {
			for _, b := range sp.Choices() {
				st.blocks[i] = b
				longer = append(longer, st)
			}
		}
		stages = longer
	}
	return stages
}
