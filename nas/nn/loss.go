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
	if !t.read(logits, "loss") {
		return Loss{}
	}
	if t.losses.used == mostLosses {
		t.fail(fmt.Errorf("more than %d losses in one pass", mostLosses))
		return Loss{}
	}
	l := Loss{t.losses.used}
	t.losses.used++
	var gradient gobind.Tensor
	block := noBlock
	wantsGrad := t.values[logits.index].wantsGrad
	if wantsGrad {
		gradient, block = t.like(logits.tensor)
	}
	values := t.plain(logits)
	if t.err != nil {
		return l
	}
	t.count(opCrossEntropy, t.clock(), t.stream.CrossEntropy(values, target.Labels, target.Ignore, target.ClassWeights, scale,
		t.losses.at(l), gradient))
	if wantsGrad {
		t.addGrad(logits.index, gradient, block)
	}
	return l
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
