package street

import "math"

// surface is what the ground is made of at a place.
type surface uint8

const (
	surfRoad surface = iota
	surfKerb
	surfWalk
	surfGrass
	surfSoil
)

// layout is the street in the plan.
type layout struct {
	place   district
	lanes   int     // in each direction
	lane    float64 // width of one
	parking float64 // width of the parking strip on both sides, or 0
	kerb    float64 // distance of the kerbs from the centre line
	sides   [2]side // left, right
	cross   crossStreet
	track   float64 // X of a tram track's centre
	tram    bool    // there is a track
}

// crossStreet is a street that crosses from z0 to z1; none when z1 is 0.
type crossStreet struct{ z0, z1 float64 }

func (c crossStreet) covers(z, margin float64) bool {
	return c.z1 > 0 && z > c.z0-margin && z < c.z1+margin
}

// side is one side of a street. Distances count from the centre line outwards.
type side struct {
	dir     float64 // -1 left, 1 right
	verge   float64 // end of the planted strip behind the kerb; equals the kerb's distance where there is none
	line    float64 // end of the pavement, where lots begin
	lots    []lot
	heights [144]float32 // of what stands at the line, for each metre from behind on
}

// lot is a piece of land beside the street.
type lot struct {
	z0, z1 float64
	soil   surface
}

// height is that of the buildings at the line at z.
func (sd *side) height(z float64) float64 {
	if i := int(z - behind); i >= 0 && i < len(sd.heights) {
		return float64(sd.heights[i])
	}
	return 0
}

// raise records a building's height for its shadow.
func (sd *side) raise(z0, z1, height float64) {
	for i := max(int(z0-behind), 0); i < len(sd.heights) && float64(i)+behind < z1; i++ {
		sd.heights[i] = float32(height)
	}
}

// laneX is the middle of the nth lane to the right of the centre line; negative values mirror it.
func (l *layout) laneX(n int) float64 { return (float64(n) + 0.5) * l.lane }

func (s *scene) planLayout() {
	r, st := s.r, &s.street
	st.place = district(r.weighted(0.3, 0.3, 0.22, 0.18))
	st.lanes = 1 + r.weighted(0.6, 0.4)
	st.lane = r.between(2.9, 3.7)
	if r.chance(0.55) {
		st.parking = 2.2
	}
	st.kerb = float64(st.lanes)*st.lane + st.parking
	if r.chance(0.4) {
		z := r.between(12, 40)
		st.cross = crossStreet{z, z + r.between(7, 13)}
	}
	if r.chance(0.25) {
		st.tram, st.track = true, -st.laneX(0)
	}
	for i, dir := range []float64{-1, 1} {
		sd := &st.sides[i]
		sd.dir, sd.verge = dir, st.kerb
		if r.chance([]float64{0.2, 0.4, 0.6, 0.4}[st.place]) {
			sd.verge += r.between(1, 3)
		}
		sd.line = sd.verge + r.between(2, 5)
		if st.place == green && r.chance(0.35) {
			sd.line = sd.verge + 0.01 // no pavement
		}
	}
}

// planLots fills a side with lots from behind the camera to the far end, leaving the cross street open.
func (s *scene) planLots(sd *side) {
	r := s.r
	st := &s.street
	kinds := [][]float64{ // house at the line, house in a garden, park, wall, yard
		downtown:    {0.72, 0.06, 0.08, 0.07, 0.07},
		residential: {0.12, 0.53, 0.14, 0.16, 0.05},
		green:       {0.05, 0.2, 0.5, 0.15, 0.1},
		industrial:  {0.2, 0.05, 0.1, 0.3, 0.35},
	}[st.place]
	kind := r.weighted(kinds...)
	for z := behind; z < farEnd; {
		if st.cross.z1 > 0 && z >= st.cross.z0 && z < st.cross.z1 {
			z = st.cross.z1
		}
		end := z + r.between(9, 24)
		if st.cross.z1 > 0 && z < st.cross.z0 && end > st.cross.z0-4 {
			end = st.cross.z0
		}
		if r.chance(0.6) {
			kind = r.weighted(kinds...)
		}
		s.planLot(sd, kind, z, end)
		z = end
	}
}

func (s *scene) planLot(sd *side, kind int, z0, z1 float64) {
	r := s.r
	l := lot{z0, z1, surfGrass}
	switch kind {
	case 0:
		l.soil = surfWalk
		s.addHouse(sd, sd.line, z0, z1, s.planFacade(false))
	case 1:
		back := sd.line + r.between(3.5, 9)
		inset := r.between(0, 2)
		s.addHouse(sd, back, z0+inset, z1-inset, s.planFacade(true))
		s.addBorder(sd, z0, z1, 0.85)
		s.plantLot(sd, sd.line+0.8, back, z0, z1, 0.5)
	case 2:
		s.addBorder(sd, z0, z1, 0.45)
		s.plantLot(sd, sd.line+1, sd.line+16, z0, z1, 1.6)
		if r.chance(0.4) {
			l.soil = surfSoil
		}
	case 3:
		s.addWall(sd, z0, z1, r.between(1.8, 4.2))
		s.plantLot(sd, sd.line+1.5, sd.line+10, z0, z1, 0.8)
		if r.chance(0.4) {
			s.addHouse(sd, sd.line+r.between(5, 12), z0, z1, s.planFacade(true))
		}
	default:
		l.soil = []surface{surfWalk, surfSoil}[r.IntN(2)]
		s.addBorder(sd, z0, z1, 0.9)
		if r.chance(0.7) {
			s.addHouse(sd, sd.line+r.between(6, 14), z0, z1, s.planFacade(false))
		}
	}
	sd.lots = append(sd.lots, l)
}

// soilAt is the ground of the lot at z.
func (sd *side) soilAt(z float64) surface {
	for _, l := range sd.lots {
		if z < l.z1 {
			return l.soil
		}
	}
	return surfGrass
}

// closeStreet ends the view with something that lies across the street at z.
func (s *scene) closeStreet(z float64) {
	r := s.r
	if r.chance(0.5) {
		for x := -45.0; x < 45; {
			w := r.between(12, 25)
			f := s.planFacade(false)
			c := &s.camera
			a, b := c.at(x, 0, z), c.at(x+w, 0, z)
			s.addSolid(z, func(cv *canvas) {
				up := vec{0, f.height, 0}
				p := plane{a, vec{1, 0, 0}, vec{0, 1, 0}}
				cv.face([]vec{a, b, b.add(up), a.add(up)}, p, s.lightOn(vec{0, 0, -1}, false), f.texture(s), building)
			})
			x += w
		}
		return
	}
	for x := -40.0; x < 40; x += r.between(2, 5) {
		s.addTree(x, z+r.between(-3, 3), r.between(5, 11))
	}
}

// shiftedHeading is the direction of something at z that points along the road (0), against it (pi) or across it.
func (s *scene) shiftedHeading(z, heading float64) float64 {
	return math.Remainder(heading+s.camera.heading(z), 2*math.Pi)
}
