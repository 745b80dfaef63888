package train

import (
	"math/rand/v2"

	"github.com/segnas/segnas/nas/space"
)

// Sampler draws the architectures that a step trains: a pure function of the step, so that a resumed training draws the same. The result is valid
// until the next call.
type Sampler func(step int) []space.Arch

// Fixed trains the same architecture in every step.
func Fixed(a space.Arch) Sampler {
	all := []space.Arch{a}
	return func(int) []space.Arch { return all }
}

// Draw samples the space evenly in every step, within the depths of the schedule's phase that the step lies in and in floating point unless that is a
// quantised one: one network, or those of a sandwich,
// the largest first.
func Draw(sp space.Space, schedule Schedule, sandwich Sandwich, seed uint64) Sampler {
	var all []space.Arch
	return func(step int) []space.Arch {
		phase, _ := schedule.At(step)
		least := max(schedule[phase].MinDepth, sp.Depths[0])
		rng := rand.New(rand.NewPCG(seed, archStream+uint64(step)))
		all = all[:0]
		drawn := sp
		if !schedule[phase].Quantised {
			drawn = sp.Float()
		}
		if sandwich.Networks > 0 {
			smallest := space.Uniform([space.Stages]uint8{least, least, least}, drawn.Choices()[0])
			all = append(all, drawn.Largest(), smallest)
		}
		for len(all) < max(1, sandwich.Networks) {
			all = append(all, drawn.SampleDepths(rng, schedule[phase].MinDepth))
		}
		return all
	}
}

// archStream keeps the random numbers of drawn architectures apart from others made from the same seed.
const archStream = 0xa5c4_0000_0000_0000
