package street

// rgb is a colour, nominally in [0, 1]; light may take it above.
type rgb struct{ r, g, b float32 }

func (c rgb) times(k float32) rgb { return rgb{c.r * k, c.g * k, c.b * k} }
func (c rgb) mul(d rgb) rgb       { return rgb{c.r * d.r, c.g * d.g, c.b * d.b} }

func (c rgb) mix(d rgb, t float32) rgb {
	return rgb{c.r + (d.r-c.r)*t, c.g + (d.g-c.g)*t, c.b + (d.b-c.b)*t}
}

func grey(v float32) rgb { return rgb{v, v, v} }

// opaque is the colour as a texel that hides what lies behind.
func (c rgb) opaque() texel { return texel{c, 1} }

// hsv makes a colour from hue in turns, saturation and value in [0, 1].
func hsv(h, s, v float64) rgb {
	channel := func(n float64) float32 {
		k := n + 6*h
		for k >= 6 {
			k -= 6
		}
		return float32(v - v*s*max(0, min(k, 4-k, 1)))
	}
	return rgb{channel(5), channel(3), channel(1)}
}

// colour draws a colour from ranges of hue (in turns, from -1 on), saturation and value.
func (r random) colour(h0, h1, s0, s1, v0, v1 float64) rgb {
	h := r.between(h0, h1) + 1
	return hsv(h-float64(int(h)), r.between(s0, s1), r.between(v0, v1))
}

// near draws a colour close to c: every channel and the whole vary by up to spread.
func (r random) near(c rgb, spread float64) rgb {
	k := r.between(1-spread, 1+spread)
	vary := func(x float32) float32 { return x * float32(k*r.between(1-spread/2, 1+spread/2)) }
	return rgb{vary(c.r), vary(c.g), vary(c.b)}
}

// paint is the colour of something made and painted: mostly greys and muted colours, sometimes a strong one. Vehicles,
// clothes, signs and shop fronts share it, so that colour alone tells none of them.
func (r random) paint() rgb {
	switch r.weighted(3, 2, 2, 3) {
	case 0:
		return r.colour(0.5, 0.7, 0, 0.12, 0.55, 0.95) // white to silver
	case 1:
		return r.colour(0, 1, 0, 0.2, 0.06, 0.3) // black to dark grey
	case 2:
		return r.colour(0, 1, 0.1, 0.35, 0.25, 0.65) // muted
	default:
		hue := []float64{0.96, 0.56, 0.07, 0.3}[r.weighted(4, 4, 2, 2)] // red, blue, orange to yellow, green
		return r.colour(hue, hue+0.09, 0.45, 0.85, 0.25, 0.75)
	}
}

// strong is a saturated colour from one of the given hues, in turns.
func (r random) strong(hues ...float64) rgb {
	h := hues[r.IntN(len(hues))]
	return r.colour(h-0.02, h+0.03, 0.55, 0.9, 0.4, 0.85)
}

// livery is a colour from an owner's own choice of hues most of the time, and else any paint: vehicles of one kind are often
// alike, but none has a colour for itself.
func (r random) livery(hues ...float64) rgb {
	if r.chance(0.8) {
		return r.strong(hues...)
	}
	return r.paint()
}

// masonry is the colour of plaster, brick, stone or concrete.
func (r random) masonry() rgb {
	switch r.weighted(4, 1.5, 2, 1) {
	case 0:
		return r.colour(0.08, 0.14, 0.08, 0.35, 0.5, 0.9) // plaster, cream to sand
	case 1:
		return r.colour(0.0, 0.06, 0.3, 0.6, 0.3, 0.55) // brick
	case 2:
		return r.colour(0.05, 0.65, 0, 0.1, 0.35, 0.75) // concrete, stone
	default:
		hue := []float64{0, 0.1, 0.5}[r.IntN(3)] // pink, yellow, blue plaster
		return r.colour(hue, hue+0.1, 0.1, 0.35, 0.5, 0.85)
	}
}

// leaves is the colour of foliage.
func (r random) leaves() rgb {
	if r.chance(0.1) {
		return r.colour(0.05, 0.14, 0.35, 0.7, 0.3, 0.5) // autumn
	}
	return r.colour(0.2, 0.36, 0.3, 0.65, 0.15, 0.42)
}

// grass is the colour of lawns and meadows, mostly lighter and yellower than leaves.
func (r random) grass() rgb {
	if r.chance(0.2) {
		return r.leaves()
	}
	return r.colour(0.14, 0.25, 0.35, 0.65, 0.38, 0.6)
}

// fade is the strength of detail of a given size seen at px metres a pixel: 1 well above the pixel, 0 below it, which
// keeps distant patterns from turning into moire.
func fade(px, size float32) float32 {
	return min(max(1.6-1.4*px/size, 0), 1)
}

// frac is the fractional part, in [0, 1), of a value above -4096. The offset is small because float32 keeps few bits behind
// the point of a large number.
func frac(x float32) float32 {
	x += 4096
	return x - float32(int(x))
}

// lattice splits a value above -4096 into its fractional part and an index of its integer part, for hash.
func lattice(x float32) (float32, uint32) {
	x += 4096
	i := int(x)
	return x - float32(i), uint32(i)
}
