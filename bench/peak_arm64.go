package bench

// fmaChains is how many independent accumulators the loop keeps busy: more than the latency of a fused multiply-add times the units
// that do it, of which large cores have four.
const fmaChains = 16

// fmaNEON does turns rounds of fmaChains fused multiply-adds on registers.
//
//go:noescape
func fmaNEON(turns int64)

// fmaLoop returns the loop for the instruction set that the library uses and its lanes; nil where the set has no fused multiply-add.
func fmaLoop(isa string) (loop func(turns int64), lanes int) {
	if isa != "neon" {
		return nil, 0
	}
	return fmaNEON, 4
}

// pairsLoop has none: the library has no bfloat16 for this processor.
func pairsLoop(string) (loop func(turns int64), lanes int) { return nil, 0 }
