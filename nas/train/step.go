package train

import (
	"fmt"
	"math"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// step makes a step of a training on one batch and returns the loss: the mean over the step's networks, one as a rule. The gradients of several
// networks, and of the parts of a batch, are added up before the weights move.
func (w *Worker) step(t *Training, step int, b *data.Batch) (float64, error) {
	networks := t.Sample(step)
	size := t.MicroBatch
	if size == 0 {
		size = b.N
	}
	all := 0.0 // needed of parts alone
	if size < b.N {
		all = weighed(b, 0, b.N, t.ClassWeights)
	}
	loss := 0.0
	for from := 0; from < b.N; from += size {
		to := min(from+size, b.N)
		share := 1.0 // of the labelled pixels, by their classes' weights: so the sum is the whole batch's mean
		if size < b.N {
			share = weighed(b, from, to, t.ClassWeights) / max(all, 1)
		}
		v, err := w.accumulate(t, networks, w.slice(b, from, to), share/float64(len(networks)))
		if err != nil {
			w.tape.DiscardGradients()
			return 0, err
		}
		loss += v
	}
	phase, within := t.Schedule.At(step)
	sgd := nn.SGD{Momentum: float32(t.Optimiser.Momentum), WeightDecay: float32(t.Optimiser.WeightDecay), ClipNorm: t.Optimiser.Clip, LossScale: w.lossScale}
	_, err := sgd.Step(w.tape, float32(t.Schedule[phase].LearningRate(within)))
	return loss, err
}

// slice is pictures from to to of a batch, valid until the next call.
func (w *Worker) slice(b *data.Batch, from, to int) *data.Batch {
	pixels := b.H * b.W
	w.part.X, w.part.Y = b.X[3*pixels*from:3*pixels*to], b.Y[pixels*from:pixels*to]
	w.part.N, w.part.H, w.part.W, w.part.Step = to-from, b.H, b.W, b.Step
	return &w.part
}

// weighed adds up the labelled pixels of some of a batch's pictures, each by its class's weight.
func weighed(b *data.Batch, from, to int, classWeights []float32) float64 {
	pixels := b.H * b.W
	var counts [256]int
	for _, y := range b.Y[pixels*from : pixels*to] {
		counts[y]++
	}
	sum := 0.0
	for y, n := range counts[:data.Ignore] {
		switch {
		case classWeights == nil:
			sum += float64(n)
		case y < len(classWeights):
			sum += float64(n) * float64(classWeights[y])
		}
	}
	return sum
}

// accumulate adds the gradients of the networks' losses on a part of a batch, times scale, and returns the losses' sum, times scale.
func (w *Worker) accumulate(t *Training, networks []space.Arch, part *data.Batch, scale float64) (float64, error) {
	pictures, labels, err := w.upload(part)
	if err != nil {
		return 0, err
	}
	target := nn.Target{Labels: labels, Ignore: data.Ignore}
	if target.ClassWeights, err = w.classWeights(t.ClassWeights); err != nil {
		return 0, err
	}
	sum := 0.0
	for i, a := range networks {
		w.tape.Reset()
		out := t.Model.Forward(w.tape, w.tape.Input(pictures), a, nn.Train)
		distill := 0.0
		if len(networks) > 1 {
			if distill = t.Sandwich.Distill; distill > 0 && i == 0 {
				distill, err = 0, w.teach(out)
			}
		}
		if err != nil {
			return 0, err
		}
		loss, err := w.losses(t, out, target, part, distill, scale)
		if err != nil {
			return 0, err
		}
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			return 0, fmt.Errorf("the training has diverged: its loss is %g; --lr-factor 0.5 or --clip 1 may help", loss)
		}
		if err := w.tape.Backward(); err != nil {
			return 0, err
		}
		sum += loss * scale
	}
	return sum, nil
}

// losses records a network's losses and returns their sum: the cross-entropy of its answers with the labels and, with weight distill, with the
// teacher's answers; plus AuxWeight times each auxiliary head's cross-entropy (deep supervision, Lee et al. 2015). Scale times it is what Backward
// takes the gradient of.
func (w *Worker) losses(t *Training, out supernet.Outputs, target nn.Target, part *data.Batch, distill, scale float64) (float64, error) {
	sum := 0.0
	add := func(weight float64, record func(scale float32) nn.Loss) error {
		if weight == 0 {
			return nil
		}
		v, _, err := w.tape.LossValue(record(float32(weight * scale * w.lossScale)))
		sum += weight * v
		return err
	}
	main := target
	if t.HardPixels.Probability > 0 {
		hard, err := w.view(&w.hard, gobind.U8, part.N, part.H, part.W)
		if err != nil {
			return 0, err
		}
		labelled := int(weighed(part, 0, part.N, nil))
		main = w.tape.HardPixels(out.Logits, target, t.HardPixels.loss(), t.HardPixels.least(labelled), hard)
	}
	if err := add(1-distill, func(s float32) nn.Loss { return w.tape.CrossEntropy(out.Logits, main, s) }); err != nil {
		return 0, err
	}
	if err := add(distill, func(s float32) nn.Loss { return w.tape.Distill(out.Logits, w.teacherLogits(out), s) }); err != nil {
		return 0, err
	}
	for _, logits := range out.Aux {
		if err := add(t.Optimiser.AuxWeight, func(s float32) nn.Loss { return w.tape.CrossEntropy(logits, target, s) }); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// teach keeps a network's logits for those that learn from them.
func (w *Worker) teach(out supernet.Outputs) error {
	logits := w.tape.Activation(out.Logits)
	if err := w.tape.Err(); err != nil {
		return err
	}
	kept, err := w.view(&w.teacher, gobind.F32, logits.Shape[:logits.Rank]...)
	if err != nil {
		return err
	}
	return w.tape.Stream().Copy(logits, kept)
}

// teacherLogits is what teach kept of the same pictures.
func (w *Worker) teacherLogits(out supernet.Outputs) gobind.Tensor {
	logits := w.tape.Activation(out.Logits)
	return gobind.NewTensor(w.teacher, gobind.F32, 0, logits.Shape[:logits.Rank]...)
}

// classWeights returns the weights on the device; the zero Tensor for none.
func (w *Worker) classWeights(weights []float32) (gobind.Tensor, error) {
	if weights == nil {
		return gobind.Tensor{}, nil
	}
	t, err := w.view(&w.weights, gobind.F32, len(weights))
	if err != nil {
		return t, err
	}
	return t, gobind.Upload(w.tape.Stream(), t, weights)
}
