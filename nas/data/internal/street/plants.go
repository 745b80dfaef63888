package street

// foliage is a texture of leaves inside the ellipse at (s, t) with radii rs and rt; its outline is ragged. Clumps are lit
// from above.
func (s *scene) foliage(cs, ct, rs, rt float64, leaf rgb, seed float32) texture {
	is, it := float32(1/rs), float32(1/rt)
	a, b := float32(cs), float32(ct)
	size := float32(0.3 + 0.1*rs)
	return func(u, v, px float32) texel {
		du, dv := (u-a)*is, (v-b)*it
		lump := s.cloud.smooth((u+seed)*6/size, (v+seed)*6/size)
		leafy := s.grain.at((u+seed)*14/size, v*14/size)
		if du*du+dv*dv+0.38*lump+0.22*leafy > 0.8 {
			return hole
		}
		k := 0.78 + 0.3*dv + 0.5*lump + 0.22*leafy*fade(px, 0.25)
		return leaf.times(max(k, 0.25)).opaque()
	}
}

// addTree plants one with its shadow.
func (s *scene) addTree(x, z, height float64) {
	r := s.r
	leaf := r.leaves()
	bark := r.colour(0.04, 0.12, 0.1, 0.45, 0.15, 0.42)
	trunk, radius := r.between(0.22, 0.42)*height, r.between(0.22, 0.38)*height
	girth := height * r.between(0.012, 0.028)
	bare := r.chance(0.1)
	type ball struct{ s, t, rs, rt float64 }
	balls := make([]ball, 3+r.IntN(4))
	for i := range balls {
		q := radius * r.between(0.5, 0.85)
		balls[i] = ball{r.between(-0.55, 0.55) * radius, r.between(trunk+q*0.6, height-q*0.6), q, q * r.between(0.75, 1.1)}
	}
	seed := float32(r.between(0, 200))
	lean, twigs := r.between(-0.04, 0.04)*height, make([]float64, 9)
	for i := range twigs {
		twigs[i] = r.between(-1, 1)
	}
	s.addStreak(x, z, girth, trunk*1.3, 140)
	s.addShadow(x, z, radius*0.8, radius*0.8, (trunk+height)/2, 150)
	s.addThin(z, func(c *canvas) {
		sp := c.sprite(x, 0, z, 1)
		wood := s.bark(bark)
		sp.limb(0, 0, girth*1.3, lean, trunk*1.3, girth*0.8, wood, vegetation)
		if bare {
			for i, w := range twigs {
				t := trunk + (height-trunk)*float64(i)*0.08
				sp.limb(lean, t, girth*0.5, lean+w*radius, t+(0.4+0.3*w*w)*radius, girth*0.15, wood, vegetation)
			}
			return
		}
		for _, b := range balls {
			sp.fill(b.s-b.rs, b.t-b.rt, b.s+b.rs, b.t+b.rt, s.foliage(b.s, b.t, b.rs, b.rt, leaf, seed), vegetation)
		}
	})
}

func (s *scene) bark(c rgb) texture {
	return func(u, v, _ float32) texel { return c.times(1 + 0.3*s.cloud.at(u*60, v*8)).opaque() }
}

// addBush plants a shrub.
func (s *scene) addBush(x, z, height float64) {
	r := s.r
	leaf, wide, seed := r.leaves(), height*r.between(0.5, 1.1), float32(r.between(0, 200))
	s.addShadow(x, z, wide, wide*0.6, height*0.3, 140)
	s.addThin(z, func(c *canvas) {
		sp := c.sprite(x, 0, z, 1)
		sp.fill(-wide, 0, wide, height, s.foliage(0, height*0.42, wide, height*0.55, leaf, seed), vegetation)
	})
}

// addHedge plants one along the edge of a lot. Its top is ragged.
func (s *scene) addHedge(sd *side, z0, z1 float64) {
	r := s.r
	c := &s.camera
	leaf, height, seed := r.leaves(), r.between(0.7, 2.2), float32(r.between(0, 100))
	h := float32(height)
	tex := func(u, v, px float32) texel {
		lump := s.cloud.at(u*14+seed, v*14)
		leafy := s.grain.at(u*14, v*14+seed)
		if v > h*(0.95+0.08*lump) {
			return hole
		}
		return leaf.times(0.65 + 0.3*v/h + 0.4*lump + 0.22*leafy*fade(px, 0.2)).opaque()
	}
	x := sd.dir * sd.line
	s.addSolid(max(z0, 0.1), func(cv *canvas) {
		near, far := c.at(x, 0, z0), c.at(x, 0, z1)
		outer := near.add(vec{sd.dir * 0.8, 0, 0})
		up, v := vec{0, height, 0}, vec{0, 1, 0}
		lit := s.lightOn(vec{-sd.dir, 0.2, 0}, s.shaded(x*0.98, 0.5, (z0+z1)/2))
		cv.face([]vec{near, far, far.add(up), near.add(up)}, plane{near, far.sub(near).unit(), v}, lit, tex, vegetation)
		cv.face([]vec{near, outer, outer.add(up), near.add(up)}, plane{near, vec{sd.dir, 0, 0}, v}, s.lightOn(vec{0, 0, -1}, false), tex, vegetation)
	})
}

// plantLot puts trees and bushes on a lot between the distances x0 and x1 from the centre line, density to 100 square metres.
func (s *scene) plantLot(sd *side, x0, x1, z0, z1, density float64) {
	r := s.r
	n := int((x1-x0)*(z1-z0)/100*density*r.between(0.4, 1.4) + r.Float64())
	for ; n > 0; n-- {
		x, z := sd.dir*r.between(x0, x1), r.between(z0, z1)
		if r.chance(0.6) {
			s.addTree(x, z, r.between(4, 11))
		} else {
			s.addBush(x, z, r.between(0.6, 2.4))
		}
	}
}

// planPlants lines the street with trees, on the verge or in the pavement.
func (s *scene) planPlants() {
	r, st := s.r, &s.street
	for i := range st.sides {
		sd := &st.sides[i]
		if !r.chance([]float64{0.35, 0.5, 0.6, 0.25}[st.place]) {
			continue
		}
		x := sd.dir * (st.kerb + 0.8)
		height, step := r.between(4, 10), r.between(7, 16)
		for z := r.between(4, 14); z < 90; z += step * r.between(0.8, 1.3) {
			if !st.cross.covers(z, 3) && s.claim(x-0.4, x+0.4, z-0.4, z+0.4) {
				s.addTree(x, z, height*r.between(0.75, 1.2))
			}
		}
	}
}
