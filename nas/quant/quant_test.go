package quant

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/space"
)

const height, width = 1024, 2048

var (
	net   = space.DefaultNetwork(19)
	eight = space.Baseline().Quantised(space.Bits{W: 8, A: 8})
)

func TestLayers_GoldenTableOfTheLiteralNetwork(t *testing.T) {
	golden, err := os.ReadFile("testdata/literal.golden")
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, l := range Layers(net, eight, height, width) {
		fmt.Fprintf(&text, "%-26s %10d MACs %6d weights %4d channels  w%da%d %13d bit operations %7d bytes\n",
			l.Name, l.MACs, l.Weights, l.Channels, l.Bits.W, l.Bits.A, l.BitOps(), l.Bytes())
	}
	if text.String() != string(golden) {
		t.Errorf("differs from testdata/literal.golden:\n%s", text.String())
	}
}

// The method's own figures, and what of its published count of multiply-adds is in floating point.
func TestBitOps_OfTheMethod(t *testing.T) {
	var all, counted int64
	for _, l := range Layers(net, eight, height, width) {
		all += l.MACs
		if l.Bits != (space.Bits{}) {
			counted += l.MACs
		}
	}
	if all != net.MACs(eight, height, width) {
		t.Errorf("%d multiply-adds, the network has %d", all, net.MACs(eight, height, width))
	}
	published := space.PublishedMACs - float64(all-counted)
	for _, c := range []struct {
		name      string
		got, want float64 // in G
		within    float64
	}{
		{"multiply-adds that count", float64(counted), 11.283, 0.0005},
		{"literal at 8/8", float64(BitOps(net, eight, height, width)), 722.1, 0.05},
		{"literal at 6/6", float64(BitOps(net, space.Baseline().Quantised(space.Bits{W: 6, A: 6}), height, width)), 406.2, 0.05},
		{"published at 8/8", published * 64, 432, 0.5},
		{"published at 6/6", published * 36, 243, 0.5},
		{"in floating point", float64(BitOps(net, space.Baseline(), height, width)), 0, 0},
	} {
		if math.Abs(c.got/1e9-c.want) > c.within {
			t.Errorf("%s: %.4f G, want %.4g", c.name, c.got/1e9, c.want)
		}
	}
}

// A part's widths reach its own convolutions, all of them, and no others.
func TestLayers_EveryWidthHasItsConvolutions(t *testing.T) {
	change := func(f func(*space.Arch, space.Bits)) space.Arch {
		a := eight
		f(&a, space.Bits{W: 4, A: 6})
		return a
	}
	outer := func(part int) space.Arch { return change(func(a *space.Arch, b space.Bits) { a.Outer[part] = b }) }
	for _, c := range []struct {
		a    space.Arch
		want string
	}{
		{outer(space.OuterStem), "stem.sep2.depthwise stem.sep2.pointwise"},
		{outer(space.OuterDetail), "detail.depthwise detail.pointwise"},
		{outer(space.OuterHead1), "head.sep1.depthwise head.sep1.pointwise"},
		{outer(space.OuterHead2), "head.sep2.depthwise head.sep2.pointwise"},
		{outer(space.OuterClassifier), "head.classifier"},
		{change(func(a *space.Arch, b space.Bits) { a.Blocks[1][2].Bits = b }), "stage2.block3.expand stage2.block3.depthwise stage2.block3.project"},
	} {
		var changed []string
		for i, l := range Layers(net, c.a, height, width) {
			if before := Layers(net, eight, height, width)[i]; l != before {
				changed = append(changed, l.Name)
				if l.BitOps()*64 != before.BitOps()*24 {
					t.Errorf("%s has %d bit operations, before %d", l.Name, l.BitOps(), before.BitOps())
				}
			}
		}
		if got := strings.Join(changed, " "); got != c.want {
			t.Errorf("changed: %s; want %s", got, c.want)
		}
	}
}

func TestModelBytes_CountsPackedWeightsScalesAndWhatStaysFloat(t *testing.T) {
	var weights, channels, layers, floats int64
	for _, l := range Layers(net, eight, 1, 1) {
		if l.Bits == (space.Bits{}) {
			floats += 4 * (l.Weights + int64(l.Channels))
			continue
		}
		weights, channels, layers = weights+l.Weights, channels+int64(l.Channels), layers+1
	}
	// The first convolution 3x3x3 to 32 channels, then 3x3 of those and 32 to 48.
	if want := int64(4 * (27*32 + 32 + 9*32 + 32 + 32*48 + 48)); floats != want {
		t.Errorf("%d bytes in floating point, want %d", floats, want)
	}
	for bits := uint8(2); bits <= 8; bits++ {
		a := space.Baseline().Quantised(space.Bits{W: bits, A: 8})
		want := floats + weights*int64(bits)/8 + 8*channels + 4*layers
		if got := ModelBytes(net, a); got < want || got >= want+layers { // each layer is rounded up to a byte
			t.Errorf("%d bits: %d bytes, want %d", bits, got, want)
		}
		if got := ModelBytes(net, space.Baseline().Quantised(space.Bits{W: bits, A: 2})); got != ModelBytes(net, a) {
			t.Errorf("%d bits: %d bytes with fewer bits of activations", bits, got)
		}
	}
	// In floating point: the parameters with scale and shift of batch norm folded to a bias.
	if got, want := ModelBytes(net, space.Baseline()), floats+4*(weights+channels); got != want {
		t.Errorf("in floating point %d bytes, want %d", got, want)
	}
	odd := Layer{Weights: 3, Channels: 1, Bits: space.Bits{W: 3, A: 8}} // nine bits
	if got := odd.Bytes(); got != 2+8+4 {
		t.Errorf("three weights of three bits take %d bytes", got)
	}
}

func TestBitOps_FallWithEveryWidth(t *testing.T) {
	sp := space.Default()
	sp.Bits = []uint8{4, 6, 8}
	rng := rand.New(rand.NewPCG(1, 0))
	for range 200 {
		a := sp.Sample(rng)
		least, most := BitOps(net, a.Quantised(space.Bits{W: 4, A: 4}), 64, 128), BitOps(net, a.Quantised(space.Bits{W: 8, A: 8}), 64, 128)
		if got := BitOps(net, a, 64, 128); got < least || got > most || least*4 != most {
			t.Errorf("%v: %d bit operations, %d at 4/4 and %d at 8/8", a, got, least, most)
		}
		if got, least, most := ModelBytes(net, a), ModelBytes(net, a.Quantised(space.Bits{W: 4, A: 4})), ModelBytes(net, a.Float()); got < least || got >= most {
			t.Errorf("%v: %d bytes, %d at 4/4 and %d in floating point", a, got, least, most)
		}
	}
}
