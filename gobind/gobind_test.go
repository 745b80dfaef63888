package gobind

import (
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func open(t testing.TB, o Options) (*Context, *Stream) {
	t.Helper()
	x, err := NewContext(o)
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
	return x, s
}

func newTensor(t testing.TB, x *Context, dtype DType, shape ...int) Tensor {
	t.Helper()
	tensor, err := x.NewTensor(dtype, shape...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tensor.Buffer.Close)
	return tensor
}

func wantStatus(t *testing.T, err error, status Status, text string) {
	t.Helper()
	if StatusOf(err) != status || !strings.Contains(err.Error(), text) {
		t.Errorf("status %d, %v; want status %d and %q", StatusOf(err), err, status, text)
	}
}

func TestContext_TellsWhatItRunsOn(t *testing.T) {
	x, _ := open(t, Options{Threads: 3})
	if x.Threads() != 3 || x.Device() != "cpu" || !slices.Contains(AvailableISAs(), x.ISA()) {
		t.Errorf("%d threads, device %s, instruction set %s of %v", x.Threads(), x.Device(), x.ISA(), AvailableISAs())
	}
	if Version() == "" || DescribeBackends("") == "" || Stamp() == "" {
		t.Error("version, backends or stamp without text")
	}
}

func TestContext_RefusesWhatIsNotThere(t *testing.T) {
	for _, c := range []struct {
		options Options
		status  Status
		text    string
	}{
		{Options{ISA: "mmx"}, InvalidArgument, "scalar"},
		{Options{Threads: -1}, InvalidArgument, "at least 1 thread"},
		{Options{Device: "abacus:0"}, BackendMissing, "abacus"},
	} {
		_, err := NewContext(c.options)
		wantStatus(t, err, c.status, c.text)
	}
}

func TestContext_EndsAfterWhatWasMadeFromIt(t *testing.T) {
	x, err := NewContext(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	tensor, err := x.NewTensor(F32, 4)
	if err != nil {
		t.Fatal(err)
	}
	s, err := x.NewStream()
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	x.Close()
	if err := s.Fill(tensor, 2); err != nil {
		t.Error(err)
	}
	_, err = x.NewStream()
	wantStatus(t, err, InvalidArgument, "closed context")
	_, err = x.NewBuffer(1)
	wantStatus(t, err, InvalidArgument, "closed context")
	tensor.Buffer.Close()
	wantStatus(t, s.Fill(tensor, 2), InvalidArgument, "x has no buffer")
	wantStatus(t, Upload(s, tensor, make([]float32, 4)), InvalidArgument, "without a buffer")
	s.Close()
	wantStatus(t, s.Fill(tensor, 2), InvalidArgument, "closed")
}

func TestLeakGuard_ReleasesWhatWasForgotten(t *testing.T) {
	x, err := NewContext(Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	shared := x.shared
	func() {
		if _, err := x.NewBuffer(1 << 16); err != nil {
			t.Fatal(err)
		}
		if _, err := x.NewStream(); err != nil {
			t.Fatal(err)
		}
	}()
	deadline := time.Now().Add(5 * time.Second)
	for shared.users.Load() > 1 && time.Now().Before(deadline) {
		runtime.GC()
		time.Sleep(time.Millisecond)
	}
	if n := shared.users.Load(); n != 1 {
		t.Errorf("%d users of the context left, want 1", n)
	}
	x.Close()
}

func TestTransfers_RoundTripThroughViews(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	whole := newTensor(t, x, F32, 6, 5)
	values := make([]float32, 30)
	for i := range values {
		values[i] = float32(i)
	}
	if err := Upload(s, whole, values); err != nil {
		t.Fatal(err)
	}
	part := newTensor(t, x, F32, 2, 3)
	if err := s.Copy(whole.Slice(0, 4, 6).Slice(1, 1, 4), part); err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 6)
	if err := Download(s, got, part); err != nil {
		t.Fatal(err)
	}
	if want := []float32{21, 22, 23, 26, 27, 28}; !slices.Equal(got, want) || !slices.Equal(Host[float32](part), want) {
		t.Errorf("got %v and %v, want %v", got, Host[float32](part), want)
	}
}

func TestTensor_ViewsKeepTheirPlaces(t *testing.T) {
	x := NewTensor(nil, F32, 7, 2, 3, 4, 8)
	if got := x.Reshape(24, 8); got.Elements() != x.Elements() || got.Stride[0] != 8 || got.Offset != 7 {
		t.Errorf("reshape: %+v", got)
	}
	channels := x.Slice(3, 0, 5)
	if channels.Dense() || channels.Last() != 5 || channels.Rows().Shape[0] != 24 || channels.Rows().Stride[0] != 8 {
		t.Errorf("channel slice: %+v", channels)
	}
	if p := x.Reshape(24, 8).Prefix(3, 2); p.Shape[0] != 3 || p.Shape[1] != 2 || p.Stride[0] != 8 || p.SameShape(x) {
		t.Errorf("prefix: %+v", p)
	}
	for name, f := range map[string]func(){
		"slice past the end":       func() { x.Slice(0, 0, 3) },
		"reshape to another count": func() { x.Reshape(5) },
		"reshape of a slice":       func() { channels.Reshape(x.Elements()) },
		"rank 6":                   func() { NewTensor(nil, F32, 0, 1, 1, 1, 1, 1, 1) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s does not panic", name)
				}
			}()
			f()
		}()
	}
}

func TestOps_RefuseInOneLine(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	other, _ := open(t, Options{Threads: 1})
	a, b := newTensor(t, x, F32, 1, 4, 4, 8), newTensor(t, x, F32, 8, 3)
	y := newTensor(t, x, F32, 1, 4, 4, 3)
	labels := newTensor(t, x, U8, 1, 4, 4)
	for _, c := range []struct {
		name string
		err  error
		text string
	}{
		{"missing argument", s.PWConvForward(a, Tensor{}, Tensor{}, y), "w is NULL"},
		{"dtype", s.AddForward(a, a, false, labels), "y is u8, should be f32"},
		{"shape", s.PWConvForward(a, b.Slice(0, 0, 7), Tensor{}, y), "should be 8 x 3"},
		{"outside the buffer", s.Fill(NewTensor(a.Buffer, F32, 1, 1, 4, 4, 8), 0), "buffer of 128"},
		{"another context", s.Fill(newTensor(t, other, F32, 1), 0), "another context"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantStatus(t, c.err, InvalidArgument, c.text)
			var e *Error
			if !errors.As(c.err, &e) || strings.Contains(e.Text, "\n") {
				t.Errorf("%#v is not one line of *Error", c.err)
			}
		})
	}
	if err := s.PWConvForward(a, b, Tensor{}, y); err != nil {
		t.Errorf("after refusals: %v", err)
	}
}

func TestStream_SecondUserGetsBusy(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	tensor := newTensor(t, x, F32, 1<<16)
	var wait sync.WaitGroup
	var mutex sync.Mutex
	seen := map[Status]int{}
	for range 4 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			for range 200 {
				err := s.Fill(tensor, 1)
				mutex.Lock()
				seen[StatusOf(err)]++
				mutex.Unlock()
			}
		}()
	}
	wait.Wait()
	if seen[OK] == 0 || seen[OK]+seen[Busy] != 800 {
		t.Errorf("statuses %v, want some OK and the rest Busy", seen)
	}
	s.busy.Store(true)
	wantStatus(t, s.Fill(tensor, 1), Busy, "in use")
	s.busy.Store(false)
}

func TestOps_AllocateNothingPerCall(t *testing.T) {
	x, s := open(t, Options{Threads: 1})
	a, b := newTensor(t, x, F32, 1, 4, 4, 8), newTensor(t, x, F32, 8, 3)
	y, v := newTensor(t, x, F32, 1, 4, 4, 3), newTensor(t, x, F32, 8)
	host := make([]float32, 8)
	for name, f := range map[string]func() error{
		"pointwise":  func() error { return s.PWConvForward(a, b, Tensor{}, y) },
		"batch norm": func() error { return s.BatchNormForward(a, v, v, 1e-5, 0.1, true, Tensor{}, Tensor{}, v, v, a) },
		"quantising": func() error { return s.FakeQuantForward(Quantiser{Bits: 4}, a, v, a) },
		"slices":     func() error { return s.Fill(a.Rows().Prefix(3, 5), 1) },
		"download":   func() error { return Download(s, host, v) },
	} {
		if err := f(); err != nil {
			t.Fatal(name, err)
		}
		if n := testing.AllocsPerRun(100, func() { _ = f() }); n != 0 {
			t.Errorf("%s: %v allocations per call", name, n)
		}
	}
}
