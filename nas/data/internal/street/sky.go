package street

import "math"

// backdrop is the sky and what stands on the horizon before it.
type backdrop struct {
	zenith, low, cloud rgb
	cover              float32 // share of clouds: below -1 none, above 1 closed
	offset             [2]float32
	ridge              rgb
	class              byte
	rise, rough        float64 // height of the ridge in picture widths, share of it that varies
}

func (s *scene) planBackdrop() {
	r := s.r
	b := &s.backdrop
	b.offset = [2]float32{float32(r.between(0, 256)), float32(r.between(0, 256))}
	switch {
	case !s.sunny(): // closed or nearly closed, white to dark grey
		v := r.between(0.62, 0.98)
		b.low, b.zenith = r.colour(0.55, 0.65, 0, 0.06, v, v), r.colour(0.55, 0.65, 0.02, 0.14, v*0.8, v)
		b.cloud, b.cover = r.colour(0.55, 0.65, 0, 0.08, v*0.85, 1), float32(r.between(0, 1))
	case s.light.toSun.y < 0.4: // low sun
		b.low, b.zenith = r.colour(0.03, 0.12, 0.15, 0.5, 0.75, 1), r.colour(0.55, 0.65, 0.15, 0.45, 0.4, 0.75)
		b.cloud, b.cover = r.colour(0.0, 0.1, 0.05, 0.35, 0.6, 0.95), float32(r.between(-1, 0.6))
	default:
		b.low, b.zenith = r.colour(0.52, 0.6, 0.05, 0.3, 0.85, 1), r.colour(0.55, 0.62, 0.3, 0.65, 0.55, 0.95)
		b.cloud, b.cover = r.colour(0.55, 0.65, 0, 0.06, 0.85, 1), float32(r.between(-1.2, 0.5))
	}
	b.rise, b.rough = r.between(0.004, 0.06), r.between(0.3, 0.8)
	switch r.weighted(0.5, 0.3, 0.2) {
	case 0:
		b.class, b.ridge = vegetation, r.leaves()
	case 1:
		b.class, b.ridge = building, r.masonry()
	default:
		b.class, b.ridge = terrain, r.grass()
		b.rough = 0.35
	}
	b.ridge = b.ridge.mul(s.light.on(vec{0, 0, -1})).mix(s.light.haze, float32(r.between(0.25, 0.6)))
}

// drawSky draws from the top row to the horizon: clouds thin out towards it as they are farther away.
func (s *scene) drawSky(c *canvas) {
	b := &s.backdrop
	horizon := min(max(int(c.cy)+1, 0), c.h)
	unit := float32(1 / (s.camera.focal * float64(c.w)))
	for y := 0; y < horizon; y++ {
		up := (float32(c.cy) - float32(y) - 0.5) * unit // tangent of the elevation
		t := min(up*1.6, 1)
		base := b.low.mix(b.zenith, t*(2-t))
		v := 14/(up+0.12) + b.offset[1]
		stretch := 22 / (up + 0.25)
		for x := 0; x < c.w; x++ {
			u := (float32(x)+0.5-float32(c.cx))*unit*stretch + b.offset[0]
			k := min(max((s.cloud.smooth(u, v)+b.cover*0.6)*1.3, 0), 1)
			i := y*c.w + x
			c.colour[i] = base.mix(b.cloud, k)
			c.label[i] = sky
		}
	}
	s.drawRidge(c, horizon)
}

// drawRidge draws the far hills, trees or roofs along the horizon.
func (s *scene) drawRidge(c *canvas, horizon int) {
	b := &s.backdrop
	for x := 0; x < c.w; x++ {
		a := (float64(x) + 0.5 - c.cx) / c.f
		u := float32(a * 60)
		if b.class == building {
			u = float32(math.Floor(a * 35))
		}
		n := float64(s.cloud.smooth(u+b.offset[1], b.offset[0]))
		if b.class == vegetation {
			n += 0.3 * float64(s.grain.smooth(float32(a*150), 3))
		}
		top := c.cy - b.rise*float64(c.w)*(1-b.rough+b.rough*(0.5+n))
		for y := max(int(math.Ceil(top-0.5)), 0); y < horizon; y++ {
			i := y*c.w + x
			k := 1 + 0.12*s.grain.smooth(float32(a*220), float32(c.cy-float64(y))*float32(220/c.f))
			c.colour[i], c.label[i] = b.ridge.times(k), b.class
		}
	}
}
