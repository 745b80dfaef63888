package space

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func TestArch_GoldenText(t *testing.T) {
	golden, err := os.ReadFile("testdata/archs.golden")
	if err != nil {
		t.Fatal(err)
	}
	rng := newRand(1)
	lines := []string{Baseline().String(), HandScaled().String(), Default().Largest().String()}
	for range 5 {
		lines = append(lines, Default().Sample(rng).String())
	}
	if got := strings.Join(lines, "\n") + "\n"; got != string(golden) {
		t.Errorf("texts differ from testdata/archs.golden:\n%s", got)
	}
}

func TestParse_InvertsString(t *testing.T) {
	rng := newRand(2)
	for range 1000 {
		a := Default().Sample(rng)
		if b, err := Parse(a.String()); err != nil || b != a {
			t.Fatalf("Parse(%s) = %v, %v", a, b, err)
		}
	}
}

func TestParse_NamesWhatIsWrong(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "1 stages; 3 are needed"},
		{"k3e6_k3e6", "2 stages"},
		{"k3e6_k3e6_k3e6_k3e6", "4 stages"},
		{"k3e6.k3e6.k3e6.k3e6.k3e6_k3e6_k3e6", "stage 1 has 5 blocks"},
		{"k3e6__k3e6", `stage 2 block 1 reads ""`},
		{"k3e6_k3e6._k3e6", `stage 2 block 2 reads ""`},
		{"k4e6_k3e6_k3e6", "kernel 4"},
		{"k1e6_k3e6_k3e6", "kernel 1"},
		{"k3e0_k3e6_k3e6", "expand ratio 0"},
		{"k3e6_k3e6_K3e6", `stage 3 block 1 reads "K3e6"`},
		{"k03e6_k3e6_k3e6", `reads "k03e6"`},
		{"k3e6_k3e6_k3e6\n", `reads "k3e6\n"`},
	} {
		_, err := Parse(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || !misuse.Is(err) {
			t.Errorf("Parse(%q): %v, want misuse with %q", c.text, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(Baseline().String())
	f.Add("k5e3_k3e4.k3e4.k3e4.k3e4_k7e9")
	f.Add("__")
	f.Add(Baseline().Quantised(Bits{8, 6}).String())
	f.Add("k5e3w2a8_k3e4w4a4.k3e4w8a8_k7e9w3a2_w8a8.w4a6.w8a8.w6a6.w5a7")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := Parse(text)
		if err != nil {
			if a != (Arch{}) || !misuse.Is(err) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q: %v, %v", text, a, err)
			}
			return
		}
		if a.String() != text || a.Validate() != nil {
			t.Fatalf("%q reads as %v, written %s", text, a, a)
		}
	})
}

func TestArch_JSONIsTheText(t *testing.T) {
	type record struct {
		Winner Arch             `json:"winner"`
		Scores map[Arch]float64 `json:"scores"`
		Space  Space            `json:"space"`
	}
	in := record{HandScaled(), map[Arch]float64{Baseline(): 0.5}, Default()}
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"winner":"k3e4.k3e4_k3e4.k3e4.k3e4_k3e4.k3e4.k3e4",` +
		`"scores":{"k3e6.k3e6.k3e6_k3e6.k3e6.k3e6_k3e6.k3e6.k3e6":0.5},"space":"k3,5 e3,4,6 d2,3,4"}`
	if string(text) != want {
		t.Errorf("JSON is %s, want %s", text, want)
	}
	var out record
	if err := json.Unmarshal(text, &out); err != nil || out.Winner != in.Winner || out.Scores[Baseline()] != 0.5 || out.Space.String() != Default().String() {
		t.Errorf("read back %v, %v", out, err)
	}
	if _, err := json.Marshal(Arch{}); err == nil {
		t.Error("an empty architecture was marshalled")
	}
}

func TestDistance_IsShareOfGenes(t *testing.T) {
	one := Baseline()
	one.Blocks[1][1].Kernel = 5
	shallow := Baseline()
	shallow.Depth[2], shallow.Blocks[2][2] = 2, Block{}
	for _, c := range []struct {
		name string
		b    Arch
		want float64
	}{
		{"same", Baseline(), 0},
		{"one kernel", one, 1.0 / 21},
		{"one block less", shallow, 3.0 / 21},
		{"all but depths", Uniform([3]uint8{3, 3, 3}, Block{Kernel: 5, Expand: 4}), 18.0 / 21},
	} {
		if got := Distance(Baseline(), c.b); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got := Distance(c.b, Baseline()); got != c.want {
			t.Errorf("%s: not symmetric: %v, want %v", c.name, got, c.want)
		}
	}
}
