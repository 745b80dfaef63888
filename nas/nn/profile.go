package nn

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// op is a kind of operation, as a profile tells them apart.
type op int

const (
	opConv3x3 op = iota
	opConv3x3Input
	opConv3x3Weight
	opDWConv
	opDWConvBackward
	opPWConv
	opPWConvBackward
	opPWConvBias
	opKTransform
	opKTransformBackward
	opBatchNorm
	opBatchNormApply
	opBatchNormSums
	opBatchNormBackward
	opAdd
	opUpsampleAdd
	opUpsample
	opUpsampleBackward
	opAvgPool
	opAvgPoolBackward
	opReLU
	opCopy
	opCrossEntropy
	opDistillation
	opHardPixels
	opSumSquares
	opSGD
	opFakeQuant
	opFakeQuantBackward
	opCount
)

var opNames = [opCount]string{
	"conv3x3", "conv3x3 backward input", "conv3x3 backward weight",
	"dwconv", "dwconv backward",
	"pwconv", "pwconv backward", "pwconv backward bias",
	"ktransform", "ktransform backward",
	"batchnorm", "batchnorm apply", "batchnorm sums", "batchnorm backward",
	"add", "upsample add", "upsample", "upsample backward", "average pool", "average pool backward", "relu", "copy",
	"cross-entropy", "distillation", "hard pixels", "sum of squares", "sgd",
	"fake-quant", "fake-quant backward",
}

// Profile accumulates the time that a tape spends in each kind of operation. Profiling waits for the device after every operation.
type Profile struct {
	calls [opCount]int64
	time  [opCount]time.Duration
}

// SetProfile starts to count into p; nil stops.
func (t *Tape) SetProfile(p *Profile) { t.profile = p }

func (p *Profile) add(o op, d time.Duration) {
	p.calls[o]++
	p.time[o] += d
}

// Total returns the time of all operations.
func (p *Profile) Total() time.Duration {
	var sum time.Duration
	for _, d := range p.time {
		sum += d
	}
	return sum
}

// Table returns a line per kind of operation, the slowest first: time and calls per step, and share of the total.
func (p *Profile) Table(steps int) string {
	order := make([]op, 0, opCount)
	for o := range opCount {
		if p.calls[o] > 0 {
			order = append(order, o)
		}
	}
	slices.SortStableFunc(order, func(a, b op) int { return int(p.time[b] - p.time[a]) })
	var text strings.Builder
	total := p.Total()
	for _, o := range order {
		ms := p.time[o].Seconds() * 1e3 / float64(steps)
		fmt.Fprintf(&text, "%-26s %8.2f ms %5.1f %% %6.1f calls\n", opNames[o], ms, 100*float64(p.time[o])/float64(total), float64(p.calls[o])/float64(steps))
	}
	return text.String()
}
