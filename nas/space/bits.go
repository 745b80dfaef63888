package space

import "github.com/segnas/segnas/nas/misuse"

const minBits, maxBits = 2, 8 // of weights and of activations: one digit in the canonical text

// Bits are the bit widths of convolutions: of their weights, and of the activations that they read. The zero value is floating point.
type Bits struct{ W, A uint8 }

// OuterParts is the number of quantised parts outside the blocks. The first convolution and the first depthwise-separable one, which see the
// picture and its first features, are never quantised.
const OuterParts = 5

// The indices of Arch.Outer. All but the classifier are depthwise-separable convolutions.
const (
	OuterStem       = iota // the stem's last one
	OuterDetail            // the detail branch
	OuterHead1             // the head's first one
	OuterHead2             // the head's second one
	OuterClassifier        // the head's last convolution
)

var outerNames = [OuterParts]string{"the stem's end", "the detail branch", "the head's first part", "the head's second part", "the classifier"}

// Shape returns the block without its bit widths: what its weights' shapes, its multiply-adds and its latency in floating point depend on.
func (b Block) Shape() Block { return Block{Kernel: b.Kernel, Expand: b.Expand} }

// IsQuantised reports whether a valid architecture has bit widths: it has them throughout or nowhere.
func (a Arch) IsQuantised() bool { return a.Outer != [OuterParts]Bits{} }

// Float returns the architecture without its bit widths.
func (a Arch) Float() Arch { return a.Quantised(Bits{}) }

// Quantised returns the architecture with the same bit widths throughout, whatever it had.
func (a Arch) Quantised(b Bits) Arch {
	for s, d := range a.Depth {
		for i := range min(d, MaxDepth) {
			a.Blocks[s][i].Bits = b
		}
	}
	for i := range a.Outer {
		a.Outer[i] = b
	}
	return a
}

func legalBits(bits uint8) bool { return bits >= minBits && bits <= maxBits }

// suits reports whether the bit widths can be those of a part of a network that is quantised or not.
func (b Bits) suits(quantised bool) bool {
	if !quantised {
		return b == Bits{}
	}
	return legalBits(b.W) && legalBits(b.A)
}

// refusal says why bit widths do not suit a network.
func (b Bits) refusal(place string, quantised bool) error {
	if !quantised {
		return misuse.Errorf("%s has bit widths, and parts outside the blocks have none; a network is quantised throughout or not at all", place)
	}
	return misuse.Errorf("%s has weights of %d bits and activations of %d; %d to %d are allowed", place, b.W, b.A, minBits, maxBits)
}

// appendTo appends the canonical text, such as w8a6; that of floating point is empty.
func (b Bits) appendTo(text []byte) []byte {
	if b == (Bits{}) {
		return text
	}
	return append(text, 'w', '0'+b.W, 'a', '0'+b.A)
}

// ParseBits reads bit widths, such as w8a6. Errors are misuse.
func ParseBits(text string) (Bits, error) {
	b, ok := parseBits(text)
	if !ok || !legalBits(b.W) || !legalBits(b.A) {
		return Bits{}, misuse.Errorf("bit widths %.20q should read like w8a6, with %d to %d bits of weights and of activations", text, minBits, maxBits)
	}
	return b, nil
}

// parseBits reads what appendTo writes for bit widths.
func parseBits(text string) (b Bits, ok bool) {
	if len(text) != len("w8a6") || text[0] != 'w' || text[2] != 'a' {
		return Bits{}, false
	}
	return Bits{text[1] - '0', text[3] - '0'}, true
}
