package gobind

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// quantisers calls f with every number of bits, signed and not, and its largest level.
func quantisers(t *testing.T, f func(t *testing.T, q Quantiser, largest float64)) {
	for bits := 2; bits <= 8; bits++ {
		for _, signed := range []bool{false, true} {
			q, largest := Quantiser{Bits: bits, Signed: signed, Scale: 1}, float64(int(1)<<bits-1)
			if signed {
				largest = float64(int(1)<<(bits-1) - 1)
			}
			t.Run(fmt.Sprintf("%d bits, signed %v", bits, signed), func(t *testing.T) { f(t, q, largest) })
		}
	}
}

// quantised returns what is left of the values after quantisation with one clip.
func quantised(t *testing.T, x *Context, s *Stream, q Quantiser, clip float32, values []float32) []float32 {
	t.Helper()
	tensor := filled(t, x, values, len(values), 1)
	if err := s.FakeQuantForward(q, tensor, filled(t, x, []float32{clip}, 1), tensor); err != nil {
		t.Fatal(err)
	}
	return slices.Clone(Host[float32](tensor))
}

// ramp is values from -2 to 2 clips, those of levels and halves of levels among them.
func ramp(clip float32, largest float64) []float32 {
	const parts = 6
	n := int(2 * largest * parts)
	values := make([]float32, 2*n+1)
	for i := range values {
		values[i] = float32(float64(i-n) / float64(n) * 2 * float64(clip))
	}
	return values
}

func TestFakeQuant_GivesEveryLevelOfItsBitsAndNoOther(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	quantisers(t, func(t *testing.T, q Quantiser, largest float64) {
		const clip = 1.7
		levels := quantised(t, x, s, q, clip, ramp(clip, largest))
		slices.Sort(levels)
		levels = slices.Compact(levels)
		want := 1 << q.Bits
		if q.Signed {
			want--
		}
		if len(levels) != want {
			t.Errorf("%d levels, want %d", len(levels), want)
		}
		if top := float64(levels[len(levels)-1]); math.Abs(top-clip) > clip*0x1p-23 {
			t.Errorf("the highest level is %v, want %v but for a rounding", top, clip)
		}
	})
}

func TestFakeQuant_IsOffByHalfAStepAtMostInsideTheClip(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	quantisers(t, func(t *testing.T, q Quantiser, largest float64) {
		clip := float64(float32(0.37))
		step := clip / largest
		// Half a step, and what three roundings (r, x r, the level's value) and those of s may move a level by.
		most := step*0.5 + 4*clip*0x1p-24
		values := ramp(float32(clip), largest)
		for i, y := range quantised(t, x, s, q, float32(clip), values) {
			inside := math.Max(math.Min(float64(values[i]), clip), -clip)
			if !q.Signed {
				inside = math.Max(inside, 0)
			}
			if off := math.Abs(float64(y) - inside); off > most {
				t.Fatalf("%v becomes %v: off by %v, allowed %v", values[i], y, off, most)
			}
		}
	})
}

func TestFakeQuant_OfNegatedValuesIsNegatedWhenSigned(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	quantisers(t, func(t *testing.T, q Quantiser, largest float64) {
		if !q.Signed {
			return
		}
		values := ramp(0.9, largest)
		negated := slices.Clone(values)
		for i := range negated {
			negated[i] = -negated[i]
		}
		y, z := quantised(t, x, s, q, 0.9, values), quantised(t, x, s, q, 0.9, negated)
		for i := range y {
			if math.Float32bits(y[i]) != math.Float32bits(-z[i]) {
				t.Fatalf("%v becomes %v, its negative %v", values[i], y[i], z[i])
			}
		}
	})
}

// Held over 8000 clips across the range of float32 for every level and quantiser: the float32 roundings of r, s and the products never carry a level
// halfway to the next.
func TestFakeQuant_OfALevelChangesNothing(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	random := rand.New(rand.NewPCG(1, 2))
	const clips = 8000
	values := make([]float32, clips)
	for i := range values {
		values[i] = float32(math.Exp2(random.Float64()*149 - 21))
	}
	clip := filled(t, x, values, clips)
	quantisers(t, func(t *testing.T, q Quantiser, largest float64) {
		level := newTensor(t, x, F32, 1, clips)
		for n := 0.0; n <= largest; n++ {
			for i, a := range values {
				Host[float32](level)[i] = float32(float64(a) / largest * n)
			}
			if err := s.FakeQuantForward(q, level, clip, level); err != nil {
				t.Fatal(err)
			}
			once := slices.Clone(Host[float32](level))
			if err := s.FakeQuantForward(q, level, clip, level); err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(once, func(y float32) bool { return y != y }); i >= 0 {
				t.Fatalf("a level is NaN with clip %v", values[i])
			}
			if !slices.Equal(once, Host[float32](level)) {
				t.Fatalf("level %v of %v moves when it is quantised again", n, largest)
			}
		}
	})
}

func TestFakeQuant_PassesGradientsInsideAndGivesTheClipTheRest(t *testing.T) {
	x, s := open(t, Options{Threads: 2})
	values := filled(t, x, []float32{-3, -1, -0.5, 0, 0.4, 1, 2, 8}, 4, 2)
	dy := filled(t, x, []float32{1, 2, 4, 8, 16, 32, 64, 128}, 4, 2)
	dx, dclip := newTensor(t, x, F32, 4, 2), filled(t, x, []float32{1000, 2000}, 2)
	for _, c := range []struct {
		q         Quantiser
		dx, dclip []float32
	}{
		{Quantiser{Bits: 4, Scale: 1}, []float32{0, 0, 0, 0, 16, 0, 0, 0}, []float32{1000 + 64, 2000 + 32 + 128}},
		{Quantiser{Bits: 4, Signed: true, Scale: 0.5}, []float32{0, 0, 4, 8, 16, 0, 0, 0}, []float32{1064 + 31.5, 2160 + 79}},
	} {
		if err := s.FakeQuantBackward(c.q, values, filled(t, x, []float32{1, 1}, 2), dy, true, dx, dclip); err != nil {
			t.Fatal(err)
		}
		if got := Host[float32](dx); !slices.Equal(got, c.dx) {
			t.Errorf("%+v: dx %v, want %v", c.q, got, c.dx)
		}
		if got := Host[float32](dclip); !slices.Equal(got, c.dclip) {
			t.Errorf("%+v: dclip %v, want %v", c.q, got, c.dclip)
		}
	}
	wantStatus(t, s.FakeQuantForward(Quantiser{Bits: 9}, values, dclip, dx), InvalidArgument, "bits is 9, should be 2 to 8")
}

func TestNormQuantise_MakesReadersOfTheNormQuantiseAndSumWhatTheClipCut(t *testing.T) {
	x, s := open(t, Options{Threads: 2})
	q, clip := Quantiser{Bits: 2, Scale: 2}, filled(t, x, []float32{3, 6}, 2)
	norm, raw := newTensor(t, x, F32, QuantisedNormRows, 2), filled(t, x, []float32{-1, -1, 1.4, 1, 2.6, 7, 3, 8}, 4, 2)
	y, da, dx := newTensor(t, x, F32, 4, 2), filled(t, x, []float32{1, 2, 4, 8, 16, 32, 64, 128}, 4, 2), newTensor(t, x, F32, 4, 2)
	sums, dclip := newTensor(t, x, F64, 3, 2), newTensor(t, x, F32, 1)
	zero, one := newTensor(t, x, F32, 2), filled(t, x, []float32{1, 1}, 2)
	for _, err := range []error{
		s.NormFromStatistics(zero, one, one, zero, 0, norm),
		s.NormQuantise(q, clip, norm),
		s.NormForward(raw, norm, true, y),
		s.NormSums(raw, norm, true, da, sums),
		s.NormGradient(raw, norm, true, da, dx),
		s.NormQuantiseBackward(q, sums, false, dclip),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name      string
		got, want []float32
	}{
		{"activation", Host[float32](y), []float32{0, 0, 1, 0, 3, 6, 3, 6}},
		{"gradient", Host[float32](dx), []float32{0, 0, 4, 8, 16, 0, 0, 0}},
		{"clip's gradient", Host[float32](dclip), []float32{2 * (32 + 64 + 128)}},
	} {
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s %v, want %v", c.name, c.got, c.want)
		}
	}
	wantStatus(t, s.NormQuantise(q, filled(t, x, []float32{1, 1, 1}, 3), norm), InvalidArgument, "clip should be a vector of 2")
}
