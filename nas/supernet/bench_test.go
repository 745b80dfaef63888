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

func benchContext(b *testing.B) *gobind.Context {
	ctx, err := gobind.NewContext(gobind.Options{Threads: benchThreads})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(ctx.Close)
	return ctx
}

// BenchmarkTrainStep is a whole training step, auxiliary losses included, at batch 8 of 3x360x480 pictures and 11 classes, two threads: of the
// baseline, of the largest network of the space alone, and of the supernet at that network. The log's table says where the time goes (-v).
func BenchmarkTrainStep(b *testing.B) {
	largest := space.Default().Largest()
	b.Run("baseline", func(b *testing.B) { benchmarkStep(b, space.Baseline(), false) })
	b.Run("largest", func(b *testing.B) { benchmarkStep(b, largest, false) })
	b.Run("supernet", func(b *testing.B) { benchmarkStep(b, largest, true) })
}

func benchmarkStep(b *testing.B, a space.Arch, elastic bool) {
	const n, h, w, classes = 8, 360, 480, 11
	ctx := benchContext(b)
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

// BenchmarkInfer1024 is the deployed baseline at 1024x2048 with 19 classes, label map out, two threads.
func BenchmarkInfer1024(b *testing.B) {
	const h, w = 1024, 2048
	ctx := benchContext(b)
	net := space.DefaultNetwork(19)
	m := must[*Plain](b)(NewPlain(ctx, net, space.Baseline(), newRand(2)))
	layers, err := m.Layers()
	if err != nil {
		b.Fatal(err)
	}
	session, err := ctx.NewSession(layers, 1, h, w, 3)
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	picture, labels, times := make([]float32, h*w*3), make([]uint8, h*w), make([]time.Duration, session.Groups())
	for i := range picture {
		picture[i] = float32(i%251)/125 - 1
	}
	total := make([]time.Duration, session.Groups())
	for range b.N {
		if err := session.Run(picture, labels, times); err != nil {
			b.Fatal(err)
		}
		for i, d := range times {
			total[i] += d
		}
	}
	b.StopTimer()
	text := ""
	for i, op := range net.Ops(space.Baseline(), h, w) {
		text += fmt.Sprintf("%-16s %8.2f ms\n", op.Name, total[i].Seconds()*1e3/float64(b.N))
	}
	b.ReportMetric(float64(session.ActivationBytes())/1e6, "MB")
	b.Logf("%d threads, %s\n%s", ctx.Threads(), ctx.ISA(), text)
}
