package data

import (
	"math"
	"math/rand/v2"
)

// AugmentConfig says how training pictures vary. The zero value takes a picture as it is, stretched to the wanted size.
type AugmentConfig struct {
	// ScaleMin and ScaleMax bound the random scale, drawn evenly on a logarithmic axis; both 0 mean 1. Scale 1 stretches the
	// picture to exactly the wanted size, as evaluation does, so that training and evaluation see things equally large; larger
	// scales crop, smaller ones pad.
	ScaleMin, ScaleMax float64
	// OwnPixels makes scale 1 the picture's own pixels instead, of which a crop is taken: for pictures larger than the
	// network's input in training that are evaluated whole.
	OwnPixels bool
	// Flip is the probability of mirroring left and right.
	Flip float64
	// Hue is the largest shift of the hue, in turns of the colour circle. Saturation and Value are the largest relative changes of
	// saturation and brightness: 0.2 draws factors from 0.8 to 1.2.
	Hue, Saturation, Value float64
}

// StandardAugment is for trainings of many epochs: scales 0.5 to 2, flips, strong colour changes.
func StandardAugment() *AugmentConfig {
	return &AugmentConfig{ScaleMin: 0.5, ScaleMax: 2, Flip: 0.5, Hue: 0.05, Saturation: 0.4, Value: 0.4}
}

// Augmenter makes network input of one size from samples. It owns scratch memory: one goroutine at a time.
type Augmenter struct {
	cfg  AugmentConfig
	h, w int
	res  resampler
	hsv  jitter
}

// NewAugmenter makes one for input of h rows and w columns. A nil cfg is the zero AugmentConfig.
func NewAugmenter(cfg *AugmentConfig, h, w int) *Augmenter {
	a := &Augmenter{h: h, w: w}
	if cfg != nil {
		a.cfg = *cfg
	}
	return a
}

// Apply draws a variant of the sample: x receives H*W*3 normalised values, y H*W classes. Padding is mid grey (0) with the
// class Ignore. The result is a function of the sample and of what rng returns; every call draws equally often from it.
func (a *Augmenter) Apply(s *Sample, rng *rand.Rand, x []float32, y []byte) {
	a.apply(s, anyClass, rng, x, y)
}

// apply is Apply with a crop that, for a class, is placed around a pixel of it. What it draws for that comes last.
func (a *Augmenter) apply(s *Sample, class int, rng *rand.Rand, x []float32, y []byte) {
	scale, left, top := rng.Float64(), rng.Float64(), rng.Float64()
	flip := rng.Float64() < a.cfg.Flip
	hue, saturation, value := 2*rng.Float64()-1, 2*rng.Float64()-1, 2*rng.Float64()-1
	z := 1.0
	if a.cfg.ScaleMin > 0 && a.cfg.ScaleMax > 0 {
		z = a.cfg.ScaleMin * math.Pow(a.cfg.ScaleMax/a.cfg.ScaleMin, scale)
	}
	baseH, baseW := a.h, a.w
	if a.cfg.OwnPixels {
		baseH, baseW = s.H, s.W
	}
	v := view{h: a.h, w: a.w, scaledH: scaled(baseH, z), scaledW: scaled(baseW, z), flip: flip}
	v.top, v.left = offset(v.scaledH-v.h, top), offset(v.scaledW-v.w, left)
	if class != anyClass {
		if row, col, ok := place(s, byte(class), v.scaledH, v.scaledW, rng); ok {
			v.top, v.left = around(v.scaledH-v.h, row, v.h, top), around(v.scaledW-v.w, col, v.w, left)
		}
	}
	a.hsv.set(a.cfg.Hue*hue, 1+a.cfg.Saturation*saturation, 1+a.cfg.Value*value)
	a.res.picture(s, v, &a.hsv, x)
	a.res.labels(s, v, y)
}

// Fixed writes the whole sample stretched to h x w, without augmentation, like Apply.
func (a *Augmenter) Fixed(s *Sample, x []float32, y []byte) {
	v := view{h: a.h, w: a.w, scaledH: a.h, scaledW: a.w}
	a.hsv.set(0, 1, 1)
	a.res.picture(s, v, &a.hsv, x)
	a.res.labels(s, v, y)
}

func scaled(n int, z float64) int { return max(1, int(float64(n)*z+0.5)) }

// offset places a crop in spare extra pixels, or the picture in missing ones (then negative), evenly; t lies in [0, 1).
func offset(spare int, t float64) int {
	if spare >= 0 {
		return int(t * float64(spare+1))
	}
	return -int(t * float64(1-spare))
}

// jitter changes colours in the hexagonal HSV model, in integers. Hue counts 256 steps for each sixth of the circle.
type jitter struct {
	hue        int
	saturation int // factor, in 1/256
	value      [256]uint8
	none       bool
}

func (j *jitter) set(turns, saturation, value float64) {
	j.hue = (int(math.Round(turns*1536)) + 1536) % 1536
	j.saturation = int(math.Round(saturation * 256))
	j.none = j.hue == 0 && j.saturation == 256 && value == 1
	for v := range j.value {
		j.value[v] = uint8(min(float64(v)*value+0.5, 255))
	}
}

// reciprocal is 65536/n, rounded up.
var reciprocal = func() (t [256]int) {
	for n := 1; n < 256; n++ {
		t[n] = (65536 + n - 1) / n
	}
	return t
}()

// apply changes one colour.
func (j *jitter) apply(r, g, b int) (int, int, int) {
	high, low := max(r, g, b), min(r, g, b)
	chroma := high - low
	v := int(j.value[high])
	if chroma == 0 {
		return v, v, v
	}
	var h int
	switch high {
	case r:
		h = (g - b) * 256 * reciprocal[chroma] >> 16
	case g:
		h = 512 + (b-r)*256*reciprocal[chroma]>>16
	default:
		h = 1024 + (r-g)*256*reciprocal[chroma]>>16
	}
	h += j.hue
	if h < 0 {
		h += 1536
	} else if h >= 1536 {
		h -= 1536
	}
	chroma = min(v, v*chroma*reciprocal[high]>>16*j.saturation>>8)
	low = v - chroma
	f := h & 255
	switch h >> 8 {
	case 0:
		return v, low + chroma*f>>8, low
	case 1:
		return v - chroma*f>>8, v, low
	case 2:
		return low, v, low + chroma*f>>8
	case 3:
		return low, v - chroma*f>>8, v
	case 4:
		return low + chroma*f>>8, low, v
	default:
		return v, low, v - chroma*f>>8
	}
}
