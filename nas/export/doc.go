// Package export writes deployed networks as ONNX models, for runtimes other than libsegnas.
//
// # What a file holds
//
// Opset 13, IR version 8, float32, fixed sizes. The input is picture, float32 [N,3,H,W]: red, green and blue as (value/255 - 0.5) / 0.25,
// which the metadata repeats. The output is one of
//
//	labels  uint8 [N,H,W]               the class of every pixel
//	logits  float32 [N,classes,h,w]     at 1/8 of the picture's height and width, rounded up
//
// Batch norm is folded, so six kinds of node suffice for the network: Conv, Relu, Add and Resize, and ArgMax and Cast for labels. Nodes are
// named by their place, such as stage1.block2.expand, and the tensor that a node makes has the node's name, but for the output. Constants
// are NAME.weight, NAME.bias and NAME.sizes.
//
// # Networks in integers
//
// A network with bit widths is written in the way that runtimes know as QDQ: its numbers are float32, but QuantizeLinear and DequantizeLinear stand
// before each convolution in integers, with the network's own clips, and a runtime may compute what lies between them in integers.
//
//	NAME.weight.levels  int8: the multiples of a step for each output channel, NAME.weight.scale, which batch norm is folded into
//	NAME.input.bytes    uint8: what NAME reads, in multiples of one step, NAME.input.scale, plus 0 behind a ReLU and 128 elsewhere
//
// What fewer than 8 bits do not have, and the byte of -128 steps, which no range has, is cut off by a Clip of bytes, NAME.input.range. Biases are float32. A
// shortcut adds what its block's first convolution reads, and the context branch is upsampled to its nearest neighbours: Resize with half_pixel coordinates
// and round_prefer_ceil. testdata/run_onnx.py compares a file in ONNX Runtime with tools/segment. There, on x86-64 without VNNI, the session option
// session.x64quantprecision should be 1: else sums of products of bytes saturate in 16 bits.
//
// # Layouts
//
// libsegnas keeps N,H,W,C, ONNX wants N,C,H,W, so weights are laid out anew:
//
//	pointwise   [Cin][Cout]    -> [Cout,Cin,1,1]
//	dense 3x3   [9*Cin][Cout]  -> [Cout,Cin,3,3]
//	depthwise   [k*k][C]       -> [C,1,k,k], group C
//
// Convolutions pad k/2 on every side. Resize is linear with half_pixel coordinates and the target's sizes, never scales: sizes are exact
// where 1/8 of the picture is rounded up. ArgMax takes the first of equals, as libsegnas does.
//
// # Verification
//
// Verify trusts nothing of the above: a decoder that refuses what it does not know, and an interpreter of ONNX's definitions in double
// precision with nothing of libsegnas in it, compute the file's answer to a random picture, and the library's session must agree. In integers
// they are compared byte by byte, one value after another.
//
// # Encoding
//
// An ONNX file is one protobuf message. protowire writes its fields; the field numbers that are used stand in encode.go. Generated
// code for onnx.proto would bring the whole format, of which networks here use a small part, and a registry of types with it.
package export
