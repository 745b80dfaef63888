package export

import (
	"context"
	"math"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/segnas/segnas/nas/misuse"
)

// The reference interpreter: ONNX's definitions as nested loops in double precision. It shares nothing with libsegnas, so that it can bear
// witness to it.

// run computes the output and the values to keep, by name, for an input [N,C,H,W]. before sees, and may change, what goes into each node; progress, where
// not nil, hears of every finished step.
func (p *plan) run(ctx context.Context, input []float64, keep []string, before func(name string, in [][]float64) error, progress func(done, total int)) (map[string][]float64, error) {
	values := map[string][]float64{p.input: input}
	kept := map[string]bool{p.output: true}
	for _, name := range keep {
		kept[name] = true
	}
	for i, s := range p.steps {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		var in [][]float64
		for _, name := range s.inputs {
			in = append(in, values[name])
		}
		n, err := elements(s.shape)
		if err != nil {
			return nil, misuse.Errorf("node %q: %w", s.name, err)
		}
		if err := before(s.name, in); err != nil {
			return nil, err
		}
		values[s.output] = make([]float64, n)
		s.kernel(values[s.output], in)
		for _, name := range s.inputs {
			if p.values[name] == i && !kept[name] {
				delete(values, name) // a picture of 1024x2048 makes some 6 GB of values
			}
		}
		if progress != nil {
			progress(i+1, len(p.steps))
		}
	}
	return values, nil
}

// parallel calls piece(0) to piece(n-1) on as many goroutines as there are processors.
func parallel(n int, piece func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				piece(i)
			}
		}()
	}
	group.Wait()
}

// pieceElements is how much of an elementwise operation a goroutine takes at once.
const pieceElements = 1 << 16

func elementwise(out []float64, f func(from, to int)) {
	parallel((len(out)+pieceElements-1)/pieceElements, func(i int) { f(i*pieceElements, min((i+1)*pieceElements, len(out))) })
}

func relu(out []float64, in [][]float64) {
	elementwise(out, func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = max(in[0][i], 0)
		}
	})
}

func add(out []float64, in [][]float64) {
	elementwise(out, func(from, to int) {
		for i := from; i < to; i++ {
			out[i] = in[0][i] + in[1][i]
		}
	})
}

// convolution is Conv: weights [out][in/group][k][k], padding k/2.
type convolution struct {
	weight, bias                       []float64
	kernel, stride, group              int
	n, in, h, w, out, outH, outW, band int
}

// bandPixels is how many pixels of every channel a goroutine computes at once: few enough that its inputs stay in the cache.
const bandPixels = 256

func (c convolution) run(out []float64, in [][]float64) {
	c.band = max(1, bandPixels/c.outW)
	bands := (c.outH + c.band - 1) / c.band
	parallel(c.n*bands, func(piece int) {
		n, from := piece/bands, piece%bands*c.band
		to := min(from+c.band, c.outH)
		perGroup := c.in / c.group
		for o := range c.out {
			y := out[(n*c.out+o)*c.outH*c.outW:][:c.outH*c.outW]
			rows := y[from*c.outW : to*c.outW]
			for i := range rows {
				rows[i] = c.bias[o]
			}
			first := o / (c.out / c.group) * perGroup
			for i := range perGroup {
				x := in[0][(n*c.in+first+i)*c.h*c.w:][:c.h*c.w]
				c.taps(y, x, c.weight[(o*perGroup+i)*c.kernel*c.kernel:], from, to)
			}
		}
	})
}

// taps adds what one input channel contributes to rows from to to of one output channel. Taps outside contribute nothing.
func (c convolution) taps(y, x, weight []float64, from, to int) {
	pad := c.kernel / 2
	for u := range c.kernel {
		for v := range c.kernel {
			w := weight[u*c.kernel+v]
			left := (max(0, pad-v) + c.stride - 1) / c.stride // the first j with j*stride + v - pad >= 0
			right := min(c.outW, (c.w-1+pad-v)/c.stride+1)    // behind the last j with j*stride + v - pad < c.w
			if c.w-1+pad-v < 0 {
				continue
			}
			for i := from; i < to; i++ {
				row := i*c.stride + u - pad
				if row < 0 || row >= c.h || left >= right {
					continue
				}
				accumulate(y[i*c.outW+left:i*c.outW+right], x[row*c.w+left*c.stride+v-pad:], w, c.stride)
			}
		}
	}
}

// accumulate is y[j] += w x[j stride].
func accumulate(y, x []float64, w float64, stride int) {
	if stride == 1 {
		x = x[:len(y)]
		for j := range y {
			y[j] += w * x[j]
		}
		return
	}
	for j := range y {
		y[j] += w * x[j*stride]
	}
}

// resizing is Resize: linear, half-pixel centres, beyond the edge the edge's value.
type resizing struct{ h, w, toH, toW int }

// tap is where a resized row or column takes its value from: (1-share) of a, share of b.
type tap struct {
	a, b  int
	share float64
}

func linearTaps(from, to int) []tap {
	taps := make([]tap, to)
	for i := range taps {
		at := (float64(i)+0.5)*float64(from)/float64(to) - 0.5
		floor := math.Floor(at)
		taps[i] = tap{max(int(floor), 0), min(int(floor)+1, from-1), at - floor}
	}
	return taps
}

func (r resizing) run(out []float64, in [][]float64) {
	rows, columns := linearTaps(r.h, r.toH), linearTaps(r.w, r.toW)
	parallel(len(in[0])/(r.h*r.w), func(plane int) {
		x := in[0][plane*r.h*r.w:][:r.h*r.w]
		y := out[plane*r.toH*r.toW:]
		for i, row := range rows {
			above, below := x[row.a*r.w:], x[row.b*r.w:]
			for j, col := range columns {
				top := above[col.a] + col.share*(above[col.b]-above[col.a])
				bottom := below[col.a] + col.share*(below[col.b]-below[col.a])
				y[i*r.toW+j] = top + row.share*(bottom-top)
			}
		}
	})
}

// argMax is ArgMax over the channels; the first of equals.
type argMax struct{ channels, pixels int }

func (a argMax) run(out []float64, in [][]float64) {
	elementwise(out, func(from, to int) {
		for i := from; i < to; i++ {
			x := in[0][i/a.pixels*a.channels*a.pixels+i%a.pixels:]
			best := 0
			for c := 1; c < a.channels; c++ {
				if x[c*a.pixels] > x[best*a.pixels] {
					best = c
				}
			}
			out[i] = float64(best)
		}
	})
}
