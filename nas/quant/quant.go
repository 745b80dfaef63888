// Package quant counts what a network with bit widths costs: its bit operations and its bytes.
//
// Quantised are all convolutions but the first one and the first depthwise-separable one of the stem: those at the highest resolution, which see
// the picture and its first features, stay in floating point. A block has one pair of widths for its three convolutions; each part outside the
// blocks has its own (space.Arch.Outer).
package quant

import "github.com/segnas/segnas/nas/space"

// Layer is a convolution of a network.
type Layer struct {
	Name     string // such as stage1.block2.expand
	MACs     int64  // multiply-adds
	Weights  int64
	Channels int        // output channels
	Bits     space.Bits // zero in floating point
}

// Layers returns the convolutions of the inference network of a in the order in which they run, for a picture of h x w pixels.
func Layers(net space.Network, a space.Arch, h, w int) []Layer {
	var layers []Layer
	for _, op := range net.Ops(a, h, w) {
		for _, c := range op.Convs() {
			l := unnamed(c)
			l.Name = op.Name + "." + c.Name
			layers = append(layers, l)
		}
	}
	return layers
}

func unnamed(c space.Conv) Layer {
	return Layer{MACs: c.MACs(), Weights: c.Weights(), Channels: c.OutC, Bits: c.Bits}
}

// BitOps returns the layer's bit operations: each multiply-add counts the product of the widths of its weight and of the activation that it
// reads. A layer in floating point counts nothing.
func (l Layer) BitOps() int64 { return l.MACs * int64(l.Bits.W) * int64(l.Bits.A) }

// Bytes returns what the layer takes when it is stored, with batch norm folded in. In floating point that is four bytes for each weight, and for the
// bias of each output channel. Quantised it is
//   - the weights, packed without gaps, to whole bytes for the layer;
//   - for each output channel a float32 scale (the steps of weights and activations, and batch norm) and a float32 bias;
//   - a float32 clip of the activations that the layer reads.
//
// Names, shapes and widths are not counted.
func (l Layer) Bytes() int64 {
	if l.Bits == (space.Bits{}) {
		return 4 * (l.Weights + int64(l.Channels))
	}
	return (l.Weights*int64(l.Bits.W)+7)/8 + 8*int64(l.Channels) + 4
}

// BitOps returns the bit operations of the inference network of a for a picture of h x w pixels; none if it is in floating point.
func BitOps(net space.Network, a space.Arch, h, w int) int64 { return sum(net, a, h, w, Layer.BitOps) }

// ModelBytes returns the bytes of the inference network of a, as Layer.Bytes counts them.
func ModelBytes(net space.Network, a space.Arch) int64 { return sum(net, a, 1, 1, Layer.Bytes) }

// sum adds up what the layers cost. A search asks for thousands of networks, so they go without their names.
func sum(net space.Network, a space.Arch, h, w int, cost func(Layer) int64) (sum int64) {
	for _, op := range net.Ops(a, h, w) {
		for _, c := range op.Convs() {
			sum += cost(unnamed(c))
		}
	}
	return sum
}
