package street

// figure is how a person is dressed and built. Lengths are shares of the height.
type figure struct {
	height                     float64 // metres
	top, legs, skin, hair, bag rgb
	broad                      float64 // half the breadth of the shoulders
	stride, swing              float64
	coat, carries, helmet      bool
	turn                       float64
}

func (s *scene) planFigure() *figure {
	r := s.r
	f := &figure{height: r.between(1.55, 1.92), top: r.clothes(), legs: r.clothes(), bag: r.clothes(),
		skin: r.colour(0.04, 0.09, 0.25, 0.6, 0.35, 0.92), hair: r.colour(0.03, 0.12, 0.1, 0.6, 0.05, 0.6),
		broad: r.between(0.105, 0.14), stride: r.between(0.01, 0.13), swing: r.between(0, 0.1),
		coat: r.chance(0.25), carries: r.chance(0.35), turn: r.sign() * r.between(0.8, 1.05)}
	if r.chance(0.12) { // a child
		f.height = r.between(1.05, 1.4)
	}
	return f
}

// ridingGear is the colour of a rider's jacket or helmet, often meant to be seen.
func (r random) ridingGear() rgb {
	if r.chance(0.75) {
		return r.colour(0.02, 0.2, 0.7, 0.95, 0.65, 0.95)
	}
	return r.clothes()
}

// clothes is the colour of a garment.
func (r random) clothes() rgb {
	if r.chance(0.4) {
		return r.colour(0.55, 0.7, 0.05, 0.6, 0.08, 0.4) // dark, denim
	}
	return r.paint()
}

// cloth is fabric with folds, darker away from the light's side.
func (s *scene) cloth(c rgb) texture {
	return func(u, v, px float32) texel {
		return c.times(1 + 0.25*s.cloud.at(u*40, v*22)).opaque()
	}
}

// planPeople puts pedestrians on the pavements and crossings, alone or in groups.
func (s *scene) planPeople() {
	r, st := s.r, &s.street
	if r.chance(0.1) {
		return
	}
	busy := r.between(0.4, 1)
	if st.place == downtown {
		busy *= 1.6
	}
	for i := range st.sides {
		sd := &st.sides[i]
		if sd.line-sd.verge < 1 {
			continue
		}
		for n := r.IntN(2 + int(busy*5)); n > 0; n-- {
			z := r.between(0, 1)
			s.addGroup(sd.dir*r.between(sd.verge+0.4, sd.line-0.4), 4+z*z*22)
		}
	}
	if st.cross.z1 > 0 && s.ground.zebra {
		for n := r.IntN(4); n > 0; n-- {
			s.addGroup(r.between(-st.kerb, st.kerb), st.cross.z0-r.between(0.8, 3.6))
		}
	}
	if r.chance(0.3) { // someone crosses elsewhere
		s.addGroup(r.between(-st.kerb, st.kerb), r.between(6, 15))
	}
}

func (s *scene) addGroup(x, z float64) {
	r := s.r
	for n := 1 + r.weighted(6, 3, 1); n > 0; n-- {
		s.addPedestrian(x, z, s.planFigure())
		x += r.sign() * r.between(0.5, 0.8)
		z += r.between(-0.5, 0.5)
	}
}

func (s *scene) addPedestrian(x, z float64, f *figure) {
	if z < 3.5 || !s.claim(x-0.25, x+0.25, z-0.2, z+0.2) {
		return
	}
	s.addStreak(x, z, 0.2, f.height, 140)
	s.addThin(z, func(c *canvas) { f.stand(c.sprite(x, 0, z, f.turn), s) })
}

// stand draws the figure upright, from the feet up.
func (f *figure) stand(sp sprite, s *scene) {
	h := f.height
	legs, top, skin := s.cloth(f.legs), s.cloth(f.top), flat(f.skin)
	shoe := flat(f.legs.times(0.4))
	hip, knee := 0.5*h, 0.27*h
	for _, side := range []float64{-1, 1} {
		foot := side * (0.035 + f.stride) * h
		sp.limb(side*0.045*h, hip, 0.052*h, foot*0.75, knee, 0.04*h, legs, person)
		sp.limb(foot*0.75, knee, 0.04*h, foot, 0.04*h, 0.028*h, legs, person)
		sp.limb(foot, 0.018*h, 0.02*h, foot+0.04*h, 0.018*h, 0.018*h, shoe, person)
	}
	b := f.broad * h
	if f.coat {
		sp.polygon([][2]float64{{-0.11 * h, 0.33 * h}, {0.11 * h, 0.33 * h}, {0.8 * b, 0.6 * h}, {-0.8 * b, 0.6 * h}}, top, person)
	}
	sp.polygon([][2]float64{{-0.085 * h, 0.48 * h}, {0.085 * h, 0.48 * h}, {b, 0.8 * h}, {-b, 0.8 * h}}, top, person)
	sp.limb(-b*0.75, 0.79*h, 0.035*h, b*0.75, 0.79*h, 0.035*h, top, person)
	for _, side := range []float64{-1, 1} {
		elbow := side*(b+0.02*h) + f.swing*h*side*0.5
		hand := elbow + f.swing*h*side*0.4
		sp.limb(side*b, 0.78*h, 0.034*h, elbow, 0.62*h, 0.03*h, top, person)
		sp.limb(elbow, 0.62*h, 0.028*h, hand, 0.49*h, 0.022*h, top, person)
		sp.ellipse(hand, 0.47*h, 0.024*h, 0.03*h, skin, person)
	}
	if f.carries {
		sp.polygon([][2]float64{{-b * 1.5, 0.36 * h}, {-b * 0.8, 0.36 * h}, {-b * 0.8, 0.52 * h}, {-b * 1.5, 0.52 * h}}, s.cloth(f.bag), person)
	}
	f.head(sp, 0, 0.91*h, person)
}

// head draws neck, face and hair or helmet around (u, v) in metres.
func (f *figure) head(sp sprite, u, v float64, class byte) {
	h := f.height
	sp.limb(u, v-0.09*h, 0.028*h, u, v, 0.028*h, flat(f.skin.times(0.85)), class)
	sp.ellipse(u, v, 0.048*h, 0.065*h, flat(f.skin), class)
	if f.helmet {
		sp.ellipse(u, v+0.028*h, 0.06*h, 0.052*h, flat(f.bag), class)
		return
	}
	sp.ellipse(u, v+0.033*h, 0.052*h, 0.04*h, flat(f.hair), class)
}
