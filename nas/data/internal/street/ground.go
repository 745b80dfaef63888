package street

import "math"

// groundLook is how the ground of a scene looks.
type groundLook struct {
	tarmac, kerb, slab, grass, soil rgb
	patch                           rgb     // repaired tarmac
	slabSize                        float32 // metres, of the pavement's slabs
	cobbles                         bool
	marks                           float32 // strength of road markings, 0 to 1
	centre                          bool    // there is a centre line
	zebra                           bool    // there is a crossing before the cross street
	wear                            float32 // strength of stains
	offset                          float32
}

func (s *scene) planGround() {
	r := s.r
	tone := r.between(0.24, 0.45)
	s.ground = groundLook{
		tarmac: r.colour(0.55, 0.75, 0, 0.08, tone, tone), patch: grey(float32(tone * r.between(0.7, 1.2))),
		kerb: grey(float32(r.between(0.45, 0.75))), grass: r.grass(), soil: r.colour(0.05, 0.12, 0.2, 0.5, 0.3, 0.6),
		slabSize: float32(r.between(0.35, 1.2)), cobbles: r.chance(0.12), marks: float32(r.between(0.3, 1)),
		centre: r.chance(0.7), zebra: r.chance(0.6), wear: float32(r.between(0.05, 0.22)), offset: float32(r.between(0, 200)),
	}
	s.ground.slab = r.near([]rgb{grey(float32(tone*1.2 + 0.12)), {0.64, 0.58, 0.5}, {0.62, 0.42, 0.36}, {0.68, 0.6, 0.5}}[r.IntN(4)], 0.15)
	if r.chance(0.12) { // low contrast: pavement of the road's own material
		s.ground.slab = r.near(s.ground.tarmac, 0.12)
	}
}

// strip is a range of X, up to its end, of one surface.
type strip struct {
	end  float64
	what surface
}

// strips lists the surfaces from left to right at distance z.
func (s *scene) strips(z float64, out []strip) []strip {
	st := &s.street
	const everywhere = 1e9
	left, right := &st.sides[0], &st.sides[1]
	if st.cross.covers(z, 0) {
		return append(out, strip{everywhere, surfRoad})
	}
	soil := func(sd *side) surface {
		if st.cross.covers(z, 2) {
			return surfWalk // the cross street's own pavement
		}
		return sd.soilAt(z)
	}
	const kerbWidth = 0.16
	return append(out,
		strip{-left.line, soil(left)}, strip{-left.verge, surfWalk}, strip{-st.kerb - kerbWidth, surfGrass},
		strip{-st.kerb, surfKerb}, strip{st.kerb, surfRoad}, strip{st.kerb + kerbWidth, surfKerb},
		strip{right.verge, surfGrass}, strip{right.line, surfWalk}, strip{everywhere, soil(right)})
}

// drawGround draws every row below the horizon. A row lies at one distance, so what depends on it is worked out once a row.
func (s *scene) drawGround(c *canvas) {
	var buf [9]strip
	sun := s.light.on(vec{0, 1, 0})
	for y := max(int(c.cy)+1, 0); y < c.h; y++ {
		z := s.camera.height * c.f / (float64(y) + 0.5 - c.cy)
		px := z / c.f
		x := (0.5-c.cx)*px - s.camera.shift(z)
		row := groundRow{s: s, c: c, y: y, z: float32(z), px: float32(px), depth: float32(z * z / (c.f * s.camera.height)), sun: sun}
		row.castShadow()
		from := 0
		for _, st := range s.strips(z, buf[:0]) {
			to := min(max(int(math.Ceil((st.end-x)/px)), from), c.w)
			row.fill(from, to, float32(x), st.what)
			from = to
		}
	}
}

// groundRow draws the pixels of one row of the ground.
type groundRow struct {
	s     *scene
	c     *canvas
	y     int
	z, px float32 // distance and metres a pixel across
	depth float32 // metres a pixel along the road
	sun   rgb
	// The shadow of the buildings on the sunward side: a point x is shaded if what stands at z + (line-x)*slide is higher
	// than (line-x)*climb.
	side         *side
	line         float32
	slide, climb float32
}

func (g *groundRow) castShadow() {
	l := g.s.light.toSun
	if !g.s.sunny() || math.Abs(l.x) < 0.02 {
		return
	}
	g.side = &g.s.street.sides[0]
	if l.x > 0 {
		g.side = &g.s.street.sides[1]
	}
	g.line, g.slide, g.climb = float32(g.side.dir*g.side.line), float32(l.z/l.x), float32(l.y/l.x)
}

func (g *groundRow) shaded(x float32) bool {
	if g.side == nil {
		return false
	}
	d := g.line - x
	i := int(g.z + d*g.slide - behind)
	return i >= 0 && i < len(g.side.heights) && g.side.heights[i] > d*g.climb && d*g.climb > 0
}

func (g *groundRow) fill(from, to int, x0 float32, what surface) {
	look := &g.s.ground
	paint, class := g.road, byte(road)
	switch what {
	case surfKerb:
		paint, class = func(float32) rgb { return look.kerb }, sidewalk
	case surfWalk:
		paint, class = g.walk, sidewalk
	case surfGrass:
		paint, class = g.grass, terrain
	case surfSoil:
		paint, class = g.soil, terrain
	}
	hazy, haze := g.c.haze(g.z), g.s.light.haze
	row := g.y * g.c.w
	dark := 1 - g.s.light.dark
	for i := from; i < to; i++ {
		x := x0 + float32(i)*g.px
		k := 1 - float32(g.c.shadow[row+i])*(1.0/255)
		if g.shaded(x) {
			k = min(k, dark)
		}
		g.c.colour[row+i] = paint(x).mul(g.sun).times(k).mix(haze, hazy)
		g.c.label[row+i] = class
	}
}

func (g *groundRow) walk(x float32) rgb {
	look := &g.s.ground
	fu, iu := lattice(x / look.slabSize)
	fv, iv := lattice((g.z + look.offset) / look.slabSize)
	k := 1 + 0.14*g.s.cloud.at(x*5, g.z*5)
	detail := fade(max(g.px, g.depth*0.6), look.slabSize)
	k += detail * (hash(iu, iv) - 0.5) * 0.16
	if joint := 0.02 / look.slabSize; fu < joint+g.px*0.5 || fv < joint {
		k -= 0.25 * detail
	}
	return look.slab.times(k)
}

func (g *groundRow) grass(x float32) rgb {
	k := 1 + 0.25*g.s.cloud.at(x*4+77, g.z*4) + 0.28*fade(g.depth, 0.8)*g.s.grain.at(x*17, g.z*9)
	return g.s.ground.grass.mix(g.s.ground.soil, max(0, 0.6*g.s.cloud.smooth(x*1.3, g.z*1.3)-0.1)).times(k)
}

func (g *groundRow) soil(x float32) rgb {
	return g.s.ground.soil.times(1 + 0.2*g.s.cloud.at(x*6, g.z*6) + 0.15*fade(g.depth, 0.5)*g.s.grain.at(x*25, g.z*25))
}
