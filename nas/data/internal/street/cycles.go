package street

import "math"

// cycle is a bicycle or a motorcycle, ridden or not. From the side it is drawn facing right; turn mirrors it, or narrows it
// where it stands at an angle.
type cycle struct {
	motor        bool
	frame, trim  rgb
	size         float64
	turn         float64
	ahead        bool // seen from the front or the back
	away         bool // from the back
	who          *figure
	fairing, box bool
}

func (s *scene) planCycle(motor, ridden bool) *cycle {
	r := s.r
	k := &cycle{motor: motor, frame: r.livery(0.0, 0.95), trim: r.paint(), size: r.between(0.94, 1.08), turn: r.sign() * r.between(0.6, 1),
		ahead: r.chance(0.3), away: r.chance(0.5), fairing: r.chance(0.5), box: r.chance(0.3)}
	if ridden {
		k.who = s.planFigure()
		k.who.height, k.who.top, k.who.bag = max(k.who.height, 1.5), r.ridingGear(), r.ridingGear()
		k.who.helmet = motor || r.chance(0.55)
		k.ahead = r.chance(0.55)
	}
	return k
}

// planCycles places riders on the road and parked cycles beside it.
func (s *scene) planCycles() {
	r, st := s.r, &s.street
	for n := r.weighted(0.4, 0.35, 0.25); n > 0; n-- {
		s.placeRider(r.chance(0.35))
	}
	if r.chance(0.22) {
		s.placeRider(true)
	}
	for n := r.weighted(0.5, 0.35, 0.15); n > 0; n-- { // parked
		sd := &st.sides[r.IntN(2)]
		z, motor := r.between(4.5, 12), r.chance(0.4)
		x := sd.dir * (sd.line - 0.5)
		if motor || r.chance(0.5) {
			x = sd.dir * (st.kerb + 0.35)
		}
		for m := 1 + r.IntN(4); m > 0; m-- {
			k := s.planCycle(motor, false)
			if !st.cross.covers(z, 1) {
				s.addCycle(k, x+r.between(-0.15, 0.15), z)
			}
			z += r.between(0.5, 1.3)
		}
	}
}

// placeRider tries places for a rider: along the right of a lane either way, or crossing.
func (s *scene) placeRider(motor bool) {
	r, st := s.r, &s.street
	k := s.planCycle(motor, true)
	for try := 0; try < 6; try++ {
		d := r.between(0, 1)
		z := 4.5 + d*d*11
		edge := st.kerb - st.parking - 0.7
		x := r.sign() * edge
		switch {
		case motor:
			x = r.sign() * (st.laneX(r.IntN(st.lanes)) + r.between(-0.6, 0.6))
		case !k.ahead:
			x = r.between(-edge, edge)
		}
		if math.Abs(x-s.camera.x) < 1 && z < 8 {
			continue
		}
		if s.addCycle(k, x, z) {
			return
		}
	}
}

func (s *scene) addCycle(k *cycle, x, z float64) bool {
	half := 0.9
	if k.ahead {
		half = 0.35
	}
	if z < 3.5 || !s.claim(x-half, x+half, z-0.22, z+0.22) {
		return false
	}
	s.addShadow(x, z, half, 0.2, 0.1, 150)
	s.addStreak(x, z, 0.25, 1.1, 120)
	s.addThin(z, func(c *canvas) {
		turn := k.turn
		if k.ahead {
			turn = 1
		}
		sp := c.sprite(x, 0, z, turn)
		switch {
		case k.ahead:
			k.drawAhead(sp, s)
		case k.motor:
			k.drawMotorcycle(sp, s)
		default:
			k.drawBicycle(sp, s)
		}
	})
	return true
}

// spokes lets what is behind a wheel show through, yet belong to the cycle.
func spokes(_, _, _ float32) texel { return texel{grey(0.2), 0.4} }

func (k *cycle) drawBicycle(sp sprite, s *scene) {
	z := k.size
	tyre, frame := flat(grey(0.07)), flat(k.frame)
	for _, u := range []float64{-0.53, 0.53} {
		sp.ellipse(u*z, 0.34*z, 0.34*z, 0.34*z, spokes, bicycle)
		sp.ring(u*z, 0.34*z, 0.34*z, sp.thick(0.045, 0.9), tyre, bicycle)
	}
	line := func(u0, v0, u1, v1, r float64, tex texture) { sp.limb(u0*z, v0*z, r, u1*z, v1*z, r, tex, bicycle) }
	line(-0.53, 0.34, -0.05, 0.32, 0.02, frame)
	line(-0.53, 0.34, -0.2, 0.78, 0.02, frame)
	line(-0.05, 0.32, -0.22, 0.86, 0.025, frame)
	line(-0.05, 0.32, 0.4, 0.78, 0.028, frame)
	line(-0.2, 0.76, 0.4, 0.8, 0.025, frame)
	line(0.53, 0.34, 0.38, 0.92, 0.024, frame)
	line(0.38, 0.95, 0.5, 1.0, 0.02, tyre)
	line(-0.34, 0.92, -0.12, 0.94, 0.035, tyre)
	sp.ellipse(-0.05*z, 0.32*z, 0.09*z, 0.09*z, flat(grey(0.3)), bicycle)
	if k.box {
		sp.rect(-0.75*z, 0.72*z, -0.4*z, 0.95*z, flat(k.trim), bicycle)
	}
	if k.who != nil {
		k.who.ride(sp, s, [2]float64{-0.2, 0.95}, [2]float64{0.16, 1.42}, [2]float64{0.46, 1.02}, [2]float64{-0.02, 0.22})
	}
}

func (k *cycle) drawMotorcycle(sp sprite, s *scene) {
	z := k.size
	tyre, metal, paint := flat(grey(0.05)), flat(grey(0.42)), s.cloth(k.frame)
	for _, u := range []float64{-0.68, 0.7} {
		sp.ellipse(u*z, 0.31*z, 0.31*z, 0.31*z, spokes, motorcycle)
		sp.ring(u*z, 0.31*z, 0.31*z, 0.13*z, tyre, motorcycle)
		sp.ellipse(u*z, 0.31*z, 0.1*z, 0.1*z, metal, motorcycle)
	}
	poly := func(tex texture, pts ...[2]float64) {
		for i := range pts {
			pts[i][0], pts[i][1] = pts[i][0]*z, pts[i][1]*z
		}
		sp.polygon(pts, tex, motorcycle)
	}
	sp.limb(0.7*z, 0.31*z, 0.045, 0.42*z, 0.98*z, 0.045, metal, motorcycle)
	poly(flat(grey(0.16)), [2]float64{-0.3, 0.22}, [2]float64{0.28, 0.22}, [2]float64{0.36, 0.62}, [2]float64{-0.34, 0.62})
	sp.ellipse(0, 0.38*z, 0.2*z, 0.16*z, metal, motorcycle)
	sp.limb(-0.75*z, 0.36*z, 0.06, 0.05*z, 0.3*z, 0.05, metal, motorcycle)
	poly(paint, [2]float64{-0.85, 0.62}, [2]float64{-0.2, 0.55}, [2]float64{-0.1, 0.78}, [2]float64{-0.8, 0.78})
	sp.limb(-0.72*z, 0.82*z, 0.06, -0.1*z, 0.8*z, 0.07, tyre, motorcycle)
	sp.ellipse(0.16*z, 0.8*z, 0.27*z, 0.15*z, paint, motorcycle)
	if k.fairing {
		poly(paint, [2]float64{0.2, 0.5}, [2]float64{0.55, 0.6}, [2]float64{0.66, 0.95}, [2]float64{0.42, 1.12}, [2]float64{0.3, 0.9})
	}
	sp.ellipse(0.56*z, 0.86*z, 0.08*z, 0.1*z, flat(grey(0.92)), motorcycle)
	sp.limb(0.42*z, 1.0*z, 0.025, 0.3*z, 1.05*z, 0.025, tyre, motorcycle)
	if k.box {
		sp.rect(-0.95*z, 0.82*z, -0.6*z, 1.15*z, flat(k.trim), motorcycle)
	}
	if k.who != nil {
		k.who.ride(sp, s, [2]float64{-0.25, 0.88}, [2]float64{0.02, 1.42}, [2]float64{0.34, 1.06}, [2]float64{0.0, 0.32})
	}
}

// ride draws the figure from the side with its hips, shoulders, hands and foot at the given points, in metres.
func (f *figure) ride(sp sprite, s *scene, hip, shoulder, hand, foot [2]float64) {
	top, legs := s.cloth(f.top), s.cloth(f.legs)
	knee := [2]float64{(hip[0]+foot[0])/2 + 0.26, (hip[1]+foot[1])/2 + 0.12}
	sp.limb(hip[0], hip[1], 0.11, knee[0], knee[1], 0.075, legs, rider)
	sp.limb(knee[0], knee[1], 0.07, foot[0], foot[1], 0.05, legs, rider)
	sp.limb(foot[0]-0.05, foot[1]-0.04, 0.04, foot[0]+0.12, foot[1]-0.05, 0.04, flat(f.legs.times(0.4)), rider)
	sp.limb(hip[0], hip[1]+0.03, 0.14, shoulder[0], shoulder[1]-0.03, 0.16, top, rider)
	elbow := [2]float64{(shoulder[0] + hand[0]) / 2, (shoulder[1]+hand[1])/2 - 0.08}
	sp.limb(shoulder[0], shoulder[1], 0.065, elbow[0], elbow[1], 0.055, top, rider)
	sp.limb(elbow[0], elbow[1], 0.055, hand[0], hand[1], 0.04, top, rider)
	if f.carries {
		sp.ellipse(shoulder[0]-0.24, shoulder[1]-0.2, 0.13, 0.22, s.cloth(f.bag), rider)
	}
	f.head(sp, shoulder[0]+0.08, shoulder[1]+0.24, rider)
}

// drawAhead draws a cycle, and whoever rides it, from the front or the back.
func (k *cycle) drawAhead(sp sprite, s *scene) {
	z := k.size
	class, wide, bars := byte(bicycle), 0.035, 0.3
	if k.motor {
		class, wide, bars = motorcycle, 0.09, 0.4
	}
	sp.limb(0, wide, wide, 0, 0.62*z, wide, flat(grey(0.06)), class)
	sp.limb(0, 0.6*z, wide*0.8, 0, 1.0*z, wide*0.8, flat(k.frame), class)
	if k.motor {
		sp.ellipse(0, 0.62*z, 0.2*z, 0.3*z, s.cloth(k.frame), class)
		for _, side := range []float64{-1, 1} {
			sp.limb(side*0.14*z, 0.2*z, 0.06, side*0.2*z, 0.5*z, 0.06, flat(grey(0.35)), class)
			sp.ellipse(side*0.42*z, 1.18*z, 0.07, 0.05, flat(grey(0.12)), class) // mirror
			sp.limb(side*0.36*z, 1.02*z, 0.012, side*0.42*z, 1.16*z, 0.012, flat(grey(0.12)), class)
		}
	}
	if k.who != nil {
		k.who.rideAhead(sp, s, bars*z)
	}
	sp.limb(-bars*z, 1.03*z, 0.03, bars*z, 1.03*z, 0.03, flat(grey(0.1)), class)
	switch {
	case k.motor && !k.away:
		sp.ellipse(0, 0.86*z, 0.11, 0.12, flat(rgb{1.3, 1.28, 1.15}), class)
	case k.motor:
		sp.rect(-0.11, 0.68*z, 0.11, 0.8*z, flat(rgb{0.7, 0.06, 0.05}), class)
	case !k.away:
		sp.ellipse(0, 0.92*z, 0.05, 0.05, flat(grey(0.85)), class)
	}
}

// rideAhead draws the figure from the front, hands on the bars.
func (f *figure) rideAhead(sp sprite, s *scene, bars float64) {
	top, legs := s.cloth(f.top), s.cloth(f.legs)
	for _, side := range []float64{-1, 1} {
		sp.limb(side*0.1, 0.95, 0.1, side*0.17, 0.62, 0.075, legs, rider)
		sp.limb(side*0.17, 0.62, 0.07, side*0.13, 0.3, 0.05, legs, rider)
		sp.limb(side*0.13, 0.26, 0.05, side*0.14, 0.24, 0.05, flat(f.legs.times(0.4)), rider)
		sp.limb(side*0.2, 1.42, 0.065, side*(bars+0.04), 1.22, 0.055, top, rider)
		sp.limb(side*(bars+0.04), 1.22, 0.05, side*bars, 1.05, 0.045, top, rider)
	}
	sp.limb(0, 0.98, 0.15, 0, 1.36, 0.19, top, rider)
	if f.carries {
		sp.ellipse(0, 1.28, 0.15, 0.2, s.cloth(f.bag), rider)
	}
	f.head(sp, 0, 1.63, rider)
}
