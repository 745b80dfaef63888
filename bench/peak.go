package bench

import (
	"sync"
	"time"

	"github.com/segnas/segnas/gobind"
)

// peak is what the machine did at best when it was asked: the ends of the scale that an operation's time is held against.
type peak struct {
	flops float64 // fused multiply-adds on registers, 2 operations each, per second; 0 where there is no such loop
	pairs float64 // the same of bfloat16 with float32 sums
	bytes float64 // copied between buffers larger than caches, read and written, per second
}

// floor is the least time that work of this size could take here, by the slower of its two needs.
func (p peak) floor(macs, bytes int64) time.Duration {
	var compute float64
	if p.flops > 0 {
		compute = 2 * float64(macs) / p.flops
	}
	return time.Duration(max(compute, float64(bytes)/p.bytes) * float64(time.Second))
}

// best takes the higher of each.
func (p peak) best(q peak) peak {
	return peak{max(p.flops, q.flops), max(p.pairs, q.pairs), max(p.bytes, q.bytes)}
}

// of is the peak for work in a precision.
func (p peak) of(precision gobind.Precision) peak {
	if precision == gobind.BFloat16 {
		p.flops = p.pairs
	}
	return p
}

// prober measures peaks with as many goroutines as the library has threads.
type prober struct {
	isa     string
	bf16    bool // the processor multiplies bfloat16
	threads int
	from    [][]byte
	to      [][]byte
}

// copiedBytes is what a thread copies: more than its share of the last-level cache of common machines.
const copiedBytes = 64 << 20

func newProber(isa string, bf16 bool, threads int) *prober {
	p := &prober{isa: isa, bf16: bf16, threads: threads, from: make([][]byte, threads), to: make([][]byte, threads)}
	for i := range threads {
		p.from[i], p.to[i] = make([]byte, copiedBytes), make([]byte, copiedBytes)
		for j := range copiedBytes {
			p.from[i][j] = byte(j) // untouched pages would all be the one of zeros
		}
	}
	return p
}

// measure takes some 50 ms and returns the best of a few rounds.
func (p *prober) measure() peak {
	const rounds = 3
	var seen peak
	for range rounds {
		loop, lanes := fmaLoop(p.isa)
		seen.flops = max(seen.flops, p.multiplyAdds(loop, lanes))
		if p.bf16 {
			loop, lanes = pairsLoop(p.isa)
			seen.pairs = max(seen.pairs, p.multiplyAdds(loop, lanes))
		}
		seen.bytes = max(seen.bytes, p.copies())
	}
	return seen
}

// together runs body on all threads at once and returns how long the slowest took.
func (p *prober) together(body func(thread int)) time.Duration {
	var wait sync.WaitGroup
	begin := time.Now()
	for i := range p.threads {
		wait.Add(1)
		go func() {
			defer wait.Done()
			body(i)
		}()
	}
	wait.Wait()
	return time.Since(begin)
}

func (p *prober) multiplyAdds(loop func(turns int64), lanes int) float64 {
	if loop == nil {
		return 0
	}
	const turns = 1 << 20
	took := p.together(func(int) { loop(turns) })
	return 2 * float64(turns) * fmaChains * float64(lanes) * float64(p.threads) / took.Seconds()
}

func (p *prober) copies() float64 {
	took := p.together(func(i int) { copy(p.to[i], p.from[i]) })
	return 2 * copiedBytes * float64(p.threads) / took.Seconds()
}
