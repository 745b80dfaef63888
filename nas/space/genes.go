package space

import "math/rand/v2"

func pick(rng *rand.Rand, values []uint8) uint8 { return values[rng.IntN(len(values))] }

func (sp Space) drawBlock(rng *rand.Rand) Block {
	return Block{Kernel: pick(rng, sp.Kernels), Expand: pick(rng, sp.Expands), Bits: sp.drawBits(rng)}
}

// drawBits takes no random number in a space of floating point.
func (sp Space) drawBits(rng *rand.Rand) Bits {
	if !sp.IsQuantised() {
		return Bits{}
	}
	return Bits{pick(rng, sp.Bits), pick(rng, sp.Bits)}
}

// Sample draws an architecture: each stage's depth evenly from Depths, each kept block's kernel and expand ratio evenly from
// theirs, and all bit widths of a quantised space, each by itself. Shallow networks are therefore as frequent as deep ones, although there are far fewer of them.
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
	for i := range a.Outer {
		a.Outer[i] = sp.drawBits(rng)
	}
	return a
}

// Mutate redraws each gene of a with probability p. The genes are each stage's depth and each block's kernel and expand ratio, in a quantised
// space also the widths of weights and of activations of each block and of each part outside them; a block that a larger depth adds is drawn
// afresh. A redrawn gene may come out as it was.
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
			b.Bits = sp.mutateBits(rng, b.Bits, p)
			child.Blocks[s][i] = b
		}
	}
	for i, b := range a.Outer {
		child.Outer[i] = sp.mutateBits(rng, b, p)
	}
	return child
}

func (sp Space) mutateBits(rng *rand.Rand, b Bits, p float64) Bits {
	if !sp.IsQuantised() {
		return b
	}
	if rng.Float64() < p {
		b.W = pick(rng, sp.Bits)
	}
	if rng.Float64() < p {
		b.A = pick(rng, sp.Bits)
	}
	return b
}

// either returns one of two values, evenly.
func either(rng *rand.Rand, x, y uint8) uint8 {
	if rng.IntN(2) == 0 {
		return x
	}
	return y
}

// Cross takes each gene from either parent, evenly. A block that only one parent has comes from that one.
func (sp Space) Cross(rng *rand.Rand, a, b Arch) Arch {
	var child Arch
	for s := range a.Depth {
		child.Depth[s] = either(rng, a.Depth[s], b.Depth[s])
		for i := range child.Depth[s] {
			x, y := a.Blocks[s][i], b.Blocks[s][i]
			switch {
			case i >= a.Depth[s]:
				child.Blocks[s][i] = y
			case i >= b.Depth[s]:
				child.Blocks[s][i] = x
			default:
				child.Blocks[s][i] = Block{either(rng, x.Kernel, y.Kernel), either(rng, x.Expand, y.Expand), sp.crossBits(rng, x.Bits, y.Bits)}
			}
		}
	}
	for i := range a.Outer {
		child.Outer[i] = sp.crossBits(rng, a.Outer[i], b.Outer[i])
	}
	return child
}

func (sp Space) crossBits(rng *rand.Rand, x, y Bits) Bits {
	if !sp.IsQuantised() {
		return x
	}
	return Bits{either(rng, x.W, y.W), either(rng, x.A, y.A)}
}
