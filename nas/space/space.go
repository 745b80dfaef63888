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
type Space struct {
	Kernels []uint8
	Expands []uint8
	Depths  []uint8
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
	} {
		if len(list.values) == 0 {
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

// String returns the space as text, such as "k3,5 e3,4,6 d2,3,4".
func (sp Space) String() string {
	return "k" + join(sp.Kernels) + " e" + join(sp.Expands) + " d" + join(sp.Depths)
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
	fields := strings.Split(string(text), " ")
	if len(fields) != 3 {
		return misuse.Errorf("search space %.100q; write kernels, expand ratios and depths, as in %q", text, Default())
	}
	var lists [3][]uint8
	for i, field := range fields {
		digits, found := strings.CutPrefix(field, "ked"[i:i+1])
		for d := range strings.SplitSeq(digits, ",") {
			if !found || len(d) != 1 || d[0] < '0' || d[0] > '9' {
				return misuse.Errorf("search space %.100q: %.40q should read like %q", text, field, strings.Fields(Default().String())[i])
			}
			lists[i] = append(lists[i], d[0]-'0')
		}
	}
	parsed := Space{Kernels: lists[0], Expands: lists[1], Depths: lists[2]}
	if err := parsed.Validate(); err != nil {
		return err
	}
	*sp = parsed
	return nil
}

// Size returns the number of architectures, exactly: the largest legal space has 1.7e17.
func (sp Space) Size() int64 {
	blocks := int64(len(sp.Kernels) * len(sp.Expands))
	var stage int64
	for _, d := range sp.Depths {
		n := int64(1)
		for range d {
			n *= blocks
		}
		stage += n
	}
	return stage * stage * stage
}

// Contains reports whether a lies in the space.
func (sp Space) Contains(a Arch) bool {
	for s, d := range a.Depth {
		if !slices.Contains(sp.Depths, d) {
			return false
		}
		for _, b := range a.Blocks[s][:d] {
			if !slices.Contains(sp.Kernels, b.Kernel) || !slices.Contains(sp.Expands, b.Expand) {
				return false
			}
		}
	}
	return a.Validate() == nil
}

// Choices returns all blocks of the space, kernels in the outer order, expand ratios in the inner.
func (sp Space) Choices() []Block {
	choices := make([]Block, 0, len(sp.Kernels)*len(sp.Expands))
	for _, k := range sp.Kernels {
		for _, e := range sp.Expands {
			choices = append(choices, Block{k, e})
		}
	}
	return choices
}

// Largest returns the architecture of the largest depth, kernel and expand ratio everywhere: the supernet itself.
func (sp Space) Largest() Arch {
	return Uniform(sp.maxDepths(), Block{sp.Kernels[len(sp.Kernels)-1], sp.Expands[len(sp.Expands)-1]})
}

func (sp Space) maxDepths() [Stages]uint8 {
	d := sp.Depths[len(sp.Depths)-1]
	return [Stages]uint8{d, d, d}
}

// Covering returns architectures that together hold every distinct block operation of the space: a stage's first block
// changes resolution and channels, the later ones are alike, so one uniform network of the largest depth per block choice is
// enough, and no fewer can do.
func (sp Space) Covering() []Arch {
	choices := sp.Choices()
	archs := make([]Arch, len(choices))
	for i, b := range choices {
		archs[i] = Uniform(sp.maxDepths(), b)
	}
	return archs
}

// All yields every architecture once, in a fixed order. Mind Size before ranging over it.
func (sp Space) All() iter.Seq[Arch] {
	var stages []stage
	for _, d := range sp.Depths {
		stages = append(stages, sp.stagesOf(d)...)
	}
	return func(yield func(Arch) bool) {
		for _, x := range stages {
			for _, y := range stages {
				for _, z := range stages {
					a := Arch{[Stages]uint8{x.depth, y.depth, z.depth}, [Stages][MaxDepth]Block{x.blocks, y.blocks, z.blocks}}
					if !yield(a) {
						return
					}
				}
			}
		}
	}
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
