package nn

import (
	"fmt"

	"github.com/segnas/segnas/gobind"
)

// DWConvBN is a depthwise convolution, batch norm and, unless it is linear, ReLU. It may be run with a smaller kernel than its own, which is then the centre
// of the next larger one passed through a learned transform (Cai et al. 2020, section 3.3).
type DWConvBN struct {
	Weight     *Param   // [Kernel*Kernel][C]
	Transforms []*Param // from Kernel to Kernel-2, from there to Kernel-4, ...: [k*k][k*k] of the smaller k
	BN         *BatchNorm
	Kernel     int
	Stride     int
	Dilation   int  // pixels from one tap to the next, with stride 1; 0 is 1
	Linear     bool // no ReLU
}

// NewDWConvBN makes the layer's parameters for its largest width and kernel. Kernels from smallest up can be run; the transforms begin as
// identities.
func (s *Store) NewDWConvBN(name string, channels, kernel, smallest, stride int) *DWConvBN {
	l := &DWConvBN{Weight: s.weight(name+".weight", kernel*kernel, kernel*kernel, channels), Kernel: kernel, Stride: stride}
	for k := kernel - 2; k >= smallest; k -= 2 {
		l.Transforms = append(l.Transforms, s.identity(fmt.Sprintf("%s.transform%dto%d", name, k+2, k), k*k))
	}
	l.BN = s.batchNorm(name+".bn", channels)
	return l
}

// Forward runs the layer with a kernel on x, which may have fewer channels than the layer.
func (l *DWConvBN) Forward(t *Tape, x Value, kernel int, mode Mode) Value {
	return l.Quantised(t, x, kernel, WeightBits{}, mode)
}

// Quantised is Forward with weights of few bits: those of the transformed kernel.
func (l *DWConvBN) Quantised(t *Tape, x Value, kernel int, bits WeightBits, mode Mode) Value {
	if !t.read(x, l.Weight.Name) {
		return x
	}
	c, err := t.kernel(l, x.Channels(), kernel)
	if err != nil {
		t.fail(err)
		return x
	}
	t.quantise(&c, bits)
	return t.convNorm(x, c, l.BN, !l.Linear, mode)
}

// mostTransforms: from 7 to 5 and from 5 to 3.
const mostTransforms = 2

// transforms is the chain from a layer's own kernel to the one that runs.
type transforms struct {
	count  int
	matrix [mostTransforms]*Param
	large  [mostTransforms]gobind.Tensor // step i: from large[i] to large[i+1], the last to the convolution's weight
}

// kernel returns the convolution of a depthwise layer's first channels with a kernel of the given size.
func (t *Tape) kernel(l *DWConvBN, channels, kernel int) (convolution, error) {
	count := (l.Kernel - kernel) / 2
	if channels > l.Weight.Value.Last() || kernel%2 == 0 || count < 0 || count > min(len(l.Transforms), mostTransforms) {
		return convolution{}, fmt.Errorf("%d channels and kernel %d wanted of a depthwise layer of %d channels, kernel %d and %d transforms",
			channels, kernel, l.Weight.Value.Last(), l.Kernel, len(l.Transforms))
	}
	c := convolution{kind: depthwiseConv, stride: l.Stride, dilation: l.Dilation, weight: l.Weight.Value.Slice(1, 0, channels), param: l.Weight}
	for i := range count {
		k := l.Kernel - 2*(i+1)
		small := t.scratch(k*k, channels)
		t.count(opKTransform, t.clock(), t.stream.KTransformForward(c.weight, l.Transforms[i].Value, small))
		c.steps.matrix[i], c.steps.large[i] = l.Transforms[i], c.weight
		c.weight = small
	}
	c.steps.count = count
	return c, t.err
}

// transformGradient takes the gradient of a transformed kernel back to the transforms and to the centre of the layer's own kernel.
func (t *Tape) transformGradient(c *convolution, dSmall gobind.Tensor) {
	for i := c.steps.count - 1; i >= 0; i-- {
		large, matrix := c.steps.large[i], c.steps.matrix[i]
		dMatrix := t.touchZeroed(matrix, matrix.Value)
		var dLarge gobind.Tensor
		if i == 0 {
			t.touchZeroed(c.param, centre(large, dSmall.Shape[0]))
			dLarge = c.param.like(c.param.Grad, large)
		} else {
			dLarge = t.scratch(large.Shape[0], large.Shape[1])
			t.fail(t.stream.Fill(dLarge, 0))
		}
		t.count(opKTransformBackward, t.clock(), t.stream.KTransformBackward(large, matrix.Value, dSmall, dLarge, dMatrix))
		dSmall = dLarge
	}
}

// centre returns the middle taps of a kernel [k*k][C], as many as smallTaps, as [rows][columns][C].
func centre(large gobind.Tensor, smallTaps int) gobind.Tensor {
	kernel, small := kernelSize(large.Shape[0]), kernelSize(smallTaps)
	row := large.Stride[0]
	view := large
	view.Offset += (kernel - small) / 2 * (kernel + 1) * row
	view.Rank = 3
	view.Shape = [gobind.MaxRank]int{small, small, large.Shape[1]}
	view.Stride = [gobind.MaxRank]int{kernel * row, row, 1}
	return view
}

// kernelSize is the k of k*k taps.
func kernelSize(taps int) int {
	k := 1
	for k*k < taps {
		k += 2
	}
	return k
}
