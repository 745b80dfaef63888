package street

import "math"

// body places a vehicle: its coordinates are l metres forward, w to the right and h up from the ground below its middle.
type body struct {
	origin, fwd, right vec
	shaded             bool
	s                  *scene
	c                  *canvas
	class              byte
}

// vehicle is where one stands in the plan.
type vehicle struct{ x, z, heading, length, width float64 }

// body is the vehicle's frame as the camera sees it.
func (v vehicle) body(s *scene, c *canvas, class byte) *body {
	sin, cos := math.Sincos(s.shiftedHeading(v.z, v.heading))
	return &body{origin: s.camera.at(v.x, 0, v.z), fwd: vec{sin, 0, cos}, right: vec{cos, 0, -sin},
		shaded: s.shaded(v.x, 1, v.z), s: s, c: c, class: class}
}

// nearest is the distance of the vehicle's nearest corner from the camera.
func (v vehicle) nearest() float64 {
	sin, cos := math.Sincos(v.heading)
	return v.z - (math.Abs(cos)*v.length+math.Abs(sin)*v.width)/2
}

// claim takes the vehicle's ground, with room around it.
func (v vehicle) claim(s *scene) bool {
	sin, cos := math.Sincos(v.heading)
	hx := (math.Abs(sin)*v.length+math.Abs(cos)*v.width)/2 + 0.25
	hz := (math.Abs(cos)*v.length+math.Abs(sin)*v.width)/2 + 0.6
	return s.claim(v.x-hx, v.x+hx, v.z-hz, v.z+hz)
}

func (b *body) at(l, w, h float64) vec {
	return b.origin.add(b.fwd.scale(l)).add(b.right.scale(w)).add(vec{0, h, 0})
}

// panel draws a convex polygon with the outward normal if it faces the camera. u runs along the given axis, v along the other
// one in the plane, both from the origin.
func (b *body) panel(pts []vec, origin, u, v vec, tex texture) {
	n := u.cross(v)
	if n.dot(pts[0].sub(b.origin).sub(vec{0, 0.4, 0})) < 0 {
		n = n.scale(-1) // outward from the vehicle's middle
	}
	if n.dot(pts[0]) >= 0 {
		return
	}
	b.c.face(pts, plane{origin, u, v}, b.s.lightOn(n, b.shaded), tex, b.class)
}

// across draws the strip between two heights and lengths, over half-widths w0 and w1. u is metres to the right of the middle,
// v metres up the strip.
func (b *body) across(l0, h0, w0, l1, h1, w1 float64, tex texture) {
	p := []vec{b.at(l0, -w0, h0), b.at(l0, w0, h0), b.at(l1, w1, h1), b.at(l1, -w1, h1)}
	base, top := b.at(l0, 0, h0), b.at(l1, 0, h1)
	b.panel(p, base, b.right, top.sub(base).unit(), tex)
}

// along draws a polygon on a flank: corners are (l, h), on the side w. u is metres forward of the middle, v the height.
func (b *body) along(w float64, corners [][2]float64, tex texture) {
	pts := make([]vec, len(corners))
	for i, q := range corners {
		pts[i] = b.at(q[0], w, q[1])
	}
	b.panel(pts, b.at(0, w, 0), b.fwd, vec{0, 1, 0}, tex)
}

// block draws a box from l0 to l1 and h0 to h1, half as wide as w. Both ends' u is metres to the right, v height; the
// flanks' u is metres forward.
func (b *body) block(l0, l1, w, h0, h1 float64, front, rear, flank, top texture) {
	lift := func(tex texture) texture { // v of a strip counts from its foot
		return func(u, v, px float32) texel { return tex(u, v+float32(h0), px) }
	}
	b.across(l1, h0, w, l1, h1, w, lift(front))
	b.across(l0, h0, w, l0, h1, w, lift(rear))
	for _, side := range []float64{-w, w} {
		b.along(side, [][2]float64{{l0, h0}, {l1, h0}, {l1, h1}, {l0, h1}}, flank)
	}
	b.across(l0, h1, w, l1, h1, w, top)
}

// addVehicle puts a vehicle and its shadow into the scene.
func (s *scene) addVehicle(v vehicle, height float64, class byte, draw func(*body)) {
	s.addSolid(max(v.nearest(), 0.1), func(c *canvas) { draw(v.body(s, c, class)) })
	s.shadows = append(s.shadows, func(c *canvas) {
		b := v.body(s, c, class)
		l, w := v.length/2, v.width/2
		foot := []vec{b.at(-l, -w, 0), b.at(l, -w, 0), b.at(l, w, 0), b.at(-l, w, 0)}
		c.shadePolygon(foot, 190)
		if !s.sunny() || b.shaded {
			return
		}
		dx, dz := s.light.cast(height * 0.9)
		if math.Abs(dx)+math.Abs(dz) > 15 {
			return
		}
		slide := vec{dx, 0, dz}
		for i, p := range foot { // the shadow of each upright face, and of the top
			q := foot[(i+1)%4]
			c.shadePolygon([]vec{p, q, q.add(slide), p.add(slide)}, 140)
		}
		c.shadePolygon([]vec{foot[0].add(slide), foot[1].add(slide), foot[2].add(slide), foot[3].add(slide)}, 140)
	})
}
