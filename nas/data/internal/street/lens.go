package street

import (
	"math"
	"math/rand/v2"
)

// lens is what a camera does to the light: blur, exposure, colour cast, vignetting, noise.
type lens struct {
	blur     float32 // weight of each neighbour in a row or column
	gain     rgb
	bias     float64 // of the tone curve; 1 is straight
	vignette float32
	noise    float32 // in steps of 8 bits, at mid grey
	seed     uint64
}

// planLens exposes for the scene's light, as a camera does, give or take.
func planLens(r random, l *light) lens {
	g := r.between(0.9, 1.15) * 0.85 / float64(l.ambient.g+0.35*l.sun.g)
	warm := r.between(-0.03, 0.03)
	return lens{
		blur:     float32(r.between(0.07, 0.22)),
		gain:     rgb{float32(g * (1 + warm)), float32(g * r.between(0.98, 1.02)), float32(g * (1 - warm))},
		bias:     r.between(0.85, 1.15),
		vignette: float32(r.between(0, 0.3)),
		noise:    float32(r.between(1, 6)),
		seed:     r.Uint64(),
	}
}

// toneSteps is the resolution of the tone curve's table, which covers [0, 2).
const toneSteps = 1 << 11

// curve maps exposed light to 8-bit values: Schlick's bias function, which brightens or darkens the middle like a power
// does, then a shoulder that keeps highlights from clipping hard. Both are ratios, exact to the last bit on every processor.
func (l *lens) curve() *[toneSteps]float32 {
	var t [toneSteps]float32
	for i := range t {
		x := 2 * (float64(i) + 0.5) / toneSteps
		x /= x + (1-x)*l.bias
		if over := (x - 0.8) / 0.25; over > 0 {
			x = 0.8 + 0.25*over/(1+over)
		}
		t[i] = float32(min(x, 1) * 255)
	}
	return &t
}

// develop turns the drawn colours into the 8-bit picture.
func (l *lens) develop(c *canvas, image []byte) {
	for i := range c.rows3 {
		if cap(c.rows3[i]) < c.w {
			c.rows3[i] = make([]rgb, c.w)
		}
		c.rows3[i] = c.rows3[i][:c.w]
	}
	tone := l.curve()
	source := rand.NewPCG(l.seed, 0)
	blurred := func(y int) []rgb { return c.rows3[(y+3)%3] }
	l.blurRow(c, 0, blurred(0))
	copy(blurred(-1), blurred(0))
	for y := 0; y < c.h; y++ {
		if y+1 < c.h {
			l.blurRow(c, y+1, blurred(y+1))
		} else {
			copy(blurred(y+1), blurred(y))
		}
		l.developRow(c, y, [3][]rgb{blurred(y - 1), blurred(y), blurred(y + 1)}, tone, source, image[3*y*c.w:3*(y+1)*c.w])
	}
}

// blurRow filters row y along itself.
func (l *lens) blurRow(c *canvas, y int, out []rgb) {
	row := c.colour[y*c.w : (y+1)*c.w]
	a, b := l.blur, 1-2*l.blur
	last := len(row) - 1
	for x := range row {
		p, q, r := row[max(x-1, 0)], row[x], row[min(x+1, last)]
		out[x] = rgb{a*(p.r+r.r) + b*q.r, a*(p.g+r.g) + b*q.g, a*(p.b+r.b) + b*q.b}
	}
}

// developRow filters across three rows, exposes and adds noise. Noise is the difference of two uniform values (so
// triangular), drawn in the order of the pixels.
func (l *lens) developRow(c *canvas, y int, rows [3][]rgb, tone *[toneSteps]float32, source *rand.PCG, image []byte) {
	a, b := l.blur, 1-2*l.blur
	dy := (float32(y)+0.5)/float32(c.h)*2 - 1
	noise := l.noise * (1.0 / 128)
	for x := 0; x < c.w; x++ {
		p, q, r := &rows[0][x], &rows[1][x], &rows[2][x]
		dx := (float32(x)+0.5)/float32(c.w)*2 - 1
		k := (1 - l.vignette*0.5*(dx*dx+dy*dy)) * (toneSteps / 2)
		bits := source.Uint64()
		out := image[3*x : 3*x+3]
		out[0] = develop8(tone, (a*(p.r+r.r)+b*q.r)*k*l.gain.r, bits, noise)
		out[1] = develop8(tone, (a*(p.g+r.g)+b*q.g)*k*l.gain.g, bits>>16, noise)
		out[2] = develop8(tone, (a*(p.b+r.b)+b*q.b)*k*l.gain.b, bits>>32, noise)
	}
}

func develop8(tone *[toneSteps]float32, light float32, bits uint64, noise float32) byte {
	v := tone[min(max(int(light), 0), toneSteps-1)]
	v += float32(int(bits&255)-int(bits>>8&255)) * noise
	return byte(min(max(v+0.5, 0), 255))
}

// planBonnet puts the bonnet of the camera's own car into some scenes; its pixels are to be ignored.
func (s *scene) planBonnet() {
	r := s.r
	if !r.chance(0.25) {
		return
	}
	rise, paint, round := r.between(0.04, 0.11), r.paint(), r.between(0.3, 0.8)
	mirror := s.backdrop.low
	s.bonnet = func(c *canvas) {
		for x := 0; x < c.w; x++ {
			d := (float64(x)+0.5)/float64(c.w)*2 - 1
			edge := float64(c.h) * (1 - rise*(1-round*d*d))
			for y := max(int(math.Ceil(edge-0.5)), 0); y < c.h; y++ {
				t := float32((float64(y) + 0.5 - edge) / (float64(c.h) * rise))
				col := paint.mix(mirror, 0.35*(1-t)).mul(s.light.on(vec{0, 1, 0}))
				c.colour[y*c.w+x], c.label[y*c.w+x] = col, ignore
			}
		}
	}
}
