package supernet

import (
	"fmt"
	"testing"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
)

const benchThreads = 2

func benchContext(b *testing.B, threads int) *gobind.Context {
	ctx, err := gobind.NewContext(gobind.Options{Threads: threads})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(ctx.Close)
	return ctx
}

// BenchmarkTrainStep is a whole training step, auxiliary losses included, at batch 8 of 3x360x480 pictures and 11 classes, two threads: of the
// baseline, in floating point and at 8 bits (with learned steps activations are quantised in passes of their own), of the largest network of the space
// alone, and of the supernet at that network. The log's table says where the time goes (-v).
func BenchmarkTrainStep(b *testing.B) {
	largest := space.Default().Largest()
	eight := space.Baseline().Quantised(space.Bits{W: 8, A: 8})
	b.Run("baseline", func(b *testing.B) { benchmarkStep(b, space.Baseline(), false, gobind.ClipPACT) })
	b.Run("baseline-w8a8", func(b *testing.B) { benchmarkStep(b, eight, false, gobind.ClipPACT) })
	b.Run("baseline-w8a8-steps", func(b *testing.B) { benchmarkStep(b, eight, false, gobind.ClipStep) })
	b.Run("largest", func(b *testing.B) { benchmarkStep(b, largest, false, gobind.ClipPACT) })
	b.Run("supernet", func(b *testing.B) { benchmarkStep(b, largest, true, gobind.ClipPACT) })
}

func benchmarkStep(b *testing.B, a space.Arch, elastic bool, clips gobind.ClipGradient) {
	const n, h, w, classes = 8, 360, 480, 11
	ctx := benchContext(b, benchThreads)
	r := &rig{ctx: ctx, net: space.DefaultNetwork(classes), sp: space.Default(), rng: newRand(1)}
	var err error
	if r.tape, err = nn.NewTape(ctx); err != nil {
		b.Fatal(err)
	}
	defer r.tape.Close()
	if r.pictures, err = ctx.NewTensor(gobind.F32, n, h, w, 3); err != nil {
		b.Fatal(err)
	}
	labels, err := ctx.NewTensor(gobind.U8, n, h, w)
	if err != nil {
		b.Fatal(err)
	}
	for i := range gobind.Host[uint8](labels) {
		gobind.Host[uint8](labels)[i] = uint8(i / 97 % classes)
	}
	for i := range gobind.Host[float32](r.pictures) {
		gobind.Host[float32](r.pictures)[i] = float32(i%251)/125 - 1
	}
	var m Model
	if elastic {
		m = must[*Elastic](b)(NewElastic(ctx, r.net, r.sp, r.rng))
	} else {
		m = must[*Plain](b)(NewPlain(ctx, r.net, a, r.rng))
	}
	if a.IsQuantised() {
		r.fit(b, m, a)
	}
	r.tape.SetClipGradient(clips)
	r.step(b, m, a, labels)
	var profile nn.Profile
	r.tape.SetProfile(&profile)
	b.ResetTimer()
	for range b.N {
		r.step(b, m, a, labels)
	}
	b.StopTimer()
	b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "pictures/s")
	b.ReportMetric(float64(r.tape.MemoryBytes())/1e6, "MB")
	b.Logf("%d threads, %s, %v per step in operations\n%s", ctx.Threads(), ctx.ISA(), profile.Total()/time.Duration(b.N), profile.Table(b.N))
}

// BenchmarkInfer is the deployed baseline with 19 classes, one picture at a time: at the two sizes of interest, label map or logits out, in the
// precisions that the processor has, on one thread and two. The log's table says where the time goes (-v).
func BenchmarkInfer(b *testing.B) {
	for _, size := range [][2]int{{1024, 2048}, {360, 480}} {
		for _, output := range []string{"labels", "logits"} {
			for _, precision := range []gobind.Precision{gobind.Float32, gobind.BFloat16} {
				for _, threads := range []int{1, 2} {
					b.Run(fmt.Sprintf("%dx%d/%s/%v/threads=%d", size[0], size[1], output, precision, threads), func(b *testing.B) {
						benchInfer(b, size[0], size[1], output == "labels", precision, threads)
					})
				}
			}
		}
	}
}

func benchInfer(b *testing.B, h, w int, labels bool, precision gobind.Precision, threads int) {
	ctx := benchContext(b, threads)
	if precision == gobind.BFloat16 && !ctx.Runs(gobind.BFloat16) {
		b.Skip("this processor does not multiply bfloat16s")
	}
	net := space.DefaultNetwork(19)
	m := must[*Plain](b)(NewPlain(ctx, net, space.Baseline(), newRand(2)))
	layers, err := m.Layers()
	if err != nil {
		b.Fatal(err)
	}
	if !labels {
		layers = layers[:len(layers)-1]
	}
	session, err := ctx.NewSession(layers, 1, h, w, 3, gobind.SessionOptions{Precision: precision})
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	picture, times := make([]float32, h*w*3), make([]time.Duration, session.Groups())
	for i := range picture {
		picture[i] = float32(i%251)/125 - 1
	}
	values, bytes := make([]float32, session.OutputBytes()/4), make([]uint8, session.OutputBytes())
	run := func() error {
		if labels {
			return session.Run(picture, bytes, times)
		}
		return session.RunFloat32(picture, values, times)
	}
	if err := run(); err != nil {
		b.Fatal(err)
	}
	total := make([]time.Duration, session.Groups())
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
		for i, d := range times {
			total[i] += d
		}
	}
	text := ""
	for i, op := range net.Ops(space.Baseline(), h, w)[:len(total)] {
		text += fmt.Sprintf("%-16s %8.2f ms\n", op.Name, total[i].Seconds()*1e3/float64(b.N))
	}
	b.ReportMetric(float64(2*net.MACs(space.Baseline(), h, w))/b.Elapsed().Seconds()*float64(b.N)/1e9, "GFLOP/s")
	b.ReportMetric(float64(session.ActivationBytes())/1e6, "MB")
	b.Logf("%d threads, %s\n%s", ctx.Threads(), ctx.ISA(), text)
}
