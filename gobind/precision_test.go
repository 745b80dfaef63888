package gobind

import (
	"math"
	"math/rand/v2"
	"testing"
)

func logitsOf(t *testing.T, x *Context, layers []Layer, o SessionOptions, run func(s *Session, logits []float32) error) []float32 {
	t.Helper()
	session, err := x.NewSession(layers[:len(layers)-1], 1, littleH, littleW, 3, o)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	logits := make([]float32, session.OutputBytes()/4)
	if err := run(session, logits); err != nil {
		t.Fatal(err)
	}
	return logits
}

func TestSession_BFloat16IsNearFloat32(t *testing.T) {
	x, _ := open(t, Options{Threads: 2, ISA: "scalar"}) // which has it on every machine
	if !x.Runs(BFloat16) {
		t.Fatal("plain C++ has no bfloat16")
	}
	rng := rand.New(rand.NewPCG(7, 8))
	layers, picture := little(rng), randomPicture(rng)
	run := func(s *Session, logits []float32) error { return s.RunFloat32(picture, logits, nil) }
	exact, near := logitsOf(t, x, layers, SessionOptions{}, run), logitsOf(t, x, layers, SessionOptions{Precision: BFloat16}, run)
	var energy, errors float64
	for i := range exact {
		energy += float64(exact[i]) * float64(exact[i])
		errors += float64(exact[i]-near[i]) * float64(exact[i]-near[i])
	}
	if share := math.Sqrt(errors / energy); share == 0 || share > 0.02 {
		t.Errorf("bfloat16 logits are off by %.4f of the float32 ones", share)
	}
}

func TestSession_BFloat16NeedsTheProcessor(t *testing.T) {
	x, err := NewContext(Options{Threads: 1, ISA: "avx2"})
	if err != nil {
		t.Skip("this machine has no avx2")
	}
	defer x.Close()
	layers := little(rand.New(rand.NewPCG(1, 2)))
	if x.Runs(BFloat16) {
		t.Error("AVX2 claims to have bfloat16")
	}
	_, err = x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{Precision: BFloat16})
	wantStatus(t, err, NoKernel, "AVX-512 BF16")
	_, _, err = x.MeasureSession(layers, 1, littleH, littleW, 3, SessionOptions{Precision: BFloat16})
	wantStatus(t, err, NoKernel, "AVX-512 BF16")
}

func TestSession_IntegersNeedAStepForEachChannel(t *testing.T) {
	x, _ := open(t, Options{Threads: 1})
	layers := little(rand.New(rand.NewPCG(1, 2)))
	for _, steps := range []int{0, 5, 7} {
		layers[2].WeightBits, layers[2].InputBits, layers[2].InputStep, layers[2].WeightSteps = 8, 8, 1, make([]float32, steps)
		_, err := x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{Precision: Int8})
		wantStatus(t, err, InvalidArgument, "weight steps, should have 6")
	}
	layers[2].WeightBits, layers[2].WeightSteps = 0, make([]float32, 6)
	_, err := x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{})
	wantStatus(t, err, InvalidArgument, "6 weight steps, should have 0")
}

func TestPrecision_NamesDiffer(t *testing.T) {
	seen := map[string]bool{}
	for i, p := range Precisions() {
		seen[p.String()] = true
		if len(seen) != i+1 || !seen["f32"] {
			t.Errorf("%v is the name of two", p)
		}
	}
}

func TestSession_BytesAreNormalisedOnTheWay(t *testing.T) {
	x, _ := open(t, Options{Threads: 2})
	rng := rand.New(rand.NewPCG(9, 10))
	layers := little(rng)
	scale, shift := []float32{0.5, 0.25, 0.125}, []float32{-1, 2, 0} // exact in float32
	bytes, picture := make([]uint8, littleH*littleW*3), make([]float32, littleH*littleW*3)
	for i := range bytes {
		bytes[i] = uint8(rng.UintN(256))
		picture[i] = float32(bytes[i])*scale[i%3] + shift[i%3]
	}
	session, err := x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{Scale: scale, Shift: shift})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	plain, err := x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	got, want := make([]uint8, session.OutputBytes()), make([]uint8, session.OutputBytes())
	if err := session.RunBytes(bytes, got, nil); err != nil {
		t.Fatal(err)
	}
	if err := plain.Run(picture, want, nil); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("label %d is %d of bytes and %d of float32", i, got[i], want[i])
		}
	}
	wantStatus(t, session.Run(picture, got, nil), InvalidArgument, "of u8, not")
	wantStatus(t, plain.RunBytes(bytes, got, nil), InvalidArgument, "of float32, not")
	_, err = x.NewSession(layers, 1, littleH, littleW, 3, SessionOptions{Scale: scale})
	wantStatus(t, err, InvalidArgument, "3 scales and 0 shifts")
}
