package street

import "math"

// planHeavy places buses, trucks and trams where the camera sees them well, before smaller things take the room.
func (s *scene) planHeavy() {
	r := s.r
	if r.chance(0.27) {
		s.placeHeavy(9, 13, 2.5, s.addBus)
	}
	if r.chance(0.27) {
		s.placeHeavy(6, 11, 2.4, s.addTruck)
	}
	if s.street.tram && r.chance(0.85) {
		s.addTram()
	}
}

// placeHeavy tries places for something of the given length and width until one is free.
func (s *scene) placeHeavy(minLength, maxLength, width float64, add func(vehicle)) {
	r, st := s.r, &s.street
	for try := 0; try < 12; try++ {
		v := vehicle{length: r.between(minLength, maxLength), width: width}
		gap := r.between(6, 24) // to its nearest part
		v.z = gap + v.length/2
		switch r.weighted(3, 4, 2, 2) {
		case 0: // ahead, in a lane
			v.x = st.laneX(r.IntN(st.lanes)) + r.between(-0.2, 0.2)
		case 1: // coming
			v.x, v.heading = -st.laneX(r.IntN(st.lanes))+r.between(-0.2, 0.2), math.Pi
		case 2: // standing at a kerb
			dir := r.sign()
			v.x, v.heading = dir*(st.kerb-1.4), math.Pi/2*(1-dir)
		default: // crossing
			if st.cross.z1 == 0 {
				continue
			}
			v.heading = r.sign() * math.Pi / 2
			v.x, v.z = r.between(-9, 9), (st.cross.z0+st.cross.z1)/2+r.between(-1, 1)
		}
		if v.nearest() > 4 && !(math.Abs(v.x-s.camera.x) < 2 && v.nearest() < 7) && v.claim(s) {
			add(v)
			return
		}
	}
}

func (s *scene) addTruck(v vehicle) {
	r := s.r
	cab, cargo := r.livery(0.05, 0, 0.6), r.livery(0.06, 0.3)
	if r.chance(0.5) {
		cargo = r.colour(0, 1, 0, 0.1, 0.6, 0.95)
	}
	stripe := r.paint()
	h, cabH, kind := r.between(2.9, 3.9), r.between(2.2, 2.9), r.weighted(0.55, 0.25, 0.2)
	seed := float32(r.between(0, 200))
	cabLength := r.between(1.6, 2.2)
	s.addVehicle(v, h, truck, func(b *body) {
		l, w := v.length/2, v.width/2
		rear, joint := -l, l-cabLength
		flank := s.cargoSide(cargo, stripe, float32(h), float32(l), kind, seed)
		b.block(rear, joint-0.15, w, 0, h, s.cargoEnd(cargo, float32(w), float32(h), kind), s.cargoEnd(cargo, float32(w), float32(h), kind), flank, flat(cargo))
		front := s.cabFront(cab, float32(w)*0.96, float32(cabH))
		b.block(joint, l, w*0.96, 0, cabH, front, flat(cab.times(0.5)), s.cabSide(cab, float32(l), float32(cabH)), flat(cab))
	})
}

// cargoSide is a box (0), a tarpaulin (1) or an open skip (2) over a chassis with two axles, as a flank of half-length l.
func (s *scene) cargoSide(base, stripe rgb, h, l float32, kind int, seed float32) texture {
	return func(u, v, px float32) texel {
		for _, axle := range [3]float32{-l + 1.1, -l + 2.2, l - 3.2} {
			if t, ok := wheel(u-axle, v, 0.48, grey(0.4)); ok && v < 1 {
				return t
			}
		}
		if v < 1 {
			if v > 0.75 || (v > 0.45 && abs(u) < l*0.35) {
				return grey(0.1).opaque() // frame, tank
			}
			return hole
		}
		k := 1 + 0.08*s.cloud.at(u*3+seed, v*3)
		switch kind {
		case 0:
			if abs(v-h*0.62) < h*0.12 && abs(u-0.3) < l*0.45 {
				return base.mix(stripe, 0.8).times(k).opaque() // an owner's mark
			}
			k -= 0.3 * bar(frac(u/1.2), 0.03) * fade(px, 0.15)
		case 1:
			k += 0.16 * (frac(u/0.6) - 0.5) * fade(px, 0.4)
			if v < 1.15 {
				return stripe.times(0.6).opaque()
			}
		default:
			if v > h*0.72 {
				return hole
			}
			k -= 0.35 * bar(frac(u/0.9), 0.12) * fade(px, 0.3)
		}
		return base.times(k).opaque()
	}
}

// bar is 1 within width of 0 and else 0.
func bar(x, width float32) float32 {
	if x < width {
		return 1
	}
	return 0
}

// cargoEnd is the rear of a truck: doors, lamps, a bumper with tyres under it.
func (s *scene) cargoEnd(base rgb, w, h float32, kind int) texture {
	return func(u, v, px float32) texel {
		a := abs(u)
		switch {
		case v < 0.55:
			if a > w-0.6 && a < w-0.05 {
				return grey(0.05).opaque()
			}
			return hole
		case v < 1:
			if a > w-0.35 && v > 0.7 && v < 0.9 {
				return rgb{0.7, 0.06, 0.05}.opaque()
			}
			if v < 0.68 {
				return rgb{0.75, 0.2, 0.12}.mix(grey(0.85), bar(frac(u*2), 0.5)).opaque()
			}
			return grey(0.12).opaque()
		case kind == 2 && v > h*0.72:
			return hole
		}
		k := 1 + 0.06*s.cloud.at(u*4, v*4)
		if kind == 0 && (a < 0.03 || abs(a-w*0.5) < 0.025) || a > w-0.06 || v > h-0.1 {
			k -= 0.35 // doors, their bars, the frame
		}
		return base.times(k).opaque()
	}
}

func (s *scene) cabFront(paint rgb, w, h float32) texture {
	return func(u, v, px float32) texel {
		if t, ok := tyres(u, v, w, 0.4); ok {
			return t
		}
		a := abs(u)
		switch {
		case v > h*0.52 && v < h*0.88 && a < w-0.12:
			return rgb{0.1, 0.12, 0.15}.mix(s.backdrop.low, 0.3+0.2*s.cloud.at(u*9, v*9)).opaque()
		case v > 0.55 && v < 0.8 && a > w-0.5 && a < w-0.1:
			return grey(0.9).opaque()
		case v > 0.75 && v < h*0.46 && a < w-0.35:
			return grey(0.15).times(1 + frac(v*7)).opaque() // grille
		case v < 0.62:
			return paint.times(0.4).opaque()
		}
		return paint.opaque()
	}
}

func (s *scene) cabSide(paint rgb, l, h float32) texture {
	return func(u, v, px float32) texel {
		if t, ok := wheel(u-l+0.95, v, 0.48, grey(0.45)); ok {
			return t
		}
		switch {
		case v < 0.35:
			return hole
		case v > h*0.52 && v < h*0.86 && u > l-1.15 && u < l-0.12:
			return rgb{0.1, 0.12, 0.15}.mix(s.backdrop.low, 0.25).opaque()
		}
		return paint.opaque()
	}
}
