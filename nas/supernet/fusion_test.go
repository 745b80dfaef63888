package supernet

import (
	"fmt"
	"testing"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/space"
)

// BenchmarkFusion shows what fusing a block's layers gains: the deployed baseline, logits out, as it is planned, with every block
// fused, and with every layer by itself, in turns. The log's table (-v) has the medians of every operation.
func BenchmarkFusion(b *testing.B) {
	for _, size := range [][2]int{{1024, 2048}, {360, 480}} {
		for _, precision := range []gobind.Precision{gobind.Float32, gobind.BFloat16} {
			for _, threads := range []int{1, 2} {
				b.Run(fmt.Sprintf("%dx%d/%v/threads=%d", size[0], size[1], precision, threads), func(b *testing.B) {
					benchFusion(b, size[0], size[1], precision, threads)
				})
			}
		}
	}
}

func benchFusion(b *testing.B, h, w int, precision gobind.Precision, threads int) {
	ctx := benchContext(b, threads)
	if precision == gobind.BFloat16 && !ctx.Runs(gobind.BFloat16) {
		b.Skip("this processor does not multiply bfloat16s")
	}
	net, arch := space.DefaultNetwork(19), space.Baseline()
	layers, err := must[*Plain](b)(NewPlain(ctx, net, arch, newRand(2))).Layers()
	if err != nil {
		b.Fatal(err)
	}
	layers = layers[:len(layers)-1]
	open := func(f gobind.Fusion) *timed {
		return openTimed(b, ctx, layers, h, w, gobind.SessionOptions{Precision: precision, Fusion: f})
	}
	planned, fused, single := open(gobind.FuseWhereFaster), open(gobind.FuseAlways), open(gobind.FuseNever)
	for b.Loop() {
		planned.run(b)
		fused.run(b)
		single.run(b)
	}
	ops := net.Ops(arch, h, w)
	text := fmt.Sprintf("%-16s %8s %9s %9s %9s %8s %12s\n", "operation", "GMACs", "planned", "fused ms", "apart ms", "gain", "GFLOP/s")
	var sums [3]float64
	for g, op := range ops {
		ms := [3]float64{planned.median(g), fused.median(g), single.median(g)}
		for i := range sums {
			sums[i] += ms[i]
		}
		text += fmt.Sprintf("%-16s %8.3f %9.3f %9.3f %9.3f %7.2fx %12.0f\n",
			op.Name, float64(op.MACs())/1e9, ms[0], ms[1], ms[2], ms[2]/ms[1], 2*float64(op.MACs())/1e6/ms[0])
	}
	b.ReportMetric(sums[0], "planned-ms")
	b.ReportMetric(sums[1], "fused-ms")
	b.ReportMetric(sums[2], "apart-ms")
	b.Logf("%d threads, %s, %v\n%s", ctx.Threads(), ctx.ISA(), precision, text)
}

// timed is a session with the times of its groups, run by run.
type timed struct {
	session *gobind.Session
	picture []float32
	output  []float32
	times   [][]time.Duration
}

func openTimed(b *testing.B, ctx *gobind.Context, layers []gobind.Layer, h, w int, o gobind.SessionOptions) *timed {
	session, err := ctx.NewSession(layers, 1, h, w, 3, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(session.Close)
	t := &timed{session: session, picture: make([]float32, h*w*3), output: make([]float32, session.OutputBytes()/4)}
	for i := range t.picture {
		t.picture[i] = float32(i%251)/125 - 1
	}
	t.run(b)
	t.times = nil // the first run touched the memory
	return t
}

func (t *timed) run(b *testing.B) {
	times := make([]time.Duration, t.session.Groups())
	if err := t.session.RunFloat32(t.picture, t.output, times); err != nil {
		b.Fatal(err)
	}
	t.times = append(t.times, times)
}

// median returns a group's median milliseconds.
func (t *timed) median(group int) float64 {
	var ms []float64
	for _, run := range t.times {
		ms = append(ms, run[group].Seconds()*1e3)
	}
	return metrics.Median(ms)
}
