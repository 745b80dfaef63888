package street

import "sync"

const noiseSize = 256 // texels a side; both fields tile

// noiseField is a tileable field of values in about [-1, 1].
type noiseField [noiseSize * noiseSize]float32

// at is the nearest texel. Coordinates count texels and must lie above -1e5.
func (n *noiseField) at(u, v float32) float32 {
	return n[(int(v+1<<17)&(noiseSize-1))*noiseSize+int(u+1<<17)&(noiseSize-1)]
}

// smooth interpolates between the four texels around a point, for features larger than a pixel.
func (n *noiseField) smooth(u, v float32) float32 {
	u, v = u+1<<15, v+1<<15
	iu, iv := int(u), int(v)
	fu, fv := u-float32(iu), v-float32(iv)
	r0 := (iv & (noiseSize - 1)) * noiseSize
	r1 := ((iv + 1) & (noiseSize - 1)) * noiseSize
	c0, c1 := iu&(noiseSize-1), (iu+1)&(noiseSize-1)
	top := n[r0+c0] + (n[r0+c1]-n[r0+c0])*fu
	bottom := n[r1+c0] + (n[r1+c1]-n[r1+c0])*fu
	return top + (bottom-top)*fv
}

// grain is noise without correlation between texels, cloud has features of all sizes (five octaves, amplitude 1/f).
var noises = sync.OnceValues(func() (grain, cloud *noiseField) {
	grain, cloud = new(noiseField), new(noiseField)
	for i := range grain {
		grain[i] = hash(uint32(i), 1)*2 - 1
	}
	amplitude, norm := float32(1), float32(0)
	for period := 8; period <= 128; period *= 2 {
		addOctave(cloud, period, amplitude)
		norm += amplitude
		amplitude *= 0.6
	}
	for i := range cloud {
		cloud[i] *= 1.8 / norm
	}
	return grain, cloud
})

// addOctave adds smoothly interpolated random values on a lattice of period x period cells.
func addOctave(n *noiseField, period int, amplitude float32) {
	cell := noiseSize / period
	value := func(x, y int) float32 {
		return hash(uint32((y%period)*period+x%period), uint32(period)*7+3)*2 - 1
	}
	for y := 0; y < noiseSize; y++ {
		ty := ease(float32(y%cell) / float32(cell))
		for x := 0; x < noiseSize; x++ {
			tx := ease(float32(x%cell) / float32(cell))
			ix, iy := x/cell, y/cell
			top := value(ix, iy) + (value(ix+1, iy)-value(ix, iy))*tx
			bottom := value(ix, iy+1) + (value(ix+1, iy+1)-value(ix, iy+1))*tx
			n[y*noiseSize+x] += amplitude * (top + (bottom-top)*ty)
		}
	}
}

func ease(t float32) float32 { return t * t * (3 - 2*t) }

// hash maps two integers to a value in [0, 1) that looks random: the finaliser of MurmurHash3 over their combination.
func hash(a, b uint32) float32 {
	h := a*0x9e3779b1 ^ b*0x85ebca6b
	h ^= h >> 16
	h *= 0x85ebca6b
	h ^= h >> 13
	h *= 0xc2b2ae35
	h ^= h >> 16
	return float32(h>>8) / (1 << 24)
}
