package street

// road is the colour of the road at x: tarmac or cobbles with stains and repairs, and what is painted on it.
func (g *groundRow) road(x float32) rgb {
	look := &g.s.ground
	stain := g.s.cloud.smooth(x*2.2+look.offset, g.z*0.7)
	k := 1 + look.wear*stain + 0.1*fade(g.depth, 0.6)*g.s.grain.at(x*28, g.z*28)
	col := look.tarmac
	if g.s.cloud.smooth(x*0.5, g.z*0.35+look.offset) > 0.55 {
		col = look.patch
	}
	if look.cobbles {
		fu, iu := lattice(x / 0.14)
		fv, iv := lattice(g.z / 0.14)
		d := fade(max(g.px, g.depth), 0.14)
		k += d * (hash(iu, iv) - 0.5) * 0.35
		if fu < 0.15 || fv < 0.15 {
			k -= 0.3 * d
		}
	}
	col = col.times(k)
	if m := g.marking(x) * look.marks; m > 0 {
		col = col.mix(rgb{0.92, 0.92, 0.88}, m*(0.85+0.15*stain))
	}
	if g.s.street.tram {
		col = g.rails(x, col)
	}
	return col
}

// marking is how strongly the road is painted at x.
func (g *groundRow) marking(x float32) float32 {
	st, look := &g.s.street, &g.s.ground
	if st.cross.z1 > 0 {
		before := float32(st.cross.z0) - g.z
		if before < 0 && before > float32(st.cross.z0-st.cross.z1) {
			return 0
		}
		if look.zebra && before > 0.6 && before < 3.8 {
			if frac(x) < 0.5 && abs(x) < float32(st.kerb) {
				return 1
			}
			return 0
		}
		if look.zebra && x > 0 && before > 5 && before < 5.5 {
			return 1
		}
	}
	half := max(0.07, 0.4*g.px) // keeps distant lines visible, as a camera's pixel does
	strength := min(0.07/half*1.3, 1)
	if look.centre && abs(x) < half {
		return strength
	}
	dash := frac((g.z + look.offset) / 9)
	lane := float32(st.lane)
	for n := 1; n < st.lanes; n++ {
		if abs(abs(x)-lane*float32(n)) < half && dash < 0.45 {
			return strength
		}
	}
	if st.parking > 0 && abs(abs(x)-lane*float32(st.lanes)) < half && dash < 0.8 {
		return strength * 0.8
	}
	return 0
}

// rails draws a tram track of standard gauge into the road.
func (g *groundRow) rails(x float32, col rgb) rgb {
	d := abs(x - float32(g.s.street.track))
	if d > 1.3 {
		return col
	}
	if abs(d-0.72) < max(0.06, 0.45*g.px) {
		return grey(0.16).mix(g.s.backdrop.zenith, 0.25)
	}
	if d < 1.15 {
		return col.times(0.86)
	}
	return col
}

func abs(x float32) float32 { return max(x, -x) }
