package run

import (
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/quant"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// quantisedSettings is a file of settings whose space has bit widths.
func quantisedSettings(t *testing.T) string {
	return settingsFile(t, "space = \"k3,5 e3,4,6 d2,3,4 b4,6,8\"\n[[shrinking]]\nlearning_rate = 0.1\nquantised = true\nsteps = 6\n")
}

func TestLimits_OfBitOpsAndBytesAreReadAndAnyTwoHold(t *testing.T) {
	names := []string{"macs", "params", "bitops", "model"}
	values := []string{"5.5G", "900k", "240G", "1M"}
	most := []float64{5.5e9, 900e3, 240e9, 1e6}
	flags := []string{"--limit-macs", "--limit-params", "--limit-bitops", "--limit-bytes"}
	net := space.DefaultNetwork(19)
	a := space.Baseline().Quantised(space.Bits{W: 6, A: 4})
	a.Outer[space.OuterDetail] = space.Bits{W: 8, A: 8}
	costs := []int64{net.MACs(a, 1024, 2048), net.Params(a), quant.BitOps(net, a, 1024, 2048), quant.ModelBytes(net, a)}
	for i := range flags {
		for j := range flags {
			args := []string{"--config", quantisedSettings(t), "--size", "1024x2048", flags[j], values[j], flags[i], values[i]}
			o, err := parseSearch(args, Streams{io.Discard, io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			var want []int
			for k := range names {
				if k == i || k == j {
					want = append(want, k)
				}
			}
			list := countedLimits(o.cfg, net)
			if len(list) != len(want) {
				t.Fatalf("%v: %d limits", args, len(list))
			}
			for k, l := range list {
				if v, err := l.Cost(a); err != nil || l.Name != names[want[k]] || l.Max != most[want[k]] || v != float64(costs[want[k]]) {
					t.Errorf("%v: %s %v <= %v, want %s %v <= %v", args, l.Name, v, l.Max, names[want[k]], costs[want[k]], most[want[k]])
				}
			}
		}
	}
}

func TestLimits_WithinReachOfAQuantisedSpaceAreFeasible(t *testing.T) {
	net := space.DefaultNetwork(19)
	c, err := NewConfig("thesis-cityscapes", ScenesData)
	if err != nil {
		t.Fatal(err)
	}
	c.Space.Bits = []uint8{4, 6, 8}
	for _, hand := range c.handMade() {
		if !c.Space.Contains(hand) {
			t.Errorf("%v, which the search begins with, is not in %v", hand, c.Space)
		}
	}
	c.Limits.BitOps, c.Limits.Bytes = 200e9, 0.6e6
	if err := feasible(c.Space, countedLimits(c, net)); err != nil {
		t.Error(err)
	}
	p, err := search.NewProfile(rand.New(rand.NewPCG(1, 0)), c.Space, nil, countedLimits(c, net), 300)
	if err != nil || p.Within == 0 || p.Within == p.Draws {
		t.Errorf("%d of %d random networks are within both limits, %v", p.Within, p.Draws, err)
	}
	for _, change := range []func(){
		func() { c.Limits.BitOps = 1e9 },
		func() { c.Limits.BitOps, c.Limits.Bytes = 200e9, 1e3 },
	} {
		change()
		if err := feasible(c.Space, countedLimits(c, net)); err == nil || !strings.Contains(err.Error(), "the least of all networks is") {
			t.Errorf("%v: %v", limitsText(countedLimits(c, net)), err)
		}
	}
}

func TestLimits_OfBitWidthsAreRefusedWhereThereAreNone(t *testing.T) {
	requireMisuse(t, Search, tiny("--limit-bitops", "400G"), "have no bit widths, and so no bit operations")
	requireMisuse(t, Search, tiny("--limit-bytes", "0"), "give a number above 0")
	requireMisuse(t, Search, tiny("--bits", "4,9"), "9 among its bit widths")
	requireMisuse(t, Search, tiny("--bits", "four"), "such as 4,6,8")
	requireMisuse(t, Search, append([]string{"--config", settingsFile(t, "space = \"k3,5 e3,4,6 d2,3,4 b4,6,8\"\n")}, tiny("--out", t.TempDir())...), "no phase of the supernet's training draws them")
	requireMisuse(t, Train, []string{"--arch", "baseline-w9a8"}, "should read like w8a6, with 2 to 8 bits")
}

// Widths of weights make weights smaller, widths of activations nothing: a value is a byte. Without integers both are floats.
func TestLimits_OfMemoryCountIntegers(t *testing.T) {
	c, err := NewConfig("thesis-cityscapes", ScenesData)
	if err != nil {
		t.Fatal(err)
	}
	c.Space.Bits = []uint8{4, 6, 8}
	m, err := openMachine(machineOptions{device: "cpu", threads: 1}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	net := space.DefaultNetwork(19)
	measure := func(c Config, name string) [2]int {
		a, err := archOf(name)
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := memoryOf(c, net, m)(a)
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	float, eight := measure(c, "baseline"), measure(c, "baseline-w8a8")
	six, four, activations := measure(c, "baseline-w6a8"), measure(c, "baseline-w4a8"), measure(c, "baseline-w8a4")
	if !(four[1] < six[1] && six[1] < eight[1] && 2*eight[1] < float[1]) || activations[0] != eight[0] || eight[0] >= float[0] {
		t.Errorf("activations and weights of %d bytes in floating point, %d at w8a8, %d at w6a8, %d at w4a8, %d at w8a4", float, eight, six, four, activations)
	}
	c.Space.Bits = nil
	if alone := measure(c, "baseline-w8a8"); alone != float {
		t.Errorf("%d bytes in a space without bit widths, %d in floating point", alone, float)
	}
}
