package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func rng(a, b uint64) *rand.Rand { return rand.New(rand.NewPCG(a, b)) }

// apply runs an augmentation on a sample.
func apply(cfg *AugmentConfig, s *Sample, h, w int, r *rand.Rand) (x []float32, y []byte) {
	x, y = make([]float32, h*w*3), make([]byte, h*w)
	for i := range x {
		x[i] = float32(math.NaN()) // what is not written shows
	}
	NewAugmenter(cfg, h, w).Apply(s, r, x, y)
	return x, y
}

func TestAugment_FlipMirrorsPictureAndLabelsExactly(t *testing.T) {
	s, _ := drawn{n: 1, h: 5, w: 7}.Read(0)
	x, y := apply(&AugmentConfig{Flip: 1}, s, 5, 7, rng(1, 2))
	for p := range y {
		row, col := p/7, p%7
		q := row*7 + 6 - col
		if y[p] != s.Label[q] {
			t.Fatalf("label at %d,%d is %d, want %d", row, col, y[p], s.Label[q])
		}
		for k := 0; k < 3; k++ {
			if x[3*p+k] != normalised[s.Image[3*q+k]] {
				t.Fatalf("picture at %d,%d differs", row, col)
			}
		}
	}
}

func TestAugment_ZeroConfigKeepsASampleOfTheRightSize(t *testing.T) {
	s, _ := drawn{n: 1, h: 6, w: 9}.Read(0)
	x, y := apply(nil, s, 6, 9, rng(1, 2))
	back := make([]byte, len(x))
	Denormalise(back, x)
	if !slices.Equal(back, s.Image) || !slices.Equal(y, s.Label) {
		t.Error("the sample changed")
	}
}

// TestAugment_PictureAndLabelsStayTogether augments a picture whose red channel is its label, in broad areas, and looks at the
// places away from the areas' borders.
func TestAugment_PictureAndLabelsStayTogether(t *testing.T) {
	const h, w, cell = 96, 128, 32
	s := &Sample{Image: make([]byte, h*w*3), Label: make([]byte, h*w), H: h, W: w}
	for p := range s.Label {
		s.Label[p] = byte(p/w/cell*4 + p%w/cell)
		s.Image[3*p] = s.Label[p] * 16
	}
	for k := uint64(0); k < 40; k++ {
		cfg := &AugmentConfig{ScaleMin: 0.3, ScaleMax: 2.5, Flip: 0.5, OwnPixels: k%2 == 0}
		const oh, ow = 50, 70
		x, y := apply(cfg, s, oh, ow, rng(7, k))
		agree, padded := 0, 0
		for p := range y {
			v := x[3*p]
			switch {
			case v != v:
				t.Fatalf("draw %d: pixel %d was not written", k, p)
			case y[p] == Ignore:
				padded++
				if x[3*p] != 0 || x[3*p+1] != 0 || x[3*p+2] != 0 {
					t.Fatalf("draw %d: padding is not mid grey", k)
				}
			case math.Abs(float64(v-normalised[y[p]*16])) < 1e-6:
				agree++
			}
		}
		if inside := oh*ow - padded; float64(agree) < 0.7*float64(inside) {
			t.Errorf("draw %d: picture and labels agree on %d of %d pixels", k, agree, inside)
		}
	}
}

func TestResample_IsBilinearWithHalfPixelCentres(t *testing.T) {
	s := &Sample{Image: make([]byte, 4*6*3), Label: make([]byte, 24), H: 4, W: 6}
	r := rng(3, 4)
	for i := range s.Image {
		s.Image[i] = byte(r.IntN(256))
	}
	for _, size := range [][2]int{{7, 11}, {4, 6}, {3, 4}, {13, 5}} {
		h, w := size[0], size[1]
		x, _ := apply(nil, s, h, w, rng(1, 1))
		for p := 0; p < h*w; p++ {
			sy := min(max((float64(p/w)+0.5)*4/float64(h)-0.5, 0), 3)
			sx := min(max((float64(p%w)+0.5)*6/float64(w)-0.5, 0), 5)
			y0, x0 := int(sy), int(sx)
			y1, x1 := min(y0+1, 3), min(x0+1, 5)
			fy, fx := sy-float64(y0), sx-float64(x0)
			at := func(y, x int) float64 { return float64(s.Image[3*(y*6+x)]) }
			want := (at(y0, x0)*(1-fx)+at(y0, x1)*fx)*(1-fy) + (at(y1, x0)*(1-fx)+at(y1, x1)*fx)*fy
			got := (float64(x[3*p])*Std + Mean) * 255
			if math.Abs(got-want) > 2.6 { // two weights of 8 bits and a rounding
				t.Fatalf("%dx%d pixel %d: %v, want %v", h, w, p, got, want)
			}
		}
	}
}

func TestResample_ShrinkingAveragesAllPixels(t *testing.T) {
	const n = 64
	s := &Sample{Image: make([]byte, n*n*3), Label: make([]byte, n*n), H: n, W: n}
	for p := 0; p < n*n; p++ {
		if (p/n+p%n)%2 == 0 { // a checkerboard, which skipping pixels would turn black or white
			s.Image[3*p] = 200
		}
	}
	x, _ := apply(nil, s, n/4, n/4, rng(1, 1))
	for p := 0; p < n*n/16; p++ {
		if got := (float64(x[3*p])*Std + Mean) * 255; math.Abs(got-100) > 1 {
			t.Fatalf("pixel %d is %v, want 100", p, got)
		}
	}
}

func TestJitter_KeepsGreyGreyAndTurnsBackAgain(t *testing.T) {
	var none, turn, back jitter
	none.set(0, 1, 1)
	turn.set(1.0/6, 1, 1)
	back.set(-1.0/6, 1, 1)
	if !none.none || turn.none {
		t.Error("only no change is no change")
	}
	if r, g, b := turn.apply(255, 0, 0); [3]int{r, g, b} != [3]int{255, 255, 0} {
		t.Errorf("red turned by a sixth is %d,%d,%d, want yellow", r, g, b)
	}
	rnd := rng(5, 6)
	for i := 0; i < 2000; i++ {
		c := [3]int{rnd.IntN(256), rnd.IntN(256), rnd.IntN(256)}
		r, g, b := turn.apply(c[0], c[1], c[2])
		r, g, b = back.apply(r, g, b)
		if d := max(abs(r-c[0]), abs(g-c[1]), abs(b-c[2])); d > 4 {
			t.Fatalf("%v comes back as %d,%d,%d", c, r, g, b)
		}
		v := c[0]
		var j jitter
		j.set(rnd.Float64()-0.5, 0.5+rnd.Float64(), 0.5+rnd.Float64())
		if r, g, b := j.apply(v, v, v); r != g || g != b {
			t.Fatalf("grey %d became %d,%d,%d", v, r, g, b)
		}
		if r, g, b := j.apply(c[0], c[1], c[2]); min(r, g, b) < 0 || max(r, g, b) > 255 {
			t.Fatalf("%v left the range: %d,%d,%d", c, r, g, b)
		}
	}
}

func abs(x int) int { return max(x, -x) }

func BenchmarkAugment(b *testing.B) {
	for _, size := range [][2]int{{128, 256}, {360, 480}} {
		h, w := size[0], size[1]
		b.Run(fmt.Sprintf("%dx%d", h, w), func(b *testing.B) {
			s, _ := drawn{n: 1, h: h, w: w}.Read(0)
			a := NewAugmenter(StandardAugment(), h, w)
			x, y, r := make([]float32, h*w*3), make([]byte, h*w), rng(1, 2)
			for i := 0; i < b.N; i++ {
				a.Apply(s, r, x, y)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pictures/s")
		})
	}
}
