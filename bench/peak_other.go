//go:build !amd64 && !arm64

package bench

const fmaChains = 0

// fmaLoop has no loop for this processor: operations are held against the memory's bandwidth alone.
func fmaLoop(string) (loop func(turns int64), lanes int) { return nil, 0 }

// pairsLoop has none either.
func pairsLoop(string) (loop func(turns int64), lanes int) { return nil, 0 }
