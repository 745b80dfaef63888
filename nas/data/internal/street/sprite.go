package street

import "math"

// sprite draws shapes on an upright plane that faces the camera. Coordinates are metres: s to the right and t up from the
// sprite's foot. Later shapes lie over earlier ones.
type sprite struct {
	c      *canvas
	x0, y0 float64 // the foot, in pixels
	scale  float64 // pixels a metre, vertically
	wide   float64 // pixels a metre, horizontally: negative when mirrored, less than scale when turned away
	px     float32 // metres a pixel
	inv    float32 // inverse depth
	lit    rgb
	haze   float32
}

// sprite starts one at a point of the plan. turn in [-1, 1] scales its width.
func (c *canvas) sprite(x, y, z, turn float64) sprite {
	p := c.scene.camera.at(x, y, z)
	k := c.f / z
	return sprite{c: c, x0: c.cx + p.x*k, y0: c.cy - p.y*k, scale: k, wide: k * turn, px: float32(1 / k),
		inv: float32(1 / z), lit: c.scene.lightAt(x, z), haze: c.haze(float32(z))}
}

// fill draws the texture where it is no hole inside a rectangle given in metres; u and v of the texture are s and t.
func (sp *sprite) fill(s0, t0, s1, t1 float64, tex texture, class byte) {
	c := sp.c
	xa, xb := sp.x0+s0*sp.wide, sp.x0+s1*sp.wide
	if xa > xb {
		xa, xb = xb, xa
	}
	first, last := max(int(math.Ceil(xa-0.5)), 0), min(int(math.Ceil(xb-0.5)), c.w)
	top, bottom := max(int(math.Ceil(sp.y0-t1*sp.scale-0.5)), 0), min(int(math.Ceil(sp.y0-t0*sp.scale-0.5)), c.h)
	if first >= last {
		return
	}
	haze := c.scene.light.haze
	ds := float32(1 / sp.wide)
	for y := top; y < bottom; y++ {
		t := float32((sp.y0 - float64(y) - 0.5) / sp.scale)
		s := float32((float64(first) + 0.5 - sp.x0) / sp.wide)
		for i := y*c.w + first; i < y*c.w+last; i++ {
			if sp.inv >= c.near[i] {
				if q := tex(s, t, sp.px); q.a >= 0 {
					c.put(i, q.rgb.mul(sp.lit).mix(haze, sp.haze), q.a, sp.inv, class)
				}
			}
			s += ds
		}
	}
}

func (sp *sprite) rect(s0, t0, s1, t1 float64, tex texture, class byte) {
	sp.fill(s0, t0, s1, t1, tex, class)
}

// thick widens a radius so that a line stays visible: at least share of a pixel across.
func (sp *sprite) thick(r, share float64) float64 { return max(r, share/2*float64(sp.px)) }

// ellipse draws inside the ellipse at (s, t) with radii rs and rt.
func (sp *sprite) ellipse(s, t, rs, rt float64, tex texture, class byte) {
	cs, ct, is, it := float32(s), float32(t), float32(1/rs), float32(1/rt)
	sp.fill(s-rs, t-rt, s+rs, t+rt, func(u, v, px float32) texel {
		du, dv := (u-cs)*is, (v-ct)*it
		if du*du+dv*dv > 1 {
			return hole
		}
		return tex(u, v, px)
	}, class)
}

// ring draws between the circle of radius r at (s, t) and the one width inside it.
func (sp *sprite) ring(s, t, r, width float64, tex texture, class byte) {
	cs, ct, outer, inner := float32(s), float32(t), float32(r*r), float32((r-width)*(r-width))
	sp.fill(s-r, t-r, s+r, t+r, func(u, v, px float32) texel {
		du, dv := u-cs, v-ct
		if q := du*du + dv*dv; q > outer || q < inner {
			return hole
		}
		return tex(u, v, px)
	}, class)
}

// limb draws a line from (s0, t0) to (s1, t1) with round ends, whose radius goes from r0 to r1.
func (sp *sprite) limb(s0, t0, r0, s1, t1, r1 float64, tex texture, class byte) {
	r0, r1 = sp.thick(r0, 0.9), sp.thick(r1, 0.9)
	r := max(r0, r1)
	ds, dt := float32(s1-s0), float32(t1-t0)
	norm := 1 / max(ds*ds+dt*dt, 1e-9)
	a, b, ra, rb := float32(s0), float32(t0), float32(r0), float32(r1)
	sp.fill(min(s0, s1)-r, min(t0, t1)-r, max(s0, s1)+r, max(t0, t1)+r, func(u, v, px float32) texel {
		du, dv := u-a, v-b
		k := min(max((du*ds+dv*dt)*norm, 0), 1)
		du, dv = du-k*ds, dv-k*dt
		if w := ra + (rb-ra)*k; du*du+dv*dv > w*w {
			return hole
		}
		return tex(u, v, px)
	}, class)
}

// polygon draws inside a convex polygon whose corners run counter-clockwise (s right, t up).
func (sp *sprite) polygon(pts [][2]float64, tex texture, class byte) {
	s0, t0, s1, t1 := pts[0][0], pts[0][1], pts[0][0], pts[0][1]
	for _, p := range pts {
		s0, t0, s1, t1 = min(s0, p[0]), min(t0, p[1]), max(s1, p[0]), max(t1, p[1])
	}
	sp.fill(s0, t0, s1, t1, func(u, v, px float32) texel {
		for i, p := range pts {
			q := pts[(i+1)%len(pts)]
			if (float32(q[0])-float32(p[0]))*(v-float32(p[1])) < (float32(q[1])-float32(p[1]))*(u-float32(p[0])) {
				return hole
			}
		}
		return tex(u, v, px)
	}, class)
}
