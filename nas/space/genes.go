package space

import "math/rand/v2"

func pick(rng *rand.Rand, values []uint8) uint8 { return values[rng.IntN(len(values))] }

func (sp Space) drawBlock(rng *rand.Rand) Block {
	return Block{Kernel: pick(rng, sp.Kernels), Expand: pick(rng, sp.Expands)}
}

// Sample draws an architecture: each stage's depth evenly from Depths, each kept block's kernel and expand ratio evenly from
// theirs. Shallow networks are therefore as frequent as deep ones, although there are far fewer of them.
func (sp Space) Sample(rng *rand.Rand) Arch { return sp.SampleDepths(rng, 0) }

// SampleDepths is Sample with depths below minDepth left out, as progressive shrinking needs: the phases of training lower
// minDepth from the largest depth to the least. A minDepth above all depths counts as the largest.
func (sp Space) SampleDepths(rng *rand.Rand, minDepth uint8) Arch {
	depths := sp.Depths
	for len(depths) > 1 && depths[0] < minDepth {
		depths = depths[1:]
	}
	var a Arch
	for s := range a.Depth {
		a.Depth[s] = pick(rng, depths)
		for i := range a.Depth[s] {
			a.Blocks[s][i] = sp.drawBlock(rng)
		}
	}
	return a
}

// Mutate redraws each gene of a with probability p. The genes are each stage's depth and each block's kernel and expand ratio;
// a block that a larger depth adds is drawn afresh. A redrawn gene may come out as it was.
func (sp Space) Mutate(rng *rand.Rand, a Arch, p float64) Arch {
	var child Arch
	for s := range a.Depth {
		child.Depth[s] = a.Depth[s]
		if rng.Float64() < p {
			child.Depth[s] = pick(rng, sp.Depths)
		}
		for i := range child.Depth[s] {
			if i >= a.Depth[s] {
				child.Blocks[s][i] = sp.drawBlock(rng)
				continue
			}
			b := a.Blocks[s][i]
			if rng.Float64() < p {
				b.Kernel = pick(rng, sp.Kernels)
			}
			if rng.Float64() < p {
				b.Expand = pick(rng, sp.Expands)
			}
			child.Blocks[s][i] = b
		}
	}
	return child
}

// Cross takes each gene from either parent, evenly. A block that only one parent has comes from that one.
func (sp Space) Cross(rng *rand.Rand, a, b Arch) Arch {
	either := func(x, y uint8) uint8 {
		if rng.IntN(2) == 0 {
			return x
		}
		return y
	}
	var child Arch
	for s := range a.Depth {
		child.Depth[s] = either(a.Depth[s], b.Depth[s])
		for i := range child.Depth[s] {
			x, y := a.Blocks[s][i], b.Blocks[s][i]
			switch {
			case i >= a.Depth[s]:
				child.Blocks[s][i] = y
			case i >= b.Depth[s]:
				child.Blocks[s][i] = x
			default:
				child.Blocks[s][i] = Block{either(x.Kernel, y.Kernel), either(x.Expand, y.Expand)}
			}
		}
	}
	return child
}
