package bench

// fmaChains is how many independent accumulators the loops keep busy: more than the latency of a fused multiply-add times the units
// that do it.
const fmaChains = 12

// fmaAVX2 and fmaAVX512 do turns rounds of fmaChains fused multiply-adds on registers.
//
//go:noescape
func fmaAVX2(turns int64)

//go:noescape
func fmaAVX512(turns int64)

// pairsAVX512 does the same with products of bfloat16 pairs: 32 multiply-adds an instruction.
//
//go:noescape
func pairsAVX512(turns int64)

// fmaLoop returns the loop for the instruction set that the library uses and its lanes; nil where the set has no fused multiply-add.
func fmaLoop(isa string) (loop func(turns int64), lanes int) {
	switch isa {
	case "avx2":
		return fmaAVX2, 8
	case "avx512":
		return fmaAVX512, 16
	default:
		return nil, 0
	}
}

// pairsLoop returns the loop of bfloat16 and its multiply-adds an instruction, for a processor that has it.
func pairsLoop(isa string) (loop func(turns int64), lanes int) {
	if isa != "avx512" {
		return nil, 0
	}
	return pairsAVX512, 32
}
