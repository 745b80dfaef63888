package train

import (
	"math/rand/v2"

	"github.com/segnas/segnas/nas/space"
)

// Sampler draws the architecture that a step trains: a pure function of the step, so that a resumed training draws the same.
type Sampler func(step int) space.Arch

// Fixed trains the same architecture in every step.
func Fixed(a space.Arch) Sampler { return func(int) space.Arch { return a } }

// Draw samples the space evenly in every step, within the depths of the schedule's phase that the step lies in.
func Draw(sp space.Space, schedule Schedule, seed uint64) Sampler {
	return func(step int) space.Arch {
		phase, _ := schedule.At(step)
		return sp.SampleDepths(rand.New(rand.NewPCG(seed, archStream+uint64(step))), schedule[phase].MinDepth)
	}
}

// archStream keeps the random numbers of drawn architectures apart from others made from the same seed.
const archStream = 0xa5c4_0000_0000_0000
