package street

import "math"

// nearPlane is the distance in metres before which nothing is drawn.
const nearPlane = 0.6

// texel is a colour laid over what is behind it with weight a. With a = 0 only the class shows; with a < 0 nothing does.
type texel struct {
	rgb
	a float32
}

// hole is the texel of a place where a surface is not.
var hole = texel{a: -1}

// texture gives the texel at a point of a surface, in metres along its two axes, seen at px metres a pixel.
type texture func(u, v, px float32) texel

// flat is the texture of one colour.
func flat(c rgb) texture { return func(_, _, _ float32) texel { return texel{c, 1} } }

// canvas is the picture while it is drawn.
type canvas struct {
	h, w   int
	f      float64   // focal length in pixels
	cx, cy float64   // vanishing point of the straight-ahead direction, in pixels
	colour []rgb     // h*w
	near   []float32 // h*w, 1/z of what a pixel shows; 0 for sky and ground
	shadow []uint8   // h*w, strength of cast shadows on the ground
	label  []byte    // h*w
	scene  *scene
	hazeAt [256]float32 // share of haze in the colour of a thing, for each half metre of distance
	rows3  [3][]rgb     // scratch of the lens
}

// prepare sizes the buffers and clears those that are not overwritten.
func (c *canvas) prepare(s *scene, h, w int, label []byte) {
	c.h, c.w, c.scene, c.label = h, w, s, label[:h*w]
	c.f, c.cx, c.cy = s.camera.focal*float64(w), float64(w)/2, s.camera.horizon*float64(h)
	if cap(c.colour) < h*w {
		c.colour, c.near, c.shadow = make([]rgb, h*w), make([]float32, h*w), make([]uint8, h*w)
	}
	c.colour, c.near, c.shadow = c.colour[:h*w], c.near[:h*w], c.shadow[:h*w]
	clear(c.near)
	clear(c.shadow)
	// A product and not the exponential function, whose last bit depends on the processor.
	clearness := 1.0
	for i := range c.hazeAt {
		c.hazeAt[i] = float32(1 - clearness)
		clearness *= 1 - s.light.density/2
	}
}

// haze is the share of haze at z metres.
func (c *canvas) haze(z float32) float32 { return c.hazeAt[min(int(z*2), 255)] }

// plane is the frame of a flat surface: an origin and two perpendicular unit axes, which u and v count along.
type plane struct{ origin, u, v vec }

// face draws a convex polygon that lies in the plane. lit is the light on it.
func (c *canvas) face(pts []vec, p plane, lit rgb, tex texture, class byte) {
	n := p.u.cross(p.v)
	d := n.dot(p.origin)
	if math.Abs(d) < 1e-6 {
		return // seen edge-on
	}
	s := shader{c: c, p: p, n: n.scale(1 / d), ou: p.origin.dot(p.u), ov: p.origin.dot(p.v), lit: lit, tex: tex, class: class}
	c.rows(pts, s.span)
}

// rows calls span with every run of pixels whose centres a convex polygon covers.
func (c *canvas) rows(pts []vec, span func(y, first, last int)) {
	var clipped [16]vec
	corners := clipNear(pts, clipped[:0])
	if len(corners) < 3 {
		return
	}
	var screen [16][2]float64
	top, bottom := math.Inf(1), math.Inf(-1)
	for i, q := range corners {
		screen[i] = [2]float64{c.cx + c.f*q.x/q.z, c.cy - c.f*q.y/q.z}
		top, bottom = min(top, screen[i][1]), max(bottom, screen[i][1])
	}
	for y := max(int(math.Ceil(top-0.5)), 0); y < c.h && float64(y)+0.5 < bottom; y++ {
		x0, x1 := crossing(screen[:len(corners)], float64(y)+0.5)
		first, last := max(int(math.Ceil(x0-0.5)), 0), min(int(math.Ceil(x1-0.5)), c.w)
		if first < last {
			span(y, first, last)
		}
	}
}

// clipNear cuts away what lies before the near plane, appending the remaining corners to out.
func clipNear(pts, out []vec) []vec {
	for i, a := range pts {
		b := pts[(i+1)%len(pts)]
		if a.z >= nearPlane {
			out = append(out, a)
		}
		if (a.z >= nearPlane) != (b.z >= nearPlane) {
			out = append(out, a.mix(b, (nearPlane-a.z)/(b.z-a.z)))
		}
	}
	return out
}

// crossing is where a convex polygon's outline meets the horizontal line at y, or an empty range.
func crossing(pts [][2]float64, y float64) (x0, x1 float64) {
	x0, x1 = math.Inf(1), math.Inf(-1)
	for i, a := range pts {
		b := pts[(i+1)%len(pts)]
		if (a[1] <= y) == (b[1] <= y) {
			continue
		}
		x := a[0] + (b[0]-a[0])*(y-a[1])/(b[1]-a[1])
		x0, x1 = min(x0, x), max(x1, x)
	}
	return x0, x1
}

// shader fills spans of one face. On a plane n.P = 1 the point seen along a ray d with d.z = 1 lies at depth 1/(n.d), so that
// the inverse depth is linear over the picture and serves both the depth test and the texture coordinates.
type shader struct {
	c      *canvas
	p      plane
	n      vec // normal divided by its product with the origin
	ou, ov float64
	lit    rgb
	tex    texture
	class  byte
}

func (s *shader) span(y, first, last int) {
	c := s.c
	step := 1 / c.f
	dx, dy := (float64(first)+0.5-c.cx)*step, (c.cy-float64(y)-0.5)*step
	inv := s.n.x*dx + s.n.y*dy + s.n.z
	du := s.p.u.x*dx + s.p.u.y*dy + s.p.u.z
	dv := s.p.v.x*dx + s.p.v.y*dy + s.p.v.z
	haze := c.scene.light.haze
	for i := y*c.w + first; i < y*c.w+last; i++ {
		if inv > 0 && float32(inv) >= c.near[i] {
			z := 1 / inv
			t := s.tex(float32(du*z-s.ou), float32(dv*z-s.ov), float32(z*step))
			if t.a >= 0 {
				col := t.rgb.mul(s.lit).mix(haze, c.haze(float32(z)))
				c.put(i, col, t.a, float32(inv), s.class)
			}
		}
		inv += s.n.x * step
		du += s.p.u.x * step
		dv += s.p.v.x * step
	}
}

// put lays a colour over pixel i.
func (c *canvas) put(i int, col rgb, a, inv float32, class byte) {
	if a >= 1 {
		c.colour[i] = col
	} else if a > 0 {
		c.colour[i] = c.colour[i].mix(col, a)
	}
	c.near[i] = inv
	c.label[i] = class
}
