package space

import (
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func TestSpace_SizeIsCountOfAll(t *testing.T) {
	for _, sp := range []Space{
		{Kernels: []uint8{3}, Expands: []uint8{4}, Depths: []uint8{2}},
		{Kernels: []uint8{3}, Expands: []uint8{3, 6}, Depths: []uint8{1, 3}},
		{Kernels: []uint8{3, 5}, Expands: []uint8{3, 4}, Depths: []uint8{1, 2}},
		{Kernels: []uint8{3}, Expands: []uint8{6}, Depths: []uint8{1, 2}, Bits: []uint8{4}},
		{Kernels: []uint8{3}, Expands: []uint8{6}, Depths: []uint8{1}, Bits: []uint8{4, 8}},
	} {
		seen := map[Arch]bool{}
		for a := range sp.All() {
			if !sp.Contains(a) {
				t.Fatalf("%v: All yields %v, which it does not contain", sp, a)
			}
			seen[a] = true
		}
		if float64(len(seen)) != sp.Size() {
			t.Errorf("%v: All yields %d architectures, Size is %.0f", sp, len(seen), sp.Size())
		}
	}
	if got := Default().Size(); got != 1548*1548*1548 {
		t.Errorf("default space has %.0f architectures", got)
	}
}

func TestSpace_ContainsTheHandMadeOnes(t *testing.T) {
	sp := Default()
	for _, a := range []Arch{Baseline(), HandScaled(), sp.Largest()} {
		if !sp.Contains(a) {
			t.Errorf("%v does not lie in the space", a)
		}
	}
	outside := Uniform([3]uint8{1, 3, 3}, Block{Kernel: 3, Expand: 6})
	seven := Uniform([3]uint8{3, 3, 3}, Block{Kernel: 7, Expand: 6})
	loose := Baseline()
	loose.Blocks[0][3] = Block{Kernel: 3, Expand: 6}
	for _, a := range []Arch{{}, outside, seven, loose, {Depth: [3]uint8{9, 9, 9}}} {
		if sp.Contains(a) {
			t.Errorf("%+v lies in the space", a)
		}
	}
}

func TestSpace_CoveringHoldsEveryDistinctBlock(t *testing.T) {
	sp := Default()
	n := DefaultNetwork(19)
	covered := map[string]bool{}
	for _, a := range sp.Covering() {
		for _, op := range n.Ops(a, 360, 480) {
			covered[op.Key()] = true
		}
	}
	rng := newRand(3)
	for range 300 {
		a := sp.Sample(rng)
		for _, op := range n.Ops(a, 360, 480) {
			if !covered[op.Key()] {
				t.Fatalf("%v: %s is not covered", a, op.Key())
			}
		}
	}
	// Per choice: one kind in stage 1, whose first block has shortcut and size of the others, two in stages 2 and 3.
	if got, want := len(covered), 6*(1+2+2)+4; got != want {
		t.Errorf("%d distinct operations, want %d", got, want)
	}
}

func TestSpace_ValidateAndTextNameWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"k3,5 e3,4,6", "write kernels, expand ratios and depths"},
		{"k3,5  e3,4,6 d2", "write kernels"},
		{"k3;5 e3,4,6 d2", `"k3;5" should read like "k3,5"`},
		{"e3 k3 d2", `"e3" should read like "k3,5"`},
		{"k e3 d2", `should read like "k3,5"`},
		{"k4 e3 d2", "4 among its kernels; 3, 5 or 7"},
		{"k3 e0 d2", "0 among its expand ratios"},
		{"k3 e3 d5", "5 among its depths; 1 to 4"},
		{"k5,3 e3 d2", "must ascend"},
		{"k3 e3 d2,2", "must ascend"},
		{"k3 e3 d2 b1", "1 among its bit widths; 2 to 8"},
		{"k3 e3 d2 b4,9", "9 among its bit widths; 2 to 8"},
		{"k3 e3 d2 b8,4", "must ascend"},
		{"k3 e3 d2 b", `"b" should read like "b4,6,8"`},
		{"k3 e3 d2 8", "and bit widths of quantised networks"},
		{"k3 e3 d2 b8 b8", "write kernels"},
	} {
		sp := Default()
		err := sp.UnmarshalText([]byte(c.text))
		if err == nil || !strings.Contains(err.Error(), c.want) || !misuse.Is(err) {
			t.Errorf("%q: %v, want misuse with %q", c.text, err, c.want)
		}
		if sp.String() != Default().String() {
			t.Errorf("%q: a refused text changed the space", c.text)
		}
	}
	if err := (Space{}).Validate(); err == nil || !misuse.Is(err) {
		t.Errorf("an empty space is valid: %v", err)
	}
}

func FuzzSpaceText(f *testing.F) {
	f.Add(Default().String())
	f.Add("k3 e1 d1")
	f.Add("k3,5 e3,4,6 d2,3,4 b4,6,8")
	f.Fuzz(func(t *testing.T, text string) {
		var sp Space
		if sp.UnmarshalText([]byte(text)) != nil {
			return
		}
		if sp.String() != text || sp.Validate() != nil || sp.Size() < 1 {
			t.Fatalf("%q reads as %v", text, sp)
		}
	})
}
