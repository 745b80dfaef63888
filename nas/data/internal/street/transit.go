package street

import "math"

// coach is how a bus or tram looks: it shares paint and windows, and differs in what carries it and in its length.
type coach struct {
	paint, band, glass rgb
	height, sill       float32 // of the windows' lower edge
	bay                float32 // of the windows
	floor              float32 // lower edge of the body
	wheels             []float32
	display            rgb
	bellows            float32 // spacing of joints, or 0
}

// planCoach draws one in the colours of an operator with the given hues.
func (s *scene) planCoach(hues ...float64) coach {
	r := s.r
	k := coach{paint: r.livery(hues...), band: r.paint(), glass: r.colour(0.5, 0.62, 0.05, 0.3, 0.08, 0.28),
		height: float32(r.between(2.9, 3.3)), sill: float32(r.between(1.15, 1.45)), bay: float32(r.between(1.2, 1.9)),
		display: r.colour(0.1, 0.14, 0.6, 0.9, 0.8, 1)}
	if r.chance(0.4) {
		k.band = k.paint
	}
	return k
}

func (s *scene) addBus(v vehicle) {
	k := s.planCoach(0.12, 0, 0.13) // yellow, red
	k.floor = 0.3
	l := float32(v.length / 2)
	k.wheels = []float32{l - 2.5, -l + 3}
	if s.r.chance(0.2) { // double-decker
		k.height += 1.1
	}
	s.addVehicle(v, float64(k.height), bus, func(b *body) {
		w, h := v.width/2, float64(k.height)
		front, rear := k.front(s, float32(w), false), k.front(s, float32(w), true)
		b.block(-v.length/2, v.length/2, w, 0, h, front, rear, k.flank(s, l), flat(k.paint))
	})
}

// addTram puts a tram on the track, or on the cross street.
func (s *scene) addTram() {
	r, st := s.r, &s.street
	k := s.planCoach(0.5, 0.6, 0.42) // green to blue
	k.height, k.floor, k.bellows = float32(r.between(3.3, 3.7)), 0.18, float32(r.between(6, 9))
	v := vehicle{x: st.track, length: r.between(22, 36), width: 2.5, heading: math.Pi}
	v.z = r.between(6, 22) + v.length/2
	if st.cross.z1 > 0 && r.chance(0.35) {
		v.x, v.z, v.heading = r.between(-14, 14), (st.cross.z0+st.cross.z1)/2, math.Pi/2
	}
	if !v.claim(s) {
		return
	}
	wire := r.between(-0.5, 0.5)
	s.addVehicle(v, float64(k.height), train, func(b *body) {
		l, w, h := v.length/2, v.width/2, float64(k.height)
		nose := 0.9 // slanted ends
		k.drawEnds(s, b, l, w, h, nose)
		b.block(-l+nose, l-nose, w, 0, h, flat(k.paint), flat(k.paint), k.flank(s, float32(l-nose)), flat(k.paint.times(0.8)))
		b.block(wire-0.8, wire+0.8, 0.7, h, h+0.35, flat(grey(0.3)), flat(grey(0.3)), flat(grey(0.25)), flat(grey(0.35)))
	})
}

// drawEnds gives a tram its noses: a slanted windscreen over a short front, and the flank pieces beside them.
func (k *coach) drawEnds(s *scene, b *body, l, w, h, nose float64) {
	in := w * 0.82
	lower, upper := k.noseLower(s, float32(w)), k.noseUpper(s, float32(in))
	side := flat(k.paint)
	belt := float64(k.sill)
	for _, end := range []float64{-1, 1} {
		tip, root := end*l, end*(l-nose)
		b.across(tip, 0.18, in, tip, belt, in, lower)
		b.across(tip, belt, in, root, h, w, upper)
		for _, sw := range []float64{-1, 1} {
			// From the tip's corner back to the flank; the plane's v axis is upright only for the lower part.
			lo := []vec{b.at(tip, sw*in, 0.18), b.at(root, sw*w, 0.18), b.at(root, sw*w, belt), b.at(tip, sw*in, belt)}
			b.panel(lo, lo[0], lo[1].sub(lo[0]).unit(), vec{0, 1, 0}, side)
			up := []vec{b.at(tip, sw*in, belt), b.at(root, sw*w, belt), b.at(root, sw*w, h)}
			b.panel(up, up[0], up[1].sub(up[0]).unit(), vec{0, 1, 0}, flat(k.glass))
		}
	}
}

func (k *coach) noseLower(s *scene, w float32) texture {
	return func(u, v, _ float32) texel {
		a := abs(u)
		switch {
		case v > 0.45 && v < 0.65 && a > w-0.65 && a < w-0.35:
			return rgb{1.1, 1.05, 0.9}.opaque()
		case v < 0.2:
			return grey(0.15).opaque()
		case v > 0.7:
			return k.band.opaque()
		}
		return k.paint.opaque()
	}
}

func (k *coach) noseUpper(s *scene, w float32) texture {
	top := k.height - k.sill
	return func(u, v, _ float32) texel {
		switch {
		case v > top*0.86 && v < top*1.02 && abs(u) < w*0.6:
			return k.display.mix(grey(0.05), 0.6*frac(u*5)).opaque()
		case v > top*0.84:
			return k.paint.times(0.8).opaque()
		}
		return k.glass.mix(s.backdrop.low, max(0, 0.22+0.25*s.cloud.at(u*9, v*9))).opaque()
	}
}

// front is a bus from ahead or, with rear, from behind.
func (k *coach) front(s *scene, w float32, rear bool) texture {
	lamp := rgb{0.95, 0.93, 0.85}
	sill, top := float32(1.0), k.height-0.75
	if rear {
		lamp, sill, top = rgb{0.7, 0.05, 0.04}, k.height*0.55, k.height-0.5
	}
	return func(u, v, _ float32) texel {
		if t, ok := tyres(u, v, w, k.floor); ok {
			return t
		}
		a := abs(u)
		switch {
		case v > k.height-0.6 && v < k.height-0.2 && a < w*0.75:
			return k.display.mix(grey(0.06), 0.35+0.6*frac(u*4)).opaque() // destination
		case v > sill && v < top && a < w-0.1:
			return k.glass.mix(s.backdrop.low, max(0, 0.22+0.25*s.cloud.at(u*9, v*9))).opaque()
		case v > 0.55 && v < 0.8 && a > w-0.45 && a < w-0.1:
			return lamp.opaque()
		case rear && v > 0.9 && v < sill-0.2 && a < w*0.6:
			return k.paint.times(0.55 + 0.25*frac(v*8)).opaque() // engine grille
		case v < 0.5:
			return k.band.times(0.6).opaque()
		}
		return k.paint.opaque()
	}
}

// flank is a long side of half-length l: a row of windows, doors, and wheels or a skirt.
func (k *coach) flank(s *scene, l float32) texture {
	head := k.height - 0.45
	return func(u, v, px float32) texel {
		for _, axle := range k.wheels {
			if t, ok := wheel(u-axle, v, 0.48, grey(0.4)); ok && v < 1.1 {
				return t
			}
		}
		if v < k.floor {
			return hole
		}
		if k.bellows > 0 {
			if d := frac((u + l) / k.bellows); d < 0.07 {
				return grey(0.1).times(1 + 0.8*frac(d*60)).opaque()
			}
			if v < 0.4 {
				return grey(0.2).opaque() // skirt over the bogies
			}
		}
		fu, iu := lattice(u / k.bay)
		door := iu%4 == 1 && fu > 0.08 && fu < 0.92
		switch {
		case v > head || v < 0.45:
			return k.paint.opaque()
		case k.height > 4 && abs(v-head*0.6) < 0.22: // between two decks
			return k.band.opaque()
		case (v > k.sill || door) && (fu > 0.06 && fu < 0.94):
			return k.glass.mix(s.backdrop.low, max(0, 0.2+0.3*s.cloud.at(u*6, v*6))).opaque()
		case v > k.sill-0.35 && v < k.sill:
			return k.band.opaque()
		}
		return k.paint.opaque()
	}
}
