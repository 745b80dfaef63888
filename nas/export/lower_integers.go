package export

import (
	"math"
	"slices"

	"github.com/segnas/segnas/gobind"
)

// inputSuffix ends the names of what layers in integers read.
const inputSuffix = ".input"

// signedZero is the byte that stands for zero where values may be negative: the least of 8 bits, -127 steps, is then 1.
const signedZero = 128

// levels returns the bytes that stand for what a layer reads: the one for zero, and the range that input_bits give (segnas.h, SEGNAS_PRECISION_INT8).
func levels(layer gobind.Layer) (zero, low, high int64) {
	if layer.InputSigned {
		most := int64(1)<<(layer.InputBits-1) - 1
		return signedZero, signedZero - most, signedZero + most
	}
	return 0, 0, int64(1)<<layer.InputBits - 1
}

// rounded returns the name of what a layer reads: its input, in integers as bytes between QuantizeLinear and DequantizeLinear. Those of the first layer
// that reads a value are its shortcut's, too. Bytes that the range leaves out are cut off as integers, so that runtimes find QuantizeLinear behind the
// convolution that makes the value.
func (l *lowering) rounded(layer gobind.Layer, name string) string {
	x := l.values[layer.Input].name
	if layer.WeightBits == 0 {
		return x
	}
	if made, ok := l.bytes[layer.Input]; ok {
		return made
	}
	name += inputSuffix
	zero, low, high := levels(layer)
	by := []string{l.constant(Tensor{Name: name + ".scale", Type: Float, Floats: []float32{layer.InputStep}}), l.byte(name+".zero", zero)}
	q := l.node(name+".bytes", "QuantizeLinear", append([]string{x}, by...))
	if low > 0 || high < math.MaxUint8 {
		q = l.node(name+".range", "Clip", []string{q, l.byte(name+".low", low), l.byte(name+".high", high)})
	}
	l.bytes[layer.Input] = l.node(name, "DequantizeLinear", append([]string{q}, by...))
	return l.bytes[layer.Input]
}

// added returns the name of a shortcut's value, which a layer in integers adds as another one reads it.
func (l *lowering) added(layer gobind.Layer) string {
	if made, ok := l.bytes[layer.Input2]; ok && layer.WeightBits > 0 {
		return made
	}
	return l.values[layer.Input2].name
}

func (l *lowering) constant(t Tensor) string {
	l.graph.Weights = append(l.graph.Weights, t)
	return t.Name
}

func (l *lowering) byte(name string, v int64) string {
	return l.constant(Tensor{Name: name, Type: Uint8, Ints: []int64{v}})
}

// weight adds a convolution's weight, [out,in,k,k], and returns its name. In integers it is whole numbers, with a step and the zero 0 for each output channel.
func (l *lowering) weight(t Tensor, layer gobind.Layer) string {
	if layer.WeightBits == 0 {
		return l.constant(t)
	}
	channels := t.Shape[:1]
	each := len(t.Floats) / len(layer.WeightSteps)
	whole := Tensor{Name: t.Name + ".levels", Type: Int8, Shape: t.Shape, Ints: make([]int64, len(t.Floats))}
	for i, w := range t.Floats {
		whole.Ints[i] = int64(math.RoundToEven(float64(w) / float64(layer.WeightSteps[i/each])))
	}
	return l.node(t.Name, "DequantizeLinear", []string{
		l.constant(whole), l.constant(Tensor{Name: t.Name + ".scale", Type: Float, Shape: channels, Floats: slices.Clone(layer.WeightSteps)}),
		l.constant(Tensor{Name: t.Name + ".zero", Type: Int8, Shape: channels, Ints: make([]int64, channels[0])}),
	}, integer("axis", 0))
}
