package nn

import (
	"fmt"

	"github.com/segnas/segnas/gobind"
)

// mostLosses of one pass.
const mostLosses = 16

// losses holds the results of a pass, two float64 each: the loss and the sum of the pixels' weights; and the
// optimiser's sum of squares behind them.
type losses struct {
	results gobind.Tensor
	used    int
	read    [2]float64 // where a result is copied to
}

func (l *losses) open(ctx *gobind.Context) error {
	results, err := ctx.NewTensor(gobind.F64, 2*mostLosses+1)
	l.results = results
	return err
}

func (l *losses) close() { l.results.Buffer.Close() }

// Loss names a loss of the current pass.
type Loss struct{ index int }

// Target is what logits are compared with.
type Target struct {
	Labels       gobind.Tensor // U8 [N,H,W]
	Ignore       int           // label of pixels that take no part
	ClassWeights gobind.Tensor // F32 [classes]; the zero Tensor: all 1
}

// CrossEntropy compares logits [N,h,w,K], upsampled bilinearly to the labels' size, with a target. Where the logits were recorded, scale
// times the loss is what Backward takes the gradient of; scale is the loss's weight among others, over the passes that are accumulated.
func (t *Tape) CrossEntropy(logits Value, target Target, scale float32) Loss {
	l, values, gradient, block := t.lossOf(logits)
	if t.err != nil {
		return l
	}
	t.count(opCrossEntropy, t.clock(), t.stream.CrossEntropy(values, target.Labels, target.Ignore, target.ClassWeights, scale,
		t.losses.at(l), gradient))
	t.addLossGradient(logits, gradient, block)
	return l
}

// Distill compares logits [N,h,w,K] with a teacher's, F32 of the same shape, by the cross-entropy of their softmax, a mean over the N h w positions
// (in-place distillation: Yu & Huang 2019, section 3.3). scale as in CrossEntropy; the loss's weight (LossValue) is the number of positions.
func (t *Tape) Distill(logits Value, teacher gobind.Tensor, scale float32) Loss {
	l, values, gradient, block := t.lossOf(logits)
	if t.err != nil {
		return l
	}
	t.count(opDistillation, t.clock(), t.stream.Distillation(values, teacher, scale, t.losses.at(l), gradient))
	t.addLossGradient(logits, gradient, block)
	return l
}

// HardPixels returns the target with hard, U8 of its labels' shape, as its labels: those of the pixels whose loss is at least the smaller of loss and the
// least-th largest, and Ignore elsewhere (online hard example mining: Shrivastava et al. 2016; Wu et al. 2016, section 2.2). CrossEntropy of what it
// returns is the mean loss of the hard pixels. hard may be the labels themselves, which are then overwritten.
func (t *Tape) HardPixels(logits Value, target Target, loss float32, least int, hard gobind.Tensor) Target {
	if !t.read(logits, "hard pixels") {
		return target
	}
	values := t.plain(logits)
	if t.err != nil {
		return target
	}
	t.count(opHardPixels, t.clock(), t.stream.HardPixels(values, target.Labels, target.Ignore, loss, least, hard))
	target.Labels = hard
	return target
}

// lossOf takes a result for a loss, the logits' values, and memory for their gradient; noBlock: it is not wanted.
func (t *Tape) lossOf(logits Value) (l Loss, values, gradient gobind.Tensor, block int32) {
	if !t.read(logits, "loss") {
		return Loss{}, values, gradient, noBlock
	}
	if t.losses.used == mostLosses {
		t.fail(fmt.Errorf("more than %d losses in one pass", mostLosses))
		return Loss{}, values, gradient, noBlock
	}
	l, block = Loss{t.losses.used}, noBlock
	t.losses.used++
	if t.values[logits.index].wantsGrad {
		gradient, block = t.like(logits.tensor)
	}
	return l, t.plain(logits), gradient, block
}

func (t *Tape) addLossGradient(logits Value, gradient gobind.Tensor, block int32) {
	if block != noBlock {
		t.addGrad(logits.index, gradient, block)
	}
}

func (l *losses) at(loss Loss) gobind.Tensor { return l.results.Slice(0, 2*loss.index, 2*loss.index+2) }

// squares is where the optimiser's sum of squares goes.
func (l *losses) squares() gobind.Tensor { return l.results.Slice(0, 2*mostLosses, 2*mostLosses+1) }

// LossValue returns a loss of the current pass, unscaled, and the sum of the weights of the pixels that took part: the number of labelled
// pixels when all classes weigh 1. With none the loss is 0.
func (t *Tape) LossValue(l Loss) (mean, weight float64, err error) {
	if t.err != nil {
		return 0, 0, t.err
	}
	if l.index >= t.losses.used {
		return 0, 0, fmt.Errorf("the tape holds %d losses; number %d was of an earlier pass", t.losses.used, l.index)
	}
	if err := gobind.Download(t.stream, t.losses.read[:], t.losses.at(l)); err != nil {
		return 0, 0, err
	}
	return t.losses.read[0], t.losses.read[1], nil
}
