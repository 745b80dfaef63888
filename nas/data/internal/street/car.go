package street

import "math"

// carShape is a car's outline from the side, as shares of its length (0.5 is the front) and height.
type carShape struct {
	cowl, roofFront, roofRear, deck float64 // along the length: foot and head of the windscreen, head and foot of the rear window
	hood, belt                      float64 // heights
}

var carShapes = []carShape{
	{cowl: 0.2, roofFront: 0.03, roofRear: -0.24, deck: -0.38, hood: 0.5, belt: 0.63}, // saloon
	{cowl: 0.22, roofFront: 0.05, roofRear: -0.34, deck: -0.47, hood: 0.5, belt: 0.6}, // hatchback
	{cowl: 0.24, roofFront: 0.1, roofRear: -0.44, deck: -0.49, hood: 0.56, belt: 0.6}, // estate, off-roader
	{cowl: 0.39, roofFront: 0.24, roofRear: -0.48, deck: -0.5, hood: 0.48, belt: 0.5}, // van
}

// carLook is what distinguishes one car from another.
type carLook struct {
	carShape
	height        float64
	paint, glass  rgb
	rim, lamp     rgb
	plate         rgb
	sheet         bool // a van without rear side windows
	taxi, lightOn bool
}

// planCars fills lanes and kerbs with cars.
func (s *scene) planCars() {
	r, st := s.r, &s.street
	density := r.between(0.15, 1)
	for n := 0; n < st.lanes; n++ {
		for z := r.between(9, 26); z < 90; z += r.between(7, 26) / density {
			s.addCar(st.laneX(n)+r.between(-0.3, 0.3), z, 0)
		}
		for z := r.between(5, 20); z < 90; z += r.between(7, 26) / density {
			s.addCar(-st.laneX(n)+r.between(-0.3, 0.3), z, math.Pi)
		}
	}
	if st.parking > 0 {
		parked := r.between(0.1, 0.9)
		for _, dir := range []float64{-1, 1} {
			for z := r.between(3, 8); z < 80; z += r.between(5.3, 6.5) {
				if r.chance(parked) && !st.cross.covers(z, 6) {
					s.addCar(dir*(st.kerb-1.05)+r.between(-0.1, 0.1), z, []float64{0, math.Pi}[r.IntN(2)])
				}
			}
		}
	}
	if st.cross.z1 > 0 && r.chance(0.4) {
		z := (st.cross.z0 + st.cross.z1) / 2
		s.addCar(r.between(-12, 12), z+1.6, -math.Pi/2+r.between(-0.2, 0.2))
		s.addCar(r.between(-12, 12), z-1.6, math.Pi/2+r.between(-0.2, 0.2))
	}
}

// carPaint is more often a grey than other paint.
func (r random) carPaint() rgb {
	if r.chance(0.45) {
		return r.colour(0.5, 0.7, 0, 0.1, 0.08, 0.9)
	}
	return r.paint()
}

func (s *scene) addCar(x, z, heading float64) {
	r := s.r
	kind := r.weighted(3, 4, 3, 1.3)
	look := &carLook{carShape: carShapes[kind], height: []float64{1.45, 1.48, 1.66, 1.95}[kind] * r.between(0.95, 1.08),
		paint: r.carPaint(), glass: r.colour(0.5, 0.62, 0.05, 0.3, 0.08, 0.3), rim: grey(float32(r.between(0.3, 0.75))),
		lamp: r.colour(0.1, 0.16, 0, 0.15, 0.8, 1), plate: []rgb{grey(0.85), {0.9, 0.8, 0.3}}[r.weighted(0.8, 0.2)],
		sheet: r.chance(0.5), taxi: r.chance(0.04), lightOn: r.chance(0.3)}
	v := vehicle{x, z, heading + r.between(-0.03, 0.03), r.between(3.8, 4.8), r.between(1.7, 1.9)}
	if kind == 3 {
		v.length *= 1.12
	}
	if v.claim(s) {
		s.addVehicle(v, look.height, car, func(b *body) { look.draw(b, v.length, v.width/2) })
	}
}

// draw builds the car: bonnet, windows and boot as strips across it, two flanks, two slanted rows of side windows.
func (k *carLook) draw(b *body, length, w float64) {
	h := k.height
	hood, belt := k.hood*h, k.belt*h
	front, rear := length*0.5, -length*0.5
	cowl, roofF, roofR, deck := k.cowl*length, k.roofFront*length, k.roofRear*length, k.deck*length
	in := w * 0.78
	body, glass := k.varnish(b.s), k.window(b.s)
	b.across(front, 0, w, front, hood, w, k.front(b.s, float32(w), float32(hood)))
	b.across(front, hood, w, cowl, belt, w, body)
	b.across(cowl, belt, w, roofF, h, in, framed(glass, body, w, 0.08))
	b.across(roofF, h, in, roofR, h, in, body)
	b.across(roofR, h, in, deck, belt, w, framed(glass, body, w, 0.14))
	b.across(deck, belt, w, rear, belt*0.96, w, body)
	b.across(rear, 0, w, rear, belt*0.96, w, k.rear(b.s, float32(w), float32(belt)))
	side := k.flank(b.s, float32(length), float32(belt))
	window := k.sideWindows(glass, body, cowl, roofF, roofR, deck, math.Hypot(h-belt, w-in))
	for _, sw := range []float64{-1, 1} {
		b.along(sw*w, [][2]float64{{rear, 0}, {front, 0}, {front, hood}, {cowl, belt}, {deck, belt}, {rear, belt * 0.96}}, side)
		pts := []vec{b.at(deck, sw*w, belt), b.at(cowl, sw*w, belt), b.at(roofF, sw*in, h), b.at(roofR, sw*in, h)}
		up := b.at(0, sw*in, h).sub(b.at(0, sw*w, belt)).unit()
		b.panel(pts, b.at(0, sw*w, belt), b.fwd, up, window)
	}
	if k.taxi {
		b.block(-0.15, 0.1, 0.3, h, h+0.2, flat(k.lamp), flat(k.lamp), flat(k.lamp), flat(k.lamp))
	}
}

// varnish is painted sheet metal, which mirrors a little of the sky where it faces up.
func (k *carLook) varnish(s *scene) texture {
	paint, sky := k.paint, s.backdrop.low
	return func(u, v, _ float32) texel {
		return paint.mix(sky, 0.12+0.08*s.cloud.at(u*9, v*9)).opaque()
	}
}

func (k *carLook) window(s *scene) texture {
	glass, sky := k.glass, s.backdrop.low
	return func(u, v, _ float32) texel {
		return glass.mix(sky, max(0, 0.25+0.35*s.cloud.at(u*14+9, v*14))).opaque()
	}
}

// framed is a window with a frame of the given width at its sides; w is half the width of its foot.
func framed(glass, frame texture, w, width float64) texture {
	half, lean := float32(w-width), float32(0.3)
	return func(u, v, px float32) texel {
		if abs(u) > half-lean*v || v < 0.04 {
			return frame(u, v, px)
		}
		return glass(u, v, px)
	}
}

// tyres is what shows under the bumpers of a car of half-width w; the rest below the bumper is a hole.
func tyres(u, v, w, clearance float32) (texel, bool) {
	if v > clearance {
		return texel{}, false
	}
	if a := abs(u); a > w-0.24 && a < w-0.03 {
		return grey(0.05).opaque(), true
	}
	if v > clearance*0.75 {
		return grey(0.04).opaque(), true // the floor pan
	}
	return hole, true
}

func (k *carLook) front(s *scene, w, hood float32) texture {
	body := k.varnish(s)
	return func(u, v, px float32) texel {
		if t, ok := tyres(u, v, w, 0.24); ok {
			return t
		}
		a := abs(u)
		switch {
		case v > hood-0.24 && v < hood-0.06 && a > w-0.48 && a < w-0.06:
			if k.lightOn {
				return rgb{1.5, 1.45, 1.3}.opaque()
			}
			return k.lamp.opaque()
		case v > hood-0.24 && v < hood-0.08 && a < w-0.5:
			return grey(0.12).times(1 + 0.6*frac(v*16)).opaque() // grille
		case v > 0.36 && v < 0.47 && a < 0.26:
			return k.plate.opaque()
		case v < 0.36:
			return k.paint.times(0.45).opaque()
		}
		return body(u, v, px)
	}
}

func (k *carLook) rear(s *scene, w, belt float32) texture {
	body := k.varnish(s)
	red := rgb{0.55, 0.04, 0.04}
	if k.lightOn {
		red = rgb{1.2, 0.12, 0.08}
	}
	return func(u, v, px float32) texel {
		if t, ok := tyres(u, v, w, 0.26); ok {
			return t
		}
		a := abs(u)
		switch {
		case v > belt-0.3 && v < belt-0.08 && a > w-0.34 && a < w-0.03:
			return red.opaque()
		case v > belt-0.3 && v < belt-0.18 && a < 0.26:
			return k.plate.opaque()
		case v < 0.4:
			return k.paint.times(0.5).opaque()
		}
		return body(u, v, px)
	}
}

// flank is a side below the windows, with wheels; between them and under the sill it is a hole.
func (k *carLook) flank(s *scene, length, belt float32) texture {
	axle, radius := 0.31*length, float32(0.32)
	body := k.varnish(s)
	return func(u, v, px float32) texel {
		if t, ok := wheel(abs(u)-axle, v, radius, k.rim); ok {
			return t
		}
		if v < 0.2 {
			return hole
		}
		if v < 0.28 || abs(u) < 0.012 || (v > belt-0.02) {
			return k.paint.times(0.4).opaque() // sill, seam of the doors
		}
		return body(u, v, px)
	}
}

// wheel is a wheel of the given radius at u = 0, with the dark arch around it.
func wheel(u, v, radius float32, rim rgb) (texel, bool) {
	d := u*u + (v-radius)*(v-radius)
	switch {
	case d < 0.35*radius*radius:
		return rim.opaque(), true
	case d < radius*radius:
		return grey(0.06).opaque(), true
	case d < 1.4*radius*radius && v > radius*0.5:
		return grey(0.04).opaque(), true
	}
	return texel{}, false
}

// sideWindows lie between the pillars; up is the length of the slanted row.
func (k *carLook) sideWindows(glass, body texture, cowl, roofF, roofR, deck, up float64) texture {
	c0, c1, d0, d1, inv := float32(cowl), float32(roofF), float32(deck), float32(roofR), float32(1/up)
	mid := (c1 + d1) / 2
	return func(u, v, px float32) texel {
		t := v * inv
		front, rear := c0+(c1-c0)*t-0.12, d0+(d1-d0)*t+0.18
		if t > 0.88 || u > front || u < rear || abs(u-mid) < 0.05 || (k.sheet && k.height > 1.8 && u < mid) {
			return body(u, v, px)
		}
		return glass(u, v, px)
	}
}
