package export

import "math/rand/v2"

// picture is a random input, N,H,W,C.
type picture struct {
	n, h, w int
	pixels  []float32
}

// scales are the sides of the squares that random pictures are made of, in pixels, and how far each square's colour lies from what is
// below it. Noise alone would average out on the way to 1/32 of the size, and no two places of a deep layer would differ.
var scales = []struct {
	side   int
	spread float32
}{{48, 0.7}, {9, 0.6}, {1, 0.7}}

// newPicture draws colours in the range of normalised pictures, from -2 to 2.
func newPicture(n, h, w int, rng *rand.Rand) picture {
	p := picture{n, h, w, make([]float32, n*h*w*pictureChannels)}
	for _, scale := range scales {
		columns := (w + scale.side - 1) / scale.side
		row := make([]float32, columns*pictureChannels)
		for i := range n * h {
			if i%h%scale.side == 0 {
				for j := range row {
					row[j] = (2*rng.Float32() - 1) * scale.spread
				}
			}
			line := p.pixels[i*w*pictureChannels:][:w*pictureChannels]
			for j := range line {
				line[j] += row[j/pictureChannels/scale.side*pictureChannels+j%pictureChannels]
			}
		}
	}
	return p
}

// planes returns the picture as N,C,H,W.
func (p picture) planes() []float64 {
	planes := make([]float64, len(p.pixels))
	area := p.h * p.w
	for i, v := range p.pixels {
		at, c := i/pictureChannels, i%pictureChannels
		planes[(at/area*pictureChannels+c)*area+at%area] = float64(v)
	}
	return planes
}
