package train

import (
	"context"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// Worker trains and evaluates models on one device, one after the other. Its memory is kept from one to the next. One goroutine
// uses it at a time. When a method returns, the device has done all that it was about.
type Worker struct {
	context   *gobind.Context
	tape      *nn.Tape
	pictures  *gobind.Buffer // of a batch, float32 N,H,W,3
	labels    *gobind.Buffer // of a batch, u8 N,H,W
	predicted *gobind.Buffer // likewise
	weights   *gobind.Buffer // of the classes, float32
	hard      *gobind.Buffer // labels of the pixels that are learned from, u8 N,H,W
	teacher   *gobind.Buffer // logits of a sandwich's largest network, float32 N,h,w,classes
	part      data.Batch     // of a batch, as it goes through a network
	lossScale float64        // of trainings
}

// halfLossScale is what losses are multiplied with where gradients are kept in half precision. A pixel's share of the loss, some 1e-4 of it, then lies
// in the middle of the type's range, 6e-5 to 65504; a gradient that overflows costs its step.
const halfLossScale = 1024

// Mixed returns how a training of that precision keeps activations and their gradients, and what it multiplies losses with.
func Mixed(p gobind.Precision) (activations gobind.DType, lossScale float64) {
	switch p {
	case gobind.Float16:
		return gobind.F16, halfLossScale
	case gobind.BFloat16:
		return gobind.BF16, 1
	}
	return gobind.F32, 1
}

// SetPrecision chooses how activations and their gradients are kept from now on; a new worker has gobind.Float32. The others are for GPUs.
func (w *Worker) SetPrecision(p gobind.Precision) {
	activations, scale := Mixed(p)
	w.tape.SetActivations(activations)
	w.lossScale = scale
}

// NewWorker returns a worker on the device of a context.
func NewWorker(context *gobind.Context) (*Worker, error) {
	tape, err := nn.NewTape(context)
	if err != nil {
		return nil, err
	}
	return &Worker{context: context, tape: tape, lossScale: 1}, nil
}

// Close releases the memory.
func (w *Worker) Close() {
	for _, b := range []*gobind.Buffer{w.pictures, w.labels, w.predicted, w.weights, w.hard, w.teacher} {
		if b != nil {
			b.Close()
		}
	}
	w.tape.Close()
}

// Context returns the device.
func (w *Worker) Context() *gobind.Context { return w.context }

// MemoryBytes returns the device memory held for activations and gradients.
func (w *Worker) MemoryBytes() int { return w.tape.MemoryBytes() }

// view returns a dense tensor in *buffer, which is replaced when it is too small.
func (w *Worker) view(buffer **gobind.Buffer, dtype gobind.DType, shape ...int) (gobind.Tensor, error) {
	t := gobind.NewTensor(nil, dtype, 0, shape...)
	need := t.Elements() * dtype.Bytes()
	if *buffer == nil || (*buffer).Bytes() < need {
		larger, err := w.context.NewBuffer(need)
		if err != nil {
			return gobind.Tensor{}, err
		}
		if *buffer != nil {
			(*buffer).Close()
		}
		*buffer = larger
	}
	t.Buffer = *buffer
	return t, nil
}

// upload copies a batch to the device.
func (w *Worker) upload(b *data.Batch) (pictures, labels gobind.Tensor, err error) {
	if pictures, err = w.view(&w.pictures, gobind.F32, b.N, b.H, b.W, 3); err != nil {
		return pictures, labels, err
	}
	if labels, err = w.view(&w.labels, gobind.U8, b.N, b.H, b.W); err != nil {
		return pictures, labels, err
	}
	if err = gobind.Upload(w.tape.Stream(), pictures, b.X); err == nil {
		err = gobind.Upload(w.tape.Stream(), labels, b.Y)
	}
	return pictures, labels, err
}

// forgetMomentum sets the momentum of all parameters to zero.
func (w *Worker) forgetMomentum(m supernet.Model) error {
	for _, p := range m.Params() {
		if err := w.tape.Stream().Fill(p.Momentum, 0); err != nil {
			return err
		}
	}
	return nil
}

// forward runs a model without recording and returns the logits, for use before the next call.
func (w *Worker) forward(m supernet.Model, a space.Arch, b *data.Batch, mode nn.Mode) (logits, labels gobind.Tensor, err error) {
	w.tape.Reset()
	pictures, labels, err := w.upload(b)
	if err != nil {
		return gobind.Tensor{}, gobind.Tensor{}, err
	}
	out := m.Forward(w.tape, w.tape.Input(pictures), a, mode)
	return w.tape.Activation(out.Logits), labels, w.tape.Err()
}

// Recalibrate computes a sub-network's running statistics anew, as their mean over the batches of a feed: those that a supernet's
// training leaves behind are of other widths and depths too.
func (w *Worker) Recalibrate(ctx context.Context, m supernet.Model, a space.Arch, feed Feed) error {
	return w.overBatches(ctx, m, a, feed, nn.Recalibrate)
}

// overBatches runs a model on the batches of a feed, each in the mode for its number.
func (w *Worker) overBatches(ctx context.Context, m supernet.Model, a space.Arch, feed Feed, mode func(batch int) nn.Mode) error {
	batch := 0
	err := feed.Each(ctx, func(b *data.Batch) error {
		_, _, err := w.forward(m, a, b, mode(batch))
		batch++
		return err
	})
	if err != nil {
		return err
	}
	return w.settle()
}

// settle waits until the device has done what the worker asked of it. Models are copied, saved and cut on streams of their own, and streams
// do not wait for one another.
func (w *Worker) settle() error { return w.tape.Stream().Synchronize() }

// Evaluate counts the pixels of a feed by true class and the class that a sub-network predicts with its running statistics.
func (w *Worker) Evaluate(ctx context.Context, m supernet.Model, a space.Arch, feed Feed) (*metrics.Confusion, error) {
	c := metrics.NewConfusion(m.Network().Classes)
	counts, err := w.context.NewTensor(gobind.I64, c.Classes, c.Classes)
	if err != nil {
		return nil, err
	}
	defer counts.Buffer.Close()
	err = feed.Each(ctx, func(b *data.Batch) error {
		labels, predicted, err := w.label(m, a, b)
		if err != nil {
			return err
		}
		return w.tape.Stream().Confusion(labels, predicted, data.Ignore, counts)
	})
	if err != nil {
		return nil, err
	}
	return c, gobind.Download(w.tape.Stream(), c.Counts, counts.Reshape(len(c.Counts)))
}

// label predicts a batch's labels.
func (w *Worker) label(m supernet.Model, a space.Arch, b *data.Batch) (labels, predicted gobind.Tensor, err error) {
	logits, labels, err := w.forward(m, a, b, nn.Infer)
	if err != nil {
		return labels, gobind.Tensor{}, err
	}
	if predicted, err = w.view(&w.predicted, gobind.U8, b.N, b.H, b.W); err != nil {
		return labels, predicted, err
	}
	return labels, predicted, w.tape.Stream().Argmax(logits, predicted)
}

// Predict returns the labels that a sub-network gives a batch's pixels, N,H,W.
func (w *Worker) Predict(m supernet.Model, a space.Arch, b *data.Batch) ([]byte, error) {
	_, predicted, err := w.label(m, a, b)
	if err != nil {
		return nil, err
	}
	labels := make([]byte, predicted.Elements())
	return labels, gobind.Download(w.tape.Stream(), labels, predicted)
}
