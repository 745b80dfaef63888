package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/space"
)

// pictures are what the layers' sizes follow from: one of a street camera, and a training batch of CamVid's.
var pictures = []struct{ n, h, w int }{{1, 1024, 2048}, {8, 360, 480}}

// TestMain prints what a figure depends on ahead of the benchmarks, in the key: value lines that benchstat compares by.
func TestMain(m *testing.M) {
	flag.Parse()
	if pattern := flag.Lookup("test.bench"); pattern != nil && pattern.Value.String() != "" {
		if err := printConditions(); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// device is where the operations run: SEGNAS_DEVICE, as for the tools, but the CPU unless another one is named.
func device() string {
	if d := os.Getenv("SEGNAS_DEVICE"); d != "auto" {
		return d
	}
	return ""
}

func printConditions() error {
	x, err := gobind.NewContext(gobind.Options{Device: device()})
	if err != nil {
		return err
	}
	defer x.Close()
	commit := "unknown"
	if given := os.Getenv("SEGNAS_COMMIT"); given != "" { // of a bundle, which has no repository
		commit = given
	} else if out, err := exec.Command("git", "describe", "--always", "--dirty", "--abbrev=12").Output(); err == nil {
		commit = strings.TrimSpace(string(out))
	}
	fmt.Printf("isa: %s\nthreads: %d\ndevice: %s\nlibrary: %s\ncommit: %s\n", x.ISA(), x.Threads(), x.Device(), gobind.Stamp(), commit)
	return nil
}

// bed is a context with tensors for one operation at a time.
type bed struct {
	context *gobind.Context
	stream  *gobind.Stream
}

func newBed(t testing.TB) *bed {
	t.Helper()
	x, err := gobind.NewContext(gobind.Options{Device: device()})
	if err != nil {
		t.Fatal(err)
	}
	s, err := x.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		x.Close()
	})
	return &bed{x, s}
}

// tensors makes what the operation takes, filled with ordinary numbers and with labels of 19 classes.
func (b *bed) tensors(t testing.TB, op operation) []gobind.Tensor {
	t.Helper()
	made := make([]gobind.Tensor, len(op.tensors))
	for i, want := range op.tensors {
		var err error
		if made[i], err = b.context.NewTensor(want.dtype, want.shape...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(made[i].Buffer.Close)
		switch want.dtype {
		case gobind.F32:
			err = fill(b.stream, made[i], func(j int) float32 { return 0.25 + float32(j*7919%1024)/1024 })
		case gobind.U8:
			err = fill(b.stream, made[i], func(j int) uint8 { return uint8(j / 97 % 19) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return made
}

func fill[T float32 | uint8](s *gobind.Stream, t gobind.Tensor, value func(int) T) error {
	host := make([]T, t.Elements())
	for j := range host {
		host[j] = value(j)
	}
	return gobind.Upload(s, t, host)
}

func operationsFor(n, h, w int) []operation {
	var ops []operation
	for _, l := range distinct(networkLayers(n, h, w)) {
		ops = append(ops, operationsOf(l)...)
	}
	return ops
}

var sharedProber = sync.OnceValue(func() *prober {
	x, err := gobind.NewContext(gobind.Options{})
	if err != nil {
		panic(err)
	}
	defer x.Close()
	return newProber(x.ISA(), x.Runs(gobind.BFloat16), x.Threads())
})

// BenchmarkPeak is the machine's own: fused multiply-adds on registers, and copies between large buffers.
func BenchmarkPeak(b *testing.B) {
	var seen peak
	for b.Loop() {
		seen = seen.best(sharedProber().measure())
	}
	b.ReportMetric(seen.flops/1e9, "GFLOP/s")
	b.ReportMetric(seen.bytes/1e9, "GB/s")
}

// BenchmarkOperations times every distinct layer of the baseline, forward and backward. %peak is the share of the time that the machine
// needs at best, by a peak measured just before and after: 100 is a bound by multiply-adds or, where those are few, by memory (tensors that
// fit a cache may pass it).
func BenchmarkOperations(b *testing.B) {
	for _, p := range pictures {
		for _, op := range operationsFor(p.n, p.h, p.w) {
			name := fmt.Sprintf("%s/%dx%dx%d/%s/%s", op.name, p.n, p.h, p.w, op.layer.place, op.layer.shape())
			b.Run(name, func(b *testing.B) { timed(b, op) })
		}
	}
}

// BenchmarkSessions times the convolutions of the baseline as a deployed network runs them, one layer a session, in every precision of the CPU; in integers %peak is the share of
// what the time would be at the peak of float32, so that it may pass 100.
func BenchmarkSessions(b *testing.B) {
	for _, h := range []int{1024, 360} {
		w := map[int]int{1024: 2048, 360: 480}[h]
		for _, l := range distinct(networkLayers(1, h, w)) {
			d := deploy(l)
			for _, a := range arithmetics {
				if d.takes(a) {
					b.Run(fmt.Sprintf("%s_%s/%dx%d/%s/%s", l.op, a, h, w, l.place, l.shape()), func(b *testing.B) { timedSession(b, d, a) })
				}
			}
		}
	}
}

func timedSession(b *testing.B, d deployed, a arithmetic) {
	run, groups := d.session(b, a)
	var took time.Duration
	seen := sharedProber().measure()
	for b.Loop() {
		run()
		took += groups[d.timed]
	}
	each := took / time.Duration(b.N)
	seen = seen.best(sharedProber().measure()).of(a.precision)
	b.ReportMetric(float64(each.Nanoseconds()), "ns/op") // the layer's own; the layers around it make its input and read its output
	b.ReportMetric(2*float64(d.layer.macs())/each.Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(float64(d.bytes(a.precision))/each.Seconds()/1e9, "GB/s")
	b.ReportMetric(100*seen.floor(d.layer.macs(), d.bytes(a.precision)).Seconds()/each.Seconds(), "%peak")
}

// session makes the session, runs it once, and returns a run and the times of its groups.
func (d deployed) session(t testing.TB, a arithmetic) (run func(), groups []time.Duration) {
	t.Helper()
	x, err := gobind.NewContext(gobind.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.Close)
	if !x.Runs(a.precision) {
		t.Skipf("this processor has no %s products", a.precision)
	}
	s, err := x.NewSession(d.in(a), 1, d.h, d.w, d.c, gobind.SessionOptions{Precision: a.precision})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	input, output := make([]float32, d.h*d.w*d.c), make([]float32, s.OutputBytes()/4)
	for i := range input {
		input[i] = 0.25 + float32(i*7919%1024)/1024
	}
	groups = make([]time.Duration, s.Groups())
	run = func() {
		if err := s.RunFloat32(input, output, groups); err != nil {
			t.Fatal(err)
		}
	}
	run()
	return run, groups
}

func timed(b *testing.B, op operation) {
	test := newBed(b)
	tensors := test.tensors(b, op)
	if err := op.run(test.stream, tensors); err != nil { // pages and scratch are touched, weights packed
		if gobind.StatusOf(err) == gobind.NoKernel {
			b.Skip(err)
		}
		b.Fatal(err)
	}
	if test.context.Device() != "cpu" {
		timedQueue(b, op, test, tensors)
		return
	}
	seen := sharedProber().measure()
	for b.Loop() {
		if err := op.run(test.stream, tensors); err != nil {
			b.Fatal(err)
		}
	}
	each := b.Elapsed() / time.Duration(b.N)
	seen = seen.best(sharedProber().measure())
	if op.macs > 0 {
		b.ReportMetric(2*float64(op.macs)/each.Seconds()/1e9, "GFLOP/s")
	}
	b.ReportMetric(float64(op.bytes)/each.Seconds()/1e9, "GB/s")
	b.ReportMetric(100*seen.floor(op.macs, op.bytes).Seconds()/each.Seconds(), "%peak")
}

// queued is how many calls a device gets before it is waited for: enough for the waiting not to count.
const queued = 32

// timedQueue times an operation of a device that works on while the host enqueues.
func timedQueue(b *testing.B, op operation, test *bed, tensors []gobind.Tensor) {
	for b.Loop() {
		for range queued {
			if err := op.run(test.stream, tensors); err != nil {
				b.Fatal(err)
			}
		}
		if err := test.stream.Synchronize(); err != nil {
			b.Fatal(err)
		}
	}
	each := b.Elapsed() / time.Duration(b.N*queued)
	b.ReportMetric(float64(each.Nanoseconds()), "ns/op")
	if op.macs > 0 {
		b.ReportMetric(2*float64(op.macs)/each.Seconds()/1e9, "GFLOP/s")
	}
	b.ReportMetric(float64(op.bytes)/each.Seconds()/1e9, "GB/s")
}

func TestLayers_CostWhatTheNetworkCosts(t *testing.T) {
	for _, p := range append(pictures, struct{ n, h, w int }{1, 61, 95}) {
		var macs int64
		for _, l := range networkLayers(p.n, p.h, p.w) {
			macs += l.macs()
		}
		want := int64(p.n) * space.DefaultNetwork(19).MACs(space.Baseline(), p.h, p.w)
		if macs != want {
			t.Errorf("%d pictures of %dx%d: the layers have %d multiply-adds, the network %d", p.n, p.h, p.w, macs, want)
		}
	}
}

func TestOperations_RunOnSmallPictures(t *testing.T) {
	for _, op := range operationsFor(2, 48, 72) {
		t.Run(op.name+"/"+op.layer.shape(), func(t *testing.T) {
			b := newBed(t)
			if err := op.run(b.stream, b.tensors(t, op)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSessions_RunOnSmallPictures(t *testing.T) {
	for _, l := range distinct(networkLayers(1, 48, 72)) {
		d := deploy(l)
		for _, a := range arithmetics {
			if !d.takes(a) {
				continue
			}
			t.Run(l.op+"_"+a.String()+"/"+l.shape(), func(t *testing.T) {
				if _, groups := d.session(t, a); groups[d.timed] <= 0 {
					t.Errorf("the layer took %v", groups[d.timed])
				}
			})
		}
	}
}

func TestPeak_FloorIsTheSlowerNeed(t *testing.T) {
	p := peak{flops: 1e9, pairs: 2e9, bytes: 1e8}
	for _, c := range []struct {
		macs, bytes int64
		want        time.Duration
	}{{1e6, 1, 2 * time.Millisecond}, {1, 1e6, 10 * time.Millisecond}} {
		if got := p.floor(c.macs, c.bytes); got != c.want {
			t.Errorf("%d multiply-adds and %d bytes: at least %v, want %v", c.macs, c.bytes, got, c.want)
		}
	}
}
