package street

import "math"

// shade darkens an ellipse of the ground at (x, z) of the plan, with light spots inside where it is the shadow of leaves. Where
// shadows overlap the darker one counts.
func (c *canvas) shade(x, z, rx, rz float64, strength uint8, leaves bool) {
	cam := &c.scene.camera
	z0, z1 := max(z-rz, nearPlane), z+rz
	if z1 <= nearPlane {
		return
	}
	top, bottom := c.groundRows(z0, z1)
	for y := top; y < bottom; y++ {
		at := cam.height * c.f / (float64(y) + 0.5 - c.cy)
		q := (at - z) / rz
		if q*q >= 1 {
			continue
		}
		half := rx * math.Sqrt(1-q*q)
		px := at / c.f
		mid := c.cx + (x+cam.shift(at))/px
		first, last := max(int(math.Ceil(mid-half/px-0.5)), 0), min(int(math.Ceil(mid+half/px-0.5)), c.w)
		spots, u, v := c.scene.cloud, float32((float64(first)-mid)*px), float32(at)
		for i := y*c.w + first; i < y*c.w+last; i++ {
			if e := u / float32(rx); !leaves || e*e+float32(q*q)+0.7*spots.at(u*9, v*9) < 0.9 {
				c.shadow[i] = max(c.shadow[i], strength)
			}
			u += float32(px)
		}
	}
}

// groundRows is the range of rows that show the ground between two distances.
func (c *canvas) groundRows(z0, z1 float64) (top, bottom int) {
	k := c.scene.camera.height * c.f
	top = max(int(math.Ceil(c.cy+k/z1-0.5)), 0)
	return top, min(int(math.Ceil(c.cy+k/z0-0.5)), c.h)
}

// shadePolygon darkens a convex polygon of the ground given in camera coordinates.
func (c *canvas) shadePolygon(pts []vec, strength uint8) {
	c.rows(pts, func(y, first, last int) {
		for i := y*c.w + first; i < y*c.w+last; i++ {
			c.shadow[i] = max(c.shadow[i], strength)
		}
	})
}

// addStreak casts the shadow of something upright and thin, from its foot outwards.
func (s *scene) addStreak(x, z, radius, height float64, strength uint8) {
	s.shadows = append(s.shadows, func(c *canvas) {
		c.shade(x, z, radius*1.3, radius*1.3, strength, false)
		if !s.sunny() || s.shaded(x, 1, z) {
			return
		}
		dx, dz := s.light.cast(height)
		long := math.Hypot(dx, dz)
		side := vec{-dz / long * radius, 0, dx / long * radius}
		foot := s.camera.at(x, 0, z)
		tip := foot.add(vec{dx, 0, dz})
		c.shadePolygon([]vec{foot.add(side), tip.add(side), tip.sub(side), foot.sub(side)}, strength)
	})
}

// addShadow casts the shadow of a plant or other round thing: radii across and along the road, its middle h metres above the ground.
func (s *scene) addShadow(x, z, rx, rz, h float64, strength uint8) {
	s.shadows = append(s.shadows, func(c *canvas) {
		dx, dz := s.light.cast(h)
		if !s.sunny() || s.shaded(x, 1, z) || math.Abs(dx)+math.Abs(dz) > 25 {
			c.shade(x, z, rx*0.6, rz*0.6, strength/3, false)
			return
		}
		c.shade(x+dx, z+dz, rx, rz, strength, true)
	})
}
