package street

// tinted is the share of a pixel's hue that its class decides; the rest is the thing's own paint and material. It is the one
// setting that makes scenes easier or harder as a whole: a network that is trained for minutes tells most classes apart at 0.5 and
// few at 0. Hues of different classes lie close to each other (bus, person and rider; road, pole and sky), vary from scene to scene,
// and say nothing about where a thing ends, so that texture, shape and place still decide.
const tinted = 0.5

// hues are what the classes lean to, in the order of their ids.
var hues = [...]rgb{
	road: {0.45, 0.44, 0.52}, sidewalk: {0.62, 0.48, 0.52}, building: {0.64, 0.52, 0.38}, wall: {0.5, 0.4, 0.6}, fence: {0.6, 0.36, 0.2},
	pole: {0.3, 0.5, 0.52}, trafficLight: {0.7, 0.62, 0.1}, trafficSign: {0.2, 0.35, 0.9}, vegetation: {0.2, 0.5, 0.15},
	terrain: {0.5, 0.62, 0.15}, sky: {0.5, 0.66, 0.9}, person: {0.9, 0.35, 0.5}, rider: {0.95, 0.5, 0.12}, car: {0.3, 0.38, 0.75},
	truck: {0.85, 0.8, 0.45}, bus: {0.85, 0.2, 0.15}, train: {0.12, 0.62, 0.5}, motorcycle: {0.5, 0.12, 0.6}, bicycle: {0.1, 0.42, 0.3},
}

func (c rgb) luminance() float32 { return 0.3*c.r + 0.59*c.g + 0.11*c.b }

// tint moves every pixel's hue towards its class's and leaves its brightness, so light, shadow and texture stay.
func (s *scene) tint(c *canvas) {
	var leaning [len(hues)]rgb
	for class, hue := range hues {
		own := s.r.near(hue, 0.3)
		leaning[class] = own.times(1 / own.luminance())
	}
	for i, class := range c.label {
		if class == ignore {
			continue
		}
		c.colour[i] = c.colour[i].mix(leaning[class].times(c.colour[i].luminance()), tinted)
	}
}
