package supernet

import (
	"math"
	"math/big"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// integerNetwork is segnas.h's formulas of SEGNAS_PRECISION_INT8 in plain loops. The layers in float32 that a network begins with are asked of a float32
// session: they are not what is looked at here.
type integerNetwork struct {
	ctx    *gobind.Context
	layers []gobind.Layer // without the label map
	n      int            // pictures
	values []integerValue
}

// integerValue is a value of n x h x w x c: whole numbers of steps where a layer reads it in integers, else float32.
type integerValue struct {
	h, w, c   int
	low, high float32 // of whole numbers
	step      float64 // of whole numbers; 1 of float32
	whole     bool
	data      []float32 // whole numbers are exact in it
}

// integerLogits computes the logits of n pictures of h x w.
func integerLogits(t testing.TB, ctx *gobind.Context, layers []gobind.Layer, n, h, w int, pictures []float32) []float32 {
	t.Helper()
	net := integerNetwork{ctx, layers[:len(layers)-1], n, []integerValue{{h: h, w: w, c: 3, step: 1, data: pictures}}}
	for i, l := range net.layers {
		y := net.shape(i)
		switch {
		case l.Kind == gobind.LayerNearestAdd:
			net.nearestAdd(l, &y)
		case l.WeightBits > 0:
			net.convolution(l, &y)
		default:
			net.float(t, i, &y)
		}
		net.values = append(net.values, y)
	}
	return net.values[len(net.values)-1].data
}

// shape returns the value of layer i without its numbers.
func (net *integerNetwork) shape(i int) integerValue {
	l := net.layers[i]
	x := net.values[l.Input]
	y := integerValue{h: x.h, w: x.w, c: x.c, step: 1}
	switch l.Kind {
	case gobind.LayerNearestAdd:
		y.h, y.w = net.values[l.Input2].h, net.values[l.Input2].w
	case gobind.LayerConv3x3, gobind.LayerDWConv:
		y.h, y.w = (x.h-1)/l.Stride+1, (x.w-1)/l.Stride+1
	}
	if l.Channels > 0 {
		y.c = l.Channels
	}
	for _, reader := range net.layers {
		if reader.Input != i+1 || reader.WeightBits == 0 {
			continue
		}
		y.whole, y.step, y.high = true, float64(reader.InputStep), float32(int(1)<<reader.InputBits-1)
		if reader.InputSigned {
			y.high = float32(int(1)<<(reader.InputBits-1) - 1)
			y.low = -y.high
		}
	}
	y.data = make([]float32, net.n*y.h*y.w*y.c)
	return y
}

// keep rounds one number as the value has it, or cuts it off at zero.
func (v *integerValue) keep(at int, f float32, relu bool) {
	low := v.low
	if relu {
		low = 0
	}
	if v.whole {
		f = float32(math.RoundToEven(float64(min(max(f, low), v.high))))
	} else if relu {
		f = max(f, 0)
	}
	v.data[at] = f
}

func (net *integerNetwork) float(t testing.TB, i int, y *integerValue) {
	t.Helper()
	first := net.values[0]
	session, err := net.ctx.NewSession(net.layers[:i+1], net.n, first.h, first.w, first.c, gobind.SessionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	floats := make([]float32, len(y.data))
	if err := session.RunFloat32(first.data, floats, nil); err != nil {
		t.Fatal(err)
	}
	inverse := float32(1 / y.step)
	for j, f := range floats {
		y.keep(j, f*inverse, net.layers[i].ReLU)
	}
}

func (net *integerNetwork) nearestAdd(l gobind.Layer, y *integerValue) {
	x, to := net.values[l.Input], net.values[l.Input2]
	inverse := float32(1 / y.step)
	for at := range y.data {
		c, j, i, n := at%y.c, at/y.c%y.w, at/(y.c*y.w)%y.h, at/(y.c*y.w*y.h)
		row, column := (2*i+1)*x.h/(2*y.h), (2*j+1)*x.w/(2*y.w)
		y.keep(at, float32(to.data[at]+x.data[((n*x.h+row)*x.w+column)*x.c+c])*inverse, l.ReLU)
	}
}

func (net *integerNetwork) convolution(l gobind.Layer, y *integerValue) {
	x := net.values[l.Input]
	multiples := make([]int32, len(l.Weights))
	for i, w := range l.Weights {
		multiples[i] = int32(math.Round(float64(w) / float64(l.WeightSteps[i%y.c])))
	}
	for at := range y.data {
		o := at % y.c
		sum := net.sum(l, &x, y, at, multiples)
		m := float32(float64(l.InputStep) * float64(l.WeightSteps[o]) / y.step)
		f := fma(float32(sum), m, float32(float64(l.Bias[o])/y.step))
		if l.Input2 >= 0 {
			residual := net.values[l.Input2]
			f = fma(residual.data[at], float32(residual.step/y.step), f)
		}
		y.keep(at, f, l.ReLU)
	}
}

// sum returns the sum of an output's products.
func (net *integerNetwork) sum(l gobind.Layer, x, y *integerValue, at int, multiples []int32) (sum int32) {
	o, j, i, n := at%y.c, at/y.c%y.w, at/(y.c*y.w)%y.h, at/(y.c*y.w*y.h)
	if l.Kind == gobind.LayerPWConv {
		for c, q := range x.data[at/y.c*x.c:][:x.c] {
			sum += int32(q) * multiples[c*y.c+o]
		}
		return sum
	}
	for u := range l.Kernel {
		for v := range l.Kernel {
			row, column := i*l.Stride+u-l.Kernel/2, j*l.Stride+v-l.Kernel/2
			if row >= 0 && row < x.h && column >= 0 && column < x.w {
				sum += int32(x.data[((n*x.h+row)*x.w+column)*x.c+o]) * multiples[(u*l.Kernel+v)*y.c+o]
			}
		}
	}
	return sum
}

// fma returns a b + c rounded once. The product is exact in double. Where the sum is not, its last bit is made odd towards what was lost, so that the
// rounding to float32 cannot take it for a tie, or miss one (Boldo and Melquiond 2008).
func fma(a, b, c float32) float32 {
	product, other := float64(a)*float64(b), float64(c)
	sum := product + other
	back := sum - product
	lost := float64(product-float64(sum-back)) + float64(other-back)
	if bits := math.Float64bits(sum); lost != 0 && bits&1 == 0 {
		if (lost > 0) == (sum > 0) {
			bits++
		} else {
			bits--
		}
		sum = math.Float64frombits(bits)
	}
	return float32(sum)
}

func TestFMA_RoundsOnce(t *testing.T) {
	rng := newRand(7)
	twice := 0
	draw := func(exponent int) float32 {
		v := float32(math.Ldexp(1+float64(rng.UintN(1<<23))/(1<<23), exponent))
		if rng.UintN(2) == 0 {
			v = -v
		}
		return v
	}
	check := func(a, b, c float32) {
		exact := new(big.Float).SetPrec(300).Mul(big.NewFloat(float64(a)), big.NewFloat(float64(b)))
		want, _ := exact.Add(exact, big.NewFloat(float64(c))).Float32()
		if got := fma(a, b, c); got != want {
			t.Fatalf("%g %g + %g is %g, should be %g", a, b, c, got, want)
		}
		if float32(math.FMA(float64(a), float64(b), float64(c))) != want {
			twice++
		}
	}
	for range 200000 {
		check(draw(0), draw(0), draw(int(rng.UintN(80))-40))
	}
	// Half a unit in the last place of c, and a little more or less: what double loses.
	for range 10000 {
		c := draw(0)
		check(float32(math.Ldexp(1, -12)), float32(math.Ldexp(1, -12)), c)
		check(float32(math.Ldexp(1+1.0/(1<<23), -12)), float32(math.Ldexp(1-1.0/(1<<23), -12)), c)
	}
	if twice == 0 {
		t.Error("no case was drawn in which rounding twice is wrong")
	}
}
