// Package street draws street scenes in perspective together with the class of every pixel.
//
// A scene is planned in metres (a road, what lines its two sides, what stands and moves on it, the light) from a random source
// and then drawn at any size: a plan never looks at the size, so that the same scene can be had small and large. Coordinates
// of the plan: X to the right of the road's centre line, Y up from the ground, Z along the road from the camera.
//
// Solids (buildings, walls, vehicles) are planar polygons under a depth buffer, drawn near to far so that hidden pixels are
// not shaded; thin things (plants, people, poles, fences) are upright sprites at one depth, drawn far to near after them.
// A pixel's class is that of the thing at the pixel's centre; the optical blur and noise added at the end change no class.
// Two conventions follow human annotation: one sees through the gaps of a fence and through a wheel, but they count as
// fence and as bicycle or motorcycle.
package street

import (
	"math/rand/v2"
	"sort"
	"sync"
)

// Classes in the order of Cityscapes' training ids.
const (
	road = iota
	sidewalk
	building
	wall
	fence
	pole
	trafficLight
	trafficSign
	vegetation
	terrain
	sky
	person
	rider
	car
	truck
	bus
	train
	motorcycle
	bicycle
	ignore = 255
)

var canvases = sync.Pool{New: func() any { return new(canvas) }}

// Draw draws scene index of the sequence that seed names: h*w*3 bytes of R,G,B to image and h*w classes to label. The result is
// a function of the arguments. Only a compiler that fuses multiplications and additions (on processors other than amd64, and with
// GOAMD64=v3) moves last bits.
func Draw(seed, index uint64, h, w int, image, label []byte) {
	r := random{rand.New(rand.NewPCG(seed, index))}
	s := plan(r)
	c := canvases.Get().(*canvas)
	defer canvases.Put(c)
	c.prepare(s, h, w, label)
	for _, shadow := range s.shadows {
		shadow(c)
	}
	s.drawSky(c)
	s.drawGround(c)
	sort.SliceStable(s.solids, func(i, j int) bool { return s.solids[i].z < s.solids[j].z })
	for _, it := range s.solids {
		it.draw(c)
	}
	sort.SliceStable(s.thin, func(i, j int) bool { return s.thin[i].z > s.thin[j].z })
	for _, it := range s.thin {
		it.draw(c)
	}
	if s.bonnet != nil {
		s.bonnet(c)
	}
	s.tint(c)
	s.lens.develop(c, image)
}

// item is something to be drawn, at its distance from the camera in metres.
type item struct {
	z    float64
	draw func(*canvas)
}

// random is a source with the draws that a plan is made of.
type random struct{ *rand.Rand }

func (r random) between(lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }
func (r random) chance(p float64) bool          { return r.Float64() < p }

// sign is -1 or 1.
func (r random) sign() float64 {
	if r.chance(0.5) {
		return -1
	}
	return 1
}

// weighted draws an index with probability proportional to its weight.
func (r random) weighted(weights ...float64) int {
	var sum float64
	for _, w := range weights {
		sum += w
	}
	x := r.Float64() * sum
	for i, w := range weights {
		if x < w {
			return i
		}
		x -= w
	}
	return len(weights) - 1
}
