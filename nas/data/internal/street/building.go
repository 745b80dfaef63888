package street

// facade is how a house looks from the street. Lengths are metres.
type facade struct {
	height, ground  float64 // to the eaves; of the ground floor
	depth           float64
	roof            float64 // rise of a pitched roof, or 0
	base, trim      rgb
	glass, tile     rgb
	shop            rgb  // of the band above shop windows
	brick           bool // courses are visible
	shops           bool
	bay, storey     float32 // spacing of windows
	winWide, winTop float32 // share of a bay and of a storey
	curtain         float32 // share of one-sided glass facades: windows that take the whole bay
	balcony         bool
	seed            uint32
}

// planFacade draws a house; small ones are for gardens.
func (s *scene) planFacade(small bool) *facade {
	r := s.r
	f := &facade{
		height: r.between(7, 24), ground: r.between(3.2, 4.6), depth: r.between(8, 14),
		base: r.masonry(), glass: r.colour(0.5, 0.65, 0.05, 0.35, 0.12, 0.5), tile: r.colour(0, 0.07, 0.1, 0.55, 0.2, 0.5),
		shop: r.paint(), brick: r.chance(0.35), shops: r.chance(0.45), balcony: r.chance(0.2),
		bay: float32(r.between(1.8, 4.2)), storey: float32(r.between(2.8, 3.6)),
		winWide: float32(r.between(0.35, 0.65)), winTop: float32(r.between(0.45, 0.65)), seed: r.Uint32(),
	}
	f.trim = r.near(f.base.mix(grey(0.9), float32(r.between(-0.3, 0.6))), 0.1)
	if small {
		f.height, f.shops, f.ground = r.between(3.5, 9), false, 0.4
	}
	if small || r.chance(0.4) {
		f.roof = r.between(2, 5)
	}
	if !small && s.street.place != residential && r.chance(0.2) { // office: glass between thin bars
		f.winWide, f.winTop, f.bay = 0.9, 0.85, float32(r.between(1.2, 1.8))
	}
	if s.street.place == industrial && r.chance(0.5) { // hall: few windows, metal sheet
		f.winWide, f.height, f.bay, f.roof = 0.25, r.between(5, 9), 6, 0
	}
	return f
}

// addHouse builds a house at distance line from the centre, from z0 to z1 along the street.
func (s *scene) addHouse(sd *side, line, z0, z1 float64, f *facade) {
	c := &s.camera
	x := sd.dir * line
	sd.raise(z0, z1, f.height-(line-sd.line)*0.5)
	tex, tiles := f.texture(s), f.tiles(s)
	s.addSolid(max(z0, 0.1), func(cv *canvas) {
		up, v := vec{0, f.height, 0}, vec{0, 1, 0}
		near, far := c.at(x, 0, z0), c.at(x, 0, z1)
		outer := near.add(vec{sd.dir * f.depth, 0, 0})
		along := far.sub(near).unit()
		street := s.lightOn(vec{-sd.dir, 0, 0}, s.shaded(sd.dir*sd.line*0.98, f.height*0.5, (z0+z1)/2))
		cv.face([]vec{near, far, far.add(up), near.add(up)}, plane{near, along, v}, street, tex, building)
		front := []vec{near, outer, outer.add(up), near.add(up)}
		if f.roof > 0 {
			ridge := vec{sd.dir * f.depth / 2, f.roof, 0}
			front = []vec{near, outer, outer.add(up), near.add(up).add(ridge), near.add(up)}
			// The roof's frame runs along the eaves and up the slope.
			slope := ridge.unit()
			a, b := near.add(up), far.add(up)
			lit := s.lightOn(vec{-sd.dir * 0.6, 0.8, 0}, false)
			cv.face([]vec{a, b, b.add(ridge), a.add(ridge)}, plane{a, along, slope.sub(along.scale(slope.dot(along))).unit()},
				lit, tiles, building)
		}
		cv.face(front, plane{near, vec{sd.dir, 0, 0}, v}, s.lightOn(vec{0, 0, -1}, false), tex, building)
	})
}

// texture is plaster, brick or glass with rows of windows.
func (f *facade) texture(s *scene) texture {
	invBay, invStorey := 1/f.bay, 1/f.storey
	mean := f.base.mix(f.glass, f.winWide*f.winTop)
	ground, top := float32(f.ground), float32(f.height)
	return func(u, v, px float32) texel {
		k := 1 + 0.1*s.cloud.at(u*3+float32(f.seed&255), v*3)
		if v > top-0.5 || (v < ground+0.25 && v > ground) {
			return f.trim.times(k).opaque() // cornices
		}
		if f.shops && v < ground {
			return f.shopFront(s, u, v, px).times(k).opaque()
		}
		fu, iu := lattice(u * invBay)
		fv, iv := lattice((v - ground) * invStorey)
		detail := fade(px, f.bay*0.5)
		if detail == 0 {
			return mean.times(k).opaque()
		}
		col := f.wall(s, u, v, px)
		if v < ground { // a plinth, or a ground floor with doors
			if ground > 1 && hash(iu, f.seed) < 0.3 && abs(fu-0.5) < 0.2 && v < 2.3 {
				col = f.shop.times(0.7)
			}
		} else {
			col = f.window(s, col, fu, fv, hash(iu^f.seed, iv))
		}
		if f.balcony && fv < 0.28 && iu%3 == f.seed%3 && v > ground+1 {
			col = f.trim.times(0.8 + 0.3*frac(u*6))
		}
		return mean.mix(col, detail).times(k).opaque()
	}
}

// wall is the bare wall, with courses of brick where they can be seen.
func (f *facade) wall(s *scene, u, v, px float32) rgb {
	if !f.brick {
		return f.base.times(1 + 0.05*s.grain.at(u*20, v*20))
	}
	d := fade(px, 0.12)
	if d == 0 {
		return f.base
	}
	fv, iv := lattice(v / 0.09)
	fu, iu := lattice(u/0.26 + 0.5*float32(iv&1))
	if fv < 0.14 || fu < 0.06 {
		return f.base.mix(grey(0.65), 0.45*d)
	}
	return f.base.times(1 + d*0.3*(hash(iu, iv)-0.5))
}

// window lays a window with its frame over the wall at (fu, fv) of a bay; id varies from window to window.
func (f *facade) window(s *scene, col rgb, fu, fv, id float32) rgb {
	du, dv := abs(fu-0.5)-f.winWide/2, abs(fv-0.55)-f.winTop/2
	switch {
	case du > 0.04 || dv > 0.04:
		return col
	case du > -0.02 || dv > -0.02:
		return f.trim // frame
	case id < 0.25: // curtains, blinds
		return f.glass.mix(grey(0.8), 0.5)
	case id > 0.93: // light inside
		return rgb{0.95, 0.8, 0.5}
	}
	// Glass mirrors the sky in its upper part.
	return f.glass.mix(s.backdrop.low, max(0, 0.25*fv+0.3*(id-0.5)))
}

// shopFront is a ground floor of shop windows under a band of colour.
func (f *facade) shopFront(s *scene, u, v, px float32) rgb {
	if v > float32(f.ground)-0.7 {
		fu, iu := lattice(u * 2.5)
		if fu > 0.2 && v < float32(f.ground)-0.25 && v > float32(f.ground)-0.5 && hash(iu, f.seed) < 0.6 {
			return f.shop.mix(grey(0.95), 0.8*fade(px, 0.25)) // lettering
		}
		return f.shop
	}
	fu, iu := lattice(u / 2.6)
	if fu < 0.07 || v < 0.35 {
		return f.trim.times(0.8)
	}
	inside := f.glass.mix(rgb{0.9, 0.8, 0.6}, 0.35*hash(iu, f.seed+1))
	return inside.times(0.75 + 0.5*s.cloud.at(u*9, v*9))
}

// tiles is the texture of a pitched roof.
func (f *facade) tiles(s *scene) texture {
	return func(u, v, px float32) texel {
		k := 1 + 0.12*s.cloud.at(u*5, v*5) + fade(px, 0.35)*0.25*(frac(v/0.35)-0.5)
		return f.tile.times(k).opaque()
	}
}
