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
