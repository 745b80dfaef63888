package street

import "math"

// vec is a point or direction relative to the camera, in metres: x to the right, y up, z forward.
type vec struct{ x, y, z float64 }

func (a vec) add(b vec) vec            { return vec{a.x + b.x, a.y + b.y, a.z + b.z} }
func (a vec) sub(b vec) vec            { return vec{a.x - b.x, a.y - b.y, a.z - b.z} }
func (a vec) scale(k float64) vec      { return vec{a.x * k, a.y * k, a.z * k} }
func (a vec) dot(b vec) float64        { return a.x*b.x + a.y*b.y + a.z*b.z }
func (a vec) mix(b vec, t float64) vec { return a.add(b.sub(a).scale(t)) }
func (a vec) unit() vec                { return a.scale(1 / math.Sqrt(a.dot(a))) }

func (a vec) cross(b vec) vec {
	return vec{a.y*b.z - a.z*b.y, a.z*b.x - a.x*b.z, a.x*b.y - a.y*b.x}
}

// camera looks along a road that bends.
type camera struct {
	height  float64 // metres above the ground
	x       float64 // metres right of the road's centre line
	yaw     float64 // sideways metres of the road for each metre ahead
	bend    float64 // sideways metres of the road for each square metre ahead
	focal   float64 // focal length in picture widths
	horizon float64 // row of the horizon in picture heights
}

// at is a point of the plan as the camera sees it.
func (c *camera) at(x, y, z float64) vec { return vec{c.shift(z) + x, y - c.height, z} }

// shift is where the road's centre line lies at distance z, to the right of the camera.
func (c *camera) shift(z float64) float64 { return c.yaw*z + c.bend*z*z - c.x }

// heading is the road's direction at distance z, in radians to the right.
func (c *camera) heading(z float64) float64 { return math.Atan(c.yaw + 2*c.bend*z) }

// light is how a scene is lit.
type light struct {
	ambient, sun rgb
	toSun        vec     // unit vector
	dark         float32 // share of the light that ground in shadow loses
	haze         rgb
	density      float64 // of the haze, per metre
}

// on is the light that falls on a surface with the given unit normal.
func (l *light) on(normal vec) rgb {
	k := float32(max(0, normal.dot(l.toSun)))
	up := float32(0.85 + 0.15*normal.y)
	return rgb{l.ambient.r*up + l.sun.r*k, l.ambient.g*up + l.sun.g*k, l.ambient.b*up + l.sun.b*k}
}

// cast is where the shadow of a point h metres above the ground falls, relative to its foot.
func (l *light) cast(h float64) (dx, dz float64) {
	return -l.toSun.x / l.toSun.y * h, -l.toSun.z / l.toSun.y * h
}
