package street

// addBorder puts a fence, a wall, a hedge or nothing along a lot's edge, with probability p for something.
func (s *scene) addBorder(sd *side, z0, z1, p float64) {
	r := s.r
	if !r.chance(p) {
		return
	}
	switch r.weighted(0.6, 0.25, 0.15) {
	case 0:
		s.addFence(sd, z0, z1)
	case 1:
		s.addWall(sd, z0, z1, r.between(1, 1.9))
	default:
		s.addHedge(sd, z0, z1)
	}
}

// addWall builds a free-standing wall of stone, brick or concrete along a side.
func (s *scene) addWall(sd *side, z0, z1, height float64) {
	r := s.r
	c := &s.camera
	base := r.stone()
	top := r.near(base.mix(grey(0.7), 0.4), 0.15)
	tex := s.masonryTexture(base, top, float32(height), r.IntN(4))
	x, thick := sd.dir*sd.line, sd.dir*0.35
	s.addSolid(max(z0, 0.1), func(cv *canvas) {
		up, v := vec{0, height, 0}, vec{0, 1, 0}
		near, far := c.at(x, 0, z0), c.at(x, 0, z1)
		outer := near.add(vec{thick, 0, 0})
		lit := s.lightOn(vec{-sd.dir, 0, 0}, false)
		cv.face([]vec{near, far, far.add(up), near.add(up)}, plane{near, far.sub(near).unit(), v}, lit, tex, wall)
		cv.face([]vec{near, outer, outer.add(up), near.add(up)}, plane{near, vec{sd.dir, 0, 0}, v}, s.lightOn(vec{0, 0, -1}, false), tex, wall)
		if height < c.height { // its top shows
			a, b := near.add(up), far.add(up)
			across := vec{thick, 0, 0}
			cv.face([]vec{a, b, b.add(across), a.add(across)}, plane{a, b.sub(a).unit(), vec{sd.dir, 0, 0}}, s.light.on(v), flat(top), wall)
		}
	})
}

// stone is the colour of a wall: mostly stone and brick, seldom plaster as on houses.
func (r random) stone() rgb {
	switch r.weighted(3, 2, 1) {
	case 0:
		return r.colour(0.06, 0.13, 0.12, 0.4, 0.3, 0.6) // sandstone
	case 1:
		return r.colour(0.0, 0.05, 0.35, 0.6, 0.3, 0.5)
	default:
		return r.masonry()
	}
}

// masonryTexture is brick (0), stone blocks (1), concrete panels (2) or plaster (3) under a capping.
func (s *scene) masonryTexture(base, top rgb, height float32, kind int) texture {
	return func(u, v, px float32) texel {
		k := 1 + 0.16*s.cloud.at(u*5+31, v*5) + 0.06*s.grain.at(u*20, v*20)
		k -= max(0, 0.18*(0.4-v)) // damp foot
		if v > height-0.14 {
			return top.times(k).opaque()
		}
		switch kind {
		case 0:
			fv, iv := lattice(v / 0.1)
			fu, iu := lattice(u/0.3 + 0.5*float32(iv&1))
			d := fade(px, 0.12)
			if fv < 0.15 || fu < 0.06 {
				return base.mix(grey(0.6), 0.5*d).times(k).opaque()
			}
			k += d * 0.35 * (hash(iu, iv) - 0.5)
		case 1:
			_, iv := lattice(v / 0.38)
			fu, iu := lattice(u/0.7 + 0.37*float32(iv%3))
			fv := frac(v / 0.38)
			d := fade(px, 0.4)
			if fv < 0.08 || fu < 0.05 {
				k -= 0.4 * d
			}
			k += d * 0.4 * (hash(iu, iv) - 0.5)
		case 2:
			if fu := frac(u / 2.4); fu < 0.03 {
				k -= 0.35 * fade(px, 0.2)
			}
		}
		return base.times(k).opaque()
	}
}

// fenceLook is how a fence is made: bars or mesh that one sees through, or boards.
type fenceLook struct {
	height, pitch, bar float32 // metres: of the fence, between bars, of one bar
	rails              [2]float32
	kind               int // 0 bars, 1 mesh, 2 boards
	colour             rgb
}

func (s *scene) addFence(sd *side, z0, z1 float64) {
	r := s.r
	c := &s.camera
	f := fenceLook{height: float32(r.between(1.1, 2.3)), kind: r.weighted(0.45, 0.2, 0.35)}
	f.pitch, f.bar = float32(r.between(0.1, 0.2)), float32(r.between(0.04, 0.07))
	if f.kind == 2 {
		f.bar = f.pitch * 0.8
	}
	f.rails = [2]float32{f.height * 0.15, f.height * 0.85}
	f.colour = []rgb{r.colour(0.05, 0.1, 0.2, 0.6, 0.2, 0.6), r.colour(0.3, 0.5, 0.1, 0.5, 0.1, 0.35), grey(float32(r.between(0.04, 0.3)))}[r.IntN(3)]
	tex := f.texture(s)
	x := sd.dir * sd.line
	const piece = 4.0 // short pieces, so that each sorts well by its distance
	for z := z0; z < z1-0.1; z += piece {
		from, to := z, min(z+piece, z1)
		s.thin = append(s.thin, item{max((from+to)/2, 0.1), func(cv *canvas) {
			near, far := c.at(x, 0, from), c.at(x, 0, to)
			up := vec{0, float64(f.height), 0}
			lit := s.lightOn(vec{-sd.dir, 0, -0.3}, s.shaded(x*0.98, 0.5, from))
			cv.face([]vec{near, far, far.add(up), near.add(up)}, plane{near, far.sub(near).unit(), vec{0, 1, 0}}, lit, tex, fence)
		}})
	}
}

// texture covers the whole fence: its gaps are texels of weight 0, where what is behind shows and the class is still fence.
// Far away, where single bars are lost, the fence becomes a veil of the bars' mean weight.
func (f *fenceLook) texture(s *scene) texture {
	share := f.bar / f.pitch
	return func(u, v, px float32) texel {
		k := 1 + 0.12*s.cloud.at(u*7, v*7)
		if abs(v-f.rails[0]) < max(0.03, px*0.4) || abs(v-f.rails[1]) < max(0.03, px*0.4) || frac(u/2) < 0.04 {
			return f.colour.times(k).opaque()
		}
		fu, iu := lattice(u / f.pitch)
		d := fade(px, f.pitch)
		if f.kind == 2 {
			k += d * 0.3 * (hash(iu, 5) - 0.5)
		}
		solid := fu < share
		if f.kind == 1 {
			fv := frac(v / f.pitch)
			solid = solid || fv < share
		}
		weight := share * (1 - d)
		if solid {
			weight += d
		}
		return texel{f.colour.times(k), min(weight, 1)}
	}
}
