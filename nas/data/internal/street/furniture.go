package street

import "math"

// planFurniture lines the street with lamps, signs, traffic lights and the small things that carry no class of their own.
func (s *scene) planFurniture() {
	r, st := s.r, &s.street
	for i := range st.sides {
		sd := &st.sides[i]
		if r.chance(0.8) {
			s.addLamps(sd)
		}
		for n := r.IntN(4); n > 0; n-- {
			s.addSign(sd, s.polePlace(sd), 5+r.between(0, 5)*r.between(0, 5))
		}
		for n := r.IntN(3); n > 0; n-- {
			s.addBin(s.polePlace(sd)+sd.dir*0.3, r.between(5, 30))
		}
	}
	switch {
	case st.cross.z1 > 0 && r.chance(0.75):
		z := st.cross.z0 - r.between(0.3, 1.5)
		s.addLight(&st.sides[1], z, r.chance(0.4))
		s.addLight(&st.sides[0], z, r.chance(0.2))
		s.addLight(&st.sides[r.IntN(2)], st.cross.z1+1, r.chance(0.3))
	case r.chance(0.4):
		z := r.between(5, 16)
		s.addLight(&st.sides[0], z, r.chance(0.2))
		s.addLight(&st.sides[1], z, r.chance(0.5))
	}
	if r.chance(0.15) {
		s.addBoard(r.between(12, 30))
	}
}

// polePlace is a place for a pole: behind the kerb, as a rule.
func (s *scene) polePlace(sd *side) float64 {
	return sd.dir * (s.street.kerb + s.r.between(0.35, 0.7))
}

// post is a metal or concrete pole, rounded by its shading.
func post(c rgb, radius float64) texture {
	inv := float32(1 / radius)
	return func(u, _, _ float32) texel {
		q := u * inv
		return c.times(1.05 - 0.25*q - 0.2*q*q).opaque()
	}
}

func (s *scene) addLamps(sd *side) {
	r := s.r
	height, radius, arm := r.between(5, 9), r.between(0.08, 0.15), r.between(0, 2.2)
	col := r.colour(0.3, 0.6, 0, 0.2, 0.12, 0.65)
	if r.chance(0.15) { // wooden
		col, arm = r.colour(0.06, 0.1, 0.3, 0.5, 0.25, 0.45), 0
	}
	step := r.between(14, 30)
	x := s.polePlace(sd)
	for z := r.between(4, 20); z < 100; z += step {
		if s.street.cross.covers(z, 1) || !s.claim(x-0.15, x+0.15, z-0.15, z+0.15) {
			continue
		}
		at := z
		s.addStreak(x, at, radius, height, 120)
		s.addThin(at, func(c *canvas) {
			sp := c.sprite(x, 0, at, 1)
			tex := post(col, radius*1.2)
			sp.limb(0, 0, radius*1.35, 0, height, radius*0.75, tex, pole)
			if arm > 0.3 {
				sp.limb(0, height, radius*0.7, -sd.dir*arm, height+0.35, radius*0.5, flat(col), pole)
				sp.ellipse(-sd.dir*arm, height+0.3, 0.36, 0.12, flat(col.mix(grey(0.8), 0.4)), pole)
			} else if arm > 0 {
				sp.ellipse(0, height+0.1, 0.22, 0.26, flat(col.mix(grey(0.9), 0.6)), pole)
			}
		})
	}
}

// addLight puts up a traffic light at z, on a post beside the road or also hanging from an arm over it.
func (s *scene) addLight(sd *side, z float64, arm bool) {
	r := s.r
	x := sd.dir * (s.street.kerb + 0.45)
	if z < 4 || !s.claim(x-0.15, x+0.15, z-0.15, z+0.15) {
		return
	}
	col, height := r.colour(0.3, 0.6, 0, 0.15, 0.12, 0.6), r.between(2.5, 3.1)
	box := []rgb{grey(0.06), {0.1, 0.14, 0.1}, {0.6, 0.5, 0.12}}[r.weighted(0.6, 0.25, 0.15)]
	lit, border, reach := r.IntN(3), r.chance(0.3), r.between(2.2, 4.5)
	s.addThin(z, func(c *canvas) {
		sp := c.sprite(x, 0, z, 1)
		tex := post(col, 0.1)
		if arm {
			sp.limb(0, 0, 0.1, 0, 5.8, 0.08, tex, pole)
			sp.limb(0, 5.6, 0.07, -sd.dir*reach, 5.9, 0.05, flat(col), pole)
			signalHead(sp, -sd.dir*reach, 4.9, 1.15, box, lit, border)
		} else {
			sp.limb(0, 0, 0.075, 0, height, 0.065, tex, pole)
		}
		signalHead(sp, 0, height-0.35, 1, box, lit, border)
	})
}

// signalHead draws the three lamps of a traffic light in their housing, whose foot is at (u, v).
func signalHead(sp sprite, u, v, k float64, box rgb, lit int, border bool) {
	w, h := 0.23*k, 1.25*k
	if border {
		sp.rect(u-w*1.5, v-0.1, u+w*1.5, v+h+0.1, flat(grey(0.85)), trafficLight)
		w *= 1.3
	}
	sp.rect(u-w, v, u+w, v+h, flat(box), trafficLight)
	lamps := [3]rgb{{0.1, 1.1, 0.55}, {1.3, 0.85, 0.1}, {1.3, 0.15, 0.1}} // from below: green, amber, red
	for i, c := range lamps {
		if i != lit {
			c = c.times(0.16)
		}
		t := v + h*(0.17+0.33*float64(i))
		sp.ellipse(u, t, sp.thick(0.115*k, 1.2), sp.thick(0.115*k, 1.2), flat(c), trafficLight)
	}
}

// addSign puts up one or two plates on a post.
func (s *scene) addSign(sd *side, x, z float64) {
	r := s.r
	if s.street.cross.covers(z, 0.5) || !s.claim(x-0.15, x+0.15, z-0.15, z+0.15) {
		return
	}
	type plate struct {
		kind, look int
		size, t    float64
	}
	height := r.between(2.2, 3)
	plates := []plate{{r.weighted(3, 2, 1.5, 2, 1), r.IntN(3), r.between(0.36, 0.55), height}}
	if r.chance(0.35) {
		plates = append(plates, plate{r.weighted(2, 1, 1, 3, 1), r.IntN(3), r.between(0.25, 0.4), height - 0.85})
	}
	back, col := r.chance(0.12), grey(float32(r.between(0.35, 0.65)))
	turn, other := r.between(0.8, 1), r.paint()
	s.addThin(z, func(c *canvas) {
		sp := c.sprite(x, 0, z, turn)
		sp.limb(0, 0, 0.04, 0, height+0.1, 0.04, post(col, 0.05), pole)
		for _, p := range plates {
			tex := signFace(p.kind, p.look, p.size, p.t, other)
			if back {
				tex = flat(grey(0.5))
			}
			sp.plate(p.kind, p.size, p.t, tex)
		}
	})
}

// plate outlines a sign of half-size r around height t: disc (0), triangle (1), octagon (2), square (3) or board (4).
func (sp *sprite) plate(kind int, r, t float64, tex texture) {
	switch kind {
	case 0:
		sp.ellipse(0, t, r, r, tex, trafficSign)
	case 1:
		sp.polygon([][2]float64{{-1.1 * r, t - 0.7*r}, {1.1 * r, t - 0.7*r}, {0, t + 1.1*r}}, tex, trafficSign)
	case 2:
		pts := make([][2]float64, 8)
		for i := range pts {
			sin, cos := math.Sincos((float64(i) + 0.5) * math.Pi / 4)
			pts[i] = [2]float64{r * 1.05 * cos, t + r*1.05*sin}
		}
		sp.polygon(pts, tex, trafficSign)
	case 3:
		sp.rect(-0.85*r, t-0.85*r, 0.85*r, t+0.85*r, tex, trafficSign)
	default:
		sp.rect(-1.7*r, t-0.5*r, 1.7*r, t+0.5*r, tex, trafficSign)
	}
}

// signFace is what a plate shows: a rim, a ground and a dark or light mark on it.
func signFace(kind, look int, r, t float64, other rgb) texture {
	rim, ground, mark := rgb{0.75, 0.06, 0.08}, grey(0.9), grey(0.1)
	switch {
	case kind == 2:
		rim, ground, mark = grey(0.9), rgb{0.75, 0.06, 0.08}, grey(0.92)
	case kind >= 3 && look == 0, kind == 0 && look == 2:
		rim, ground, mark = grey(0.9), rgb{0.08, 0.25, 0.65}, grey(0.92)
	case kind == 3 && look == 1:
		rim, ground, mark = grey(0.9), rgb{0.9, 0.7, 0.1}, grey(0.9)
	case kind == 4:
		rim, ground, mark = grey(0.9), other, grey(0.92)
	}
	ct, inv := float32(t), float32(1/r)
	return func(u, v, _ float32) texel {
		a, b := abs(u*inv), abs(v-ct)*inv
		if kind == 4 {
			a, b = a*0.55, b*1.7
		}
		q := max(a, b)
		if kind == 0 {
			q = a*a + b*b
		}
		switch {
		case kind == 1:
			if low := (v-ct)*inv + 0.7; min(low, (1.8-low-1.64*a)*0.52) < 0.2 {
				return rim.opaque()
			}
			if a < 0.12 && b < 0.5 {
				return mark.opaque()
			}
		case q > 0.68:
			return rim.opaque()
		case b < 0.16 && a < 0.5, look == 2 && a < 0.13 && b < 0.5:
			return mark.opaque()
		}
		return ground.opaque()
	}
}

// addBoard puts up a large direction board on two posts beside the road or over it.
func (s *scene) addBoard(z float64) {
	r := s.r
	sd := &s.street.sides[1]
	w, h := r.between(1.2, 2), r.between(0.6, 1)
	x := s.street.kerb + w + 0.4
	if s.street.cross.covers(z, 1) || !s.claim(x-w, x+w, z-0.2, z+0.2) {
		return
	}
	foot := r.between(1.6, 3.4)
	ground := []rgb{{0.9, 0.75, 0.12}, {0.1, 0.3, 0.65}, grey(0.88), {0.08, 0.4, 0.2}}[r.IntN(4)]
	mark := grey(0.08)
	if ground.r < 0.5 {
		mark = grey(0.92)
	}
	s.addThin(z, func(c *canvas) {
		sp := c.sprite(sd.dir*x, 0, z, 1)
		for _, u := range []float64{-0.7 * w, 0.7 * w} {
			sp.limb(u, 0, 0.06, u, foot+h, 0.06, post(grey(0.45), 0.06), pole)
		}
		sp.rect(-w, foot, w, foot+2*h, func(u, v, px float32) texel {
			a, b := abs(u)/float32(w), (v-float32(foot))/float32(2*h)
			if a > 0.95 || b < 0.05 || b > 0.95 {
				return mark.opaque()
			}
			if row := frac(b * 3); row > 0.35 && row < 0.7 && a < 0.75 && hash(uint32(u*7+50), uint32(b*3)) < 0.7 {
				return ground.mix(mark, fade(px, 0.3)*0.9).opaque()
			}
			return ground.opaque()
		}, trafficSign)
	})
}

// addBin puts down a litter bin, a box or a bollard, which the classes leave out: its pixels are to be ignored.
func (s *scene) addBin(x, z float64) {
	r := s.r
	if s.street.cross.covers(z, 0.5) || !s.claim(x-0.3, x+0.3, z-0.3, z+0.3) {
		return
	}
	w, h, col := r.between(0.2, 0.4), r.between(0.7, 1.2), r.paint()
	s.addStreak(x, z, w, h, 140)
	s.addThin(z, func(c *canvas) {
		sp := c.sprite(x, 0, z, 1)
		sp.rect(-w, 0, w, h, s.cloth(col), ignore)
		sp.rect(-w*1.05, h*0.9, w*1.05, h, flat(col.times(0.6)), ignore)
	})
}
