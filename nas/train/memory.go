package train

import (
	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

const (
	// estimateSide is the least side of the picture on which memory is estimated, and what its sides are multiples of: all strides divide it.
	estimateSide = 96
	// bytesPerPixel are a picture's float32 channels, its labels, and the labels that are predicted or hard.
	bytesPerPixel = 3*4 + 3
)

// StepBytes estimates the device memory in bytes that a training step takes at its peak for activations and gradients, with that many pictures of
// height x width in the network at a time: what one small picture takes, times the pixels. Nothing is trained, and the model stays as it was; its
// weights and momentum are not counted.
func StepBytes(context *gobind.Context, m supernet.Model, a space.Arch, activations gobind.DType, batch, height, width int) (int, error) {
	tape, err := nn.NewTape(context)
	if err != nil {
		return 0, err
	}
	defer tape.Close()
	tape.SetActivations(activations)
	h, w := estimateSize(height), estimateSize(width)
	pictures, err := context.NewTensor(gobind.F32, 1, h, w, 3)
	if err != nil {
		return 0, err
	}
	defer pictures.Buffer.Close()
	labels, err := context.NewTensor(gobind.U8, 1, h, w)
	if err != nil {
		return 0, err
	}
	defer labels.Buffer.Close()
	for _, t := range []gobind.Tensor{pictures, labels.Reshape(h * w)} {
		if t.DType == gobind.U8 {
			err = gobind.Upload(tape.Stream(), t, make([]uint8, h*w))
		} else {
			err = tape.Stream().Fill(t, 0)
		}
		if err != nil {
			return 0, err
		}
	}
	out := m.Forward(tape, tape.Input(pictures), a, nn.TrainFrozen)
	target := nn.Target{Labels: labels, Ignore: data.Ignore}
	for _, logits := range append([]nn.Value{out.Logits}, out.Aux...) {
		tape.CrossEntropy(logits, target, 1)
	}
	err = tape.Backward()
	tape.DiscardGradients()
	perPixel := float64(tape.PeakBytes())/float64(h*w) + bytesPerPixel
	return int(perPixel * float64(batch) * float64(height) * float64(width)), err
}

// estimateSize is a side of the small picture: a multiple of estimateSide, and not larger than the side itself where that can be.
func estimateSize(side int) int {
	return max(estimateSide, min(side, 4*estimateSide)/estimateSide*estimateSide)
}
