package space

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

// quantised is the default space with the method's bit widths.
func quantised() Space {
	sp := Default()
	sp.Bits = []uint8{4, 6, 8}
	return sp
}

func TestArch_QuantisedTextIsCanonicalAndAFileName(t *testing.T) {
	a := Uniform([Stages]uint8{1, 2, 1}, Block{3, 6, Bits{8, 6}})
	a.Blocks[1][1] = Block{5, 3, Bits{4, 8}}
	a.Outer[OuterDetail], a.Outer[OuterClassifier] = Bits{4, 6}, Bits{2, 8}
	want := "k3e6w8a6_k3e6w8a6.k5e3w4a8_k3e6w8a6_w8a6.w4a6.w8a6.w8a6.w2a8"
	if a.String() != want {
		t.Errorf("text is %s, want %s", a, want)
	}
	rng := newRand(11)
	for range 1000 {
		a := quantised().Sample(rng)
		if b, err := Parse(a.String()); err != nil || b != a {
			t.Fatalf("Parse(%s) = %v, %v", a, b, err)
		}
	}
	longest := quantised().Largest().String()
	if len(longest) != 132 || strings.Trim(longest, "abcdefghijklmnopqrstuvwxyz0123456789._") != "" {
		t.Errorf("%s has %d characters", longest, len(longest))
	}
}

func TestParse_NamesWhatIsWrongWithBitWidths(t *testing.T) {
	const eight = "w8a8.w8a8.w8a8.w8a8.w8a8"
	for _, c := range []struct{ text, want string }{
		{"k3e6w8a8_k3e6w8a8_k3e6w8a8", `stage 1 block 1 reads "k3e6w8a8", and a fourth section is missing`},
		{"k3e6_k3e6_k3e6_" + eight, `stage 1 block 1 reads "k3e6"; a block reads like k3e6w8a6`},
		{"k3e6w8a8_k3e6w8a8.k3e6_k3e6w8a8_" + eight, `stage 2 block 2 reads "k3e6"`},
		{"k3e6w9a8_k3e6w8a8_k3e6w8a8_" + eight, "stage 1 block 1 has weights of 9 bits and activations of 8; 2 to 8 are allowed"},
		{"k3e6w8a8_k3e6w8a8_k3e6w8a1_" + eight, "stage 3 block 1 has weights of 8 bits and activations of 1"},
		{"k3e6w8a8_k3e6w8a8_k3e6w8a8_w8a8.w0a8.w8a8.w8a8.w8a8", "the detail branch has weights of 0 bits"},
		{"k3e6w8a8_k3e6w8a8_k3e6w8a8_w8a8.w8a8.w8a8.w8a8", "4 parts outside the blocks have bit widths; 5 do"},
		{"k3e6w8a8_k3e6w8a8_k3e6w8a8_w8a8.w8a8.w8.w8a8.w8a8", `the head's first part reads "w8"; bit widths read like w8a6`},
		{"k3e6w8a8_k3e6w8a8_k3e6w8a8_" + eight + "_", "5 stages"},
		{"k3e6w8_k3e6w8_k3e6w8", `reads "k3e6w8"; a block reads like k3e6`},
		{"k3e6a8w8_k3e6w8a8_k3e6w8a8_" + eight, `reads "k3e6a8w8"`},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !misuse.Is(err) {
			t.Errorf("Parse(%q): %v, want misuse with %q", c.text, err, c.want)
		}
	}
}

func TestArch_IsQuantisedThroughoutOrNotAtAll(t *testing.T) {
	a := Baseline().Quantised(Bits{6, 4})
	if !a.IsQuantised() || Baseline().IsQuantised() || a.Float() != Baseline() || a.Validate() != nil {
		t.Errorf("%v and %v", a, a.Float())
	}
	for _, change := range []func(*Arch){
		func(a *Arch) { a.Blocks[1][1].Bits = Bits{} },
		func(a *Arch) { a.Blocks[1][1].Bits.W = 0 },
		func(a *Arch) { a.Blocks[0][3].Bits = Bits{8, 8} }, // beyond the stage's depth
		func(a *Arch) { a.Outer[OuterHead1] = Bits{} },
		func(a *Arch) { a.Outer = [OuterParts]Bits{} },
	} {
		half := a
		change(&half)
		if err := half.Validate(); err == nil || !misuse.Is(err) {
			t.Errorf("%+v is valid", half)
		}
	}
}

func TestDistance_CountsBitWidthsWhereThereAreAny(t *testing.T) {
	eight := Baseline().Quantised(Bits{8, 8})
	one, outer := eight, eight
	one.Blocks[1][1].Bits.W = 4
	outer.Outer[OuterStem] = Bits{4, 6}
	const genes = 3 + 9*4 + 2*OuterParts
	for _, c := range []struct {
		name string
		b    Arch
		want float64
	}{
		{"same", eight, 0},
		{"one width", one, 1.0 / genes},
		{"one part", outer, 2.0 / genes},
		{"all activations", Baseline().Quantised(Bits{8, 4}), (9 + OuterParts) / float64(genes)},
		{"in floating point", Baseline(), 2 * (9 + OuterParts) / float64(genes)},
	} {
		if got, back := Distance(eight, c.b), Distance(c.b, eight); got != c.want || back != c.want {
			t.Errorf("%s: %v and %v, want %v", c.name, got, back, c.want)
		}
	}
}

func TestSpace_FloatAndQuantisedHoldDifferentNetworks(t *testing.T) {
	sp := quantised()
	rng := newRand(12)
	a := sp.Sample(rng)
	if !sp.Contains(a) || sp.Contains(a.Float()) || Default().Contains(a) || !Default().Contains(a.Float()) {
		t.Errorf("%v and %v lie in the wrong spaces", a, a.Float())
	}
	for _, change := range []func(*Arch){
		func(a *Arch) { a.Blocks[0][0].Bits.A = 5 },
		func(a *Arch) { a.Outer[OuterClassifier].W = 2 },
	} {
		other := a
		change(&other)
		if sp.Contains(other) {
			t.Errorf("%v lies in %v", other, sp)
		}
	}
	if sp.Float().String() != Default().String() || sp.Float().Contains(a) {
		t.Errorf("%v without bit widths is %v", sp, sp.Float())
	}
	if got, want := sp.Widest(HandScaled()), HandScaled().Quantised(Bits{8, 8}); got != want || !sp.Contains(got) {
		t.Errorf("widest is %v, want %v", got, want)
	}
	if got := Default().Widest(HandScaled()); got != HandScaled() {
		t.Errorf("widest in floating point is %v", got)
	}
	if got := sp.Largest(); !sp.Contains(got) || got.Outer[0] != (Bits{8, 8}) || got.Blocks[2][3] != (Block{5, 6, Bits{8, 8}}) {
		t.Errorf("largest is %v", got)
	}
	// (54^2 + 54^3 + 54^4)^3 blocks, nine pairs for each of five parts outside.
	if got, want := sp.Size(), math.Pow(2916+157464+8503056, 3)*59049; math.Abs(got/want-1) > 1e-14 {
		t.Errorf("%v has %v networks, want %v", sp, got, want)
	}
}

func TestSpace_QuantisedGenesDrawMutateAndCrossByThemselves(t *testing.T) {
	sp := quantised()
	rng := newRand(13)
	const n, p = 6000, 0.2
	drawn := map[Bits]int{}
	var mutated, crossed [4]int // of a block's weights and activations, of a part's
	for range n {
		a, b := sp.Sample(rng), sp.Sample(rng)
		drawn[a.Blocks[1][1].Bits]++
		drawn[a.Outer[OuterHead2]]++
		m, c := sp.Mutate(rng, a, p), sp.Cross(rng, a, b)
		if !sp.Contains(a) || !sp.Contains(m) || !sp.Contains(c) || sp.Mutate(rng, a, 0) != a || sp.Cross(rng, a, a) != a {
			t.Fatalf("%v, %v or %v", a, m, c)
		}
		count(&mutated, a, m)
		x, y := HandScaled().Quantised(Bits{4, 4}), HandScaled().Quantised(Bits{8, 8})
		count(&crossed, x, sp.Cross(rng, x, y))
	}
	for bits, c := range drawn {
		if want := 2.0 * n / 9; len(drawn) != 9 || math.Abs(float64(c)-want) > 5*math.Sqrt(want) {
			t.Errorf("%v drawn %d times of %d", bits, c, 2*n)
		}
	}
	// A redrawn width stays as it was one time in three; the two of a part change together only by chance.
	for i := range mutated {
		near := func(name string, got int, want float64) {
			if math.Abs(float64(got)/n-want) > 0.025 {
				t.Errorf("gene %d %s in %d of %d children, want about %.3f", i, name, got, n, want)
			}
		}
		want, both := p*2/3, p*2/3*p*2/3
		if i%2 == 1 {
			near("changed with its neighbour", mutated[i], both)
			near("came with its neighbour", crossed[i], 0.25)
		} else {
			near("changed", mutated[i], want)
			near("came from the second", crossed[i], 0.5)
		}
	}
}

// count counts changed widths: the weights' of a block, both of it, the weights' of a part outside, both of it.
func count(changed *[4]int, a, b Arch) {
	for i, pair := range [][2]Bits{{a.Blocks[2][0].Bits, b.Blocks[2][0].Bits}, {a.Outer[OuterDetail], b.Outer[OuterDetail]}} {
		if pair[0].W != pair[1].W {
			changed[2*i]++
			if pair[0].A != pair[1].A {
				changed[2*i+1]++
			}
		}
	}
}

func TestSpace_QuantisedCoveringHoldsEveryDistinctOperation(t *testing.T) {
	for _, c := range []struct {
		depths, bits    []uint8
		networks, wants int
	}{
		// Per choice of 54: the first block and the others of stages 1 and 2, in stage 3 the last one too; nine pairs of each part, and the fuse.
		{[]uint8{2, 3, 4}, []uint8{4, 6, 8}, 54, 54*(2+2+3) + 4*9 + 1},
		// The first block of stage 3 may be the last one, too.
		{[]uint8{1, 3}, []uint8{4, 8}, 2 * 24, 24*(2+2+4) + 4*4 + 1},
		{[]uint8{1}, []uint8{4, 8}, 24, 24*(1+1+1) + 4*4 + 1},
		// Of two blocks the second is the last.
		{[]uint8{2}, []uint8{6}, 6, 6*(2+2+2) + 4 + 1},
	} {
		sp := Default()
		sp.Depths, sp.Bits = c.depths, c.bits
		n, covered := DefaultNetwork(19), map[string]bool{}
		archs := sp.Covering()
		for _, a := range archs {
			if !sp.Contains(a) {
				t.Errorf("%v: %v covers, and is not in it", sp, a)
			}
			for _, op := range n.Ops(a, 360, 480) {
				covered[op.Key()] = true
			}
		}
		if len(archs) != c.networks || len(covered) != c.wants {
			t.Errorf("%v: %d networks with %d operations, want %d with %d", sp, len(archs), len(covered), c.networks, c.wants)
		}
		rng := newRand(15)
		for range 300 {
			a := sp.Sample(rng)
			for _, op := range n.Ops(a, 360, 480) {
				if !covered[op.Key()] {
					t.Fatalf("%v: %s of %v is not covered", sp, op.Key(), a)
				}
			}
		}
	}
}

func TestOp_KeySpellsBitWidths(t *testing.T) {
	a, err := Parse("k3e6w4a8.k3e6w4a8_k5e3w8a6_k3e4w8a8.k3e4w6a4_w4a6.w8a4.w6a6.w8a8.w6a8")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{
		"stem 1024x2048x3-128x256x64 w4a6",
		"block 128x256x64-128x256x64 e6 k3 s1 res w4a8 unsigned",
		"block 128x256x64-128x256x64 e6 k3 s1 res w4a8",
		"block 128x256x64-64x128x96 e3 k5 s2 w8a6",
		"block 64x128x96-32x64x128 e4 k3 s2 w8a8",
		"block 32x64x128-32x64x128 e4 k3 s1 res w6a4 last",
		"detail 128x256x64-128x256x128 w8a4",
		"nearest 32x64x128-128x256x128",
		"separable 128x256x128-128x256x128 w6a6",
		"separable 128x256x128-128x256x128 w8a8",
		"classifier 128x256x128-1024x2048x19 w6a8",
	} {
		if got := DefaultNetwork(19).Ops(a, 1024, 2048)[i].Key(); got != want {
			t.Errorf("operation %d: %q, want %q", i, got, want)
		}
	}
}

// Bit widths cut a head into more operations and change nothing that is counted.
func TestNetwork_QuantisedOpsHaveTheSameConvolutions(t *testing.T) {
	n, rng := DefaultNetwork(19), newRand(14)
	convs := func(a Arch) (all []Conv) {
		for _, op := range n.Ops(a, 360, 480) {
			for _, c := range op.Convs() {
				c.Name, c.Bits = "", Bits{}
				all = append(all, c)
			}
		}
		return all
	}
	for range 50 {
		a := quantised().Sample(rng)
		if got, want := convs(a), convs(a.Float()); !slices.Equal(got, want) || n.MACs(a, 360, 480) != n.MACs(a.Float(), 360, 480) || n.Params(a) != n.Params(a.Float()) {
			t.Errorf("%v has %+v, in floating point %+v", a, got, want)
		}
	}
}
