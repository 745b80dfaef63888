// Package nn trains and runs the project's networks on gobind: a tape with reverse-mode gradients, the layers of segmentation networks
// (convolution, batch norm and ReLU as one), a loss, and stochastic gradient descent that leaves unused parameters alone.
//
// # One training step
//
//	t.Reset()
//	logits := ... layers on t.Input(pictures), with mode Train ...
//	loss := t.CrossEntropy(logits, labels, nn.Loss...)
//	err := t.Backward()
//	norm, err := sgd.Step(t, learningRate)
//
// A step that repeats the shapes of an earlier one allocates nothing, neither on the device nor on the Go heap.
//
// # Errors
//
// The first failure of an operation is kept by the tape; later layers do nothing. Err and Backward return it, Reset forgets it.
//
// # Layouts
//
// Activations are N,H,W,C. Weights have their output channels last: dense 3x3 [9*Cin][Cout], depthwise [k*k][C], pointwise [Cin][Cout].
// Elastic layers use a prefix of the channels; the view that a step used gets gradient, momentum and weight decay, the rest nothing.
//
// A Tape and the layers run on it belong to one goroutine at a time.
package nn
