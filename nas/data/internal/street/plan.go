package street

import "math"

const (
	farEnd = 130.0 // metres: how far a street is built
	behind = -6.0  // metres: where building starts, behind the camera
)

// scene is a plan of everything that a picture shows.
type scene struct {
	r            random
	camera       camera
	light        light
	lens         lens
	grain, cloud *noiseField
	street       layout
	backdrop     backdrop
	ground       groundLook
	solids, thin []item
	shadows      []func(*canvas)
	bonnet       func(*canvas)
	taken        []footprint
}

// district is what kind of place a street runs through.
type district int

const (
	downtown district = iota
	residential
	green
	industrial
)

// plan draws up a scene from a random source, far and large things first, so that what must be in a scene finds room.
func plan(r random) *scene {
	s := &scene{r: r}
	s.grain, s.cloud = noises()
	s.planLight()
	s.planLayout()
	s.planCamera()
	s.planBackdrop()
	s.planGround()
	for i := range s.street.sides {
		s.planLots(&s.street.sides[i])
	}
	if r.chance(0.35) {
		s.closeStreet(r.between(55, 125))
	}
	s.planHeavy()
	s.planCycles()
	s.planCars()
	s.planPeople()
	s.planFurniture()
	s.planPlants()
	s.planBonnet()
	s.lens = planLens(r, &s.light)
	return s
}

func (s *scene) planCamera() {
	r, st := s.r, &s.street
	s.camera = camera{
		height:  r.between(1.15, 1.75),
		x:       st.laneX(r.IntN(st.lanes)) + r.between(-0.3, 0.3),
		yaw:     r.between(-0.06, 0.06),
		focal:   r.between(0.9, 1.25),
		horizon: r.between(0.38, 0.5),
	}
	if r.chance(0.4) {
		s.camera.bend = r.between(-0.0016, 0.0016)
	}
}

// planLight draws weather and time of day.
func (s *scene) planLight() {
	r := s.r
	l := &s.light
	azimuth := r.between(0, 2*math.Pi)
	elevation := r.between(0.45, 1.0)
	switch r.weighted(0.47, 0.41, 0.12) {
	case 0: // sunny
		l.ambient, l.sun, l.dark = r.near(rgb{0.5, 0.55, 0.64}, 0.12), r.near(rgb{0.72, 0.66, 0.55}, 0.15), 0.55
		l.density = r.between(0.0005, 0.004)
	case 1: // overcast
		l.ambient, l.sun, l.dark = r.near(rgb{0.84, 0.86, 0.9}, 0.15), grey(float32(r.between(0.02, 0.15))), 0.3
		l.density = r.between(0.001, 0.012)
	default: // low sun
		elevation = r.between(0.15, 0.4)
		l.ambient, l.sun, l.dark = r.near(rgb{0.42, 0.42, 0.5}, 0.15), r.near(rgb{0.75, 0.52, 0.32}, 0.15), 0.5
		l.density = r.between(0.001, 0.008)
	}
	ce, se := math.Cos(elevation), math.Sin(elevation)
	l.toSun = vec{math.Sin(azimuth) * ce, se, math.Cos(azimuth) * ce}
	l.haze = l.ambient.mix(grey(0.9), 0.35)
}

// sunny says whether shadows have edges.
func (s *scene) sunny() bool { return s.light.sun.r > 0.3 }

// lightAt is the light on an upright thing that faces the camera at a point of the plan.
func (s *scene) lightAt(x, z float64) rgb {
	return s.lightOn(vec{0, 0.5, -0.8}, s.shaded(x, 1, z))
}

// lightOn is the light on a surface, which in shadow is the ambient share alone.
func (s *scene) lightOn(normal vec, shaded bool) rgb {
	if shaded {
		return s.light.on(vec{0, normal.y, 0}).mul(rgb{0.8, 0.8, 0.84}).mix(s.light.ambient.times(0.8), 0.7)
	}
	return s.light.on(normal)
}

// shaded says whether a point of the plan lies in the shadow of the buildings beside the street.
func (s *scene) shaded(x, y, z float64) bool {
	l := s.light.toSun
	if !s.sunny() || math.Abs(l.x) < 0.02 {
		return false
	}
	sd := &s.street.sides[0]
	if l.x > 0 {
		sd = &s.street.sides[1]
	}
	t := (sd.dir*sd.line - x) / l.x
	return t > 0 && sd.height(z+l.z*t) > y+l.y*t
}

// footprint is ground that something stands on, in the plan.
type footprint struct{ x0, x1, z0, z1 float64 }

// claim takes a piece of ground if it is free.
func (s *scene) claim(x0, x1, z0, z1 float64) bool {
	for _, f := range s.taken {
		if x0 < f.x1 && f.x0 < x1 && z0 < f.z1 && f.z0 < z1 {
			return false
		}
	}
	s.taken = append(s.taken, footprint{x0, x1, z0, z1})
	return true
}

// addSolid and addThin put a thing into the picture at its distance, if it is in front of the camera.
func (s *scene) addSolid(z float64, draw func(*canvas)) { s.solids = append(s.solids, item{z, draw}) }

func (s *scene) addThin(z float64, draw func(*canvas)) {
	if z > 1.5 {
		s.thin = append(s.thin, item{z, draw})
	}
}
