package run

import (
	"context"
	"slices"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// precisionFlag is the precision of deployed networks. Training is float32 always, but for --train-precision.
type precisionFlag struct {
	gobind.Precision
	floating bool // of networks in floating point alone
	given    bool
}

func (f *precisionFlag) Type() string { return "precision" }

func (f *precisionFlag) Set(text string) error {
	for _, p := range f.choices() {
		if text == p.String() {
			f.Precision, f.given = p, true
			return nil
		}
	}
	return misuse.Errorf("give one of %v", f.choices())
}

func (f *precisionFlag) choices() []gobind.Precision {
	return slices.DeleteFunc(gobind.Precisions(), func(p gobind.Precision) bool { return f.floating && p == gobind.Int8 })
}

const floatPrecisions = "f32, bf16 (values and weights rounded to bfloat16) where the device has it, f16 (to half precision) on GPUs"

// deployedFlags are machineFlags of a tool that deploys one network.
func deployedFlags(fs *pflag.FlagSet, o *machineOptions) {
	machineFlags(fs, o)
	fs.Var(&o.precision, "precision", "of the deployed network: "+floatPrecisions+"; int8, the default where it has bit widths, computes in integers")
}

// measuredFlags are machineFlags of a tool that measures many networks. Those with bit widths run in integers where the device can: machine.setup.
func measuredFlags(fs *pflag.FlagSet, o *machineOptions) {
	machineFlags(fs, o)
	o.precision.floating = true
	fs.Var(&o.precision, "precision", "of the networks as they are measured: "+floatPrecisions)
}

// deployment returns how a network is deployed: as --precision says, and in integers where it has bit widths, which sessions run in no other way.
func (m *machine) deployment(model supernet.Model) (gobind.SessionOptions, error) {
	o := m.session
	switch quantised := archIn(model).IsQuantised(); {
	case !quantised && o.Precision == gobind.Int8:
		return o, misuse.Errorf("--precision int8 is for networks with bit widths, and %s has none", networkName(model))
	case !quantised || o.Precision == gobind.Int8:
		return o, nil
	case m.precision.given && !m.precision.floating:
		return o, misuse.Errorf("--precision %v: %s has bit widths, and is deployed with --precision int8, which is the default for it", o.Precision, networkName(model))
	case !m.context.Runs(gobind.Int8):
		return o, misuse.Errorf("%s has bit widths, and %s has no sessions in integers (--precision int8); --device cpu has", networkName(model), m.processor())
	}
	o.Precision = gobind.Int8
	return o, nil
}

// deployedLabeller labels a batch's pictures with a deployed network.
type deployedLabeller struct {
	session *gobind.Session
	labels  []byte // of the last picture
}

func (p *pipeline) openDeployed(m supernet.Deployable) (l deployedLabeller, how gobind.SessionOptions, err error) {
	if how, err = p.machine.deployment(m); err != nil {
		return l, how, err
	}
	l.session, err = deploy(p.machine.context, m, 1, p.cfg.Height, p.cfg.Width, how)
	l.labels = make([]byte, p.cfg.Height*p.cfg.Width)
	return l, how, err
}

// each labels the pictures of a batch in turn, and counts their pixels; visit, where not nil, sees the labels of picture i.
func (l deployedLabeller) each(b *data.Batch, c *metrics.Confusion, visit func(i int)) error {
	for i := range b.N {
		if err := l.session.Run(b.X[i*len(l.labels)*pictureChannels:][:len(l.labels)*pictureChannels], l.labels, nil); err != nil {
			return err
		}
		if err := c.Add(b.Y[i*len(l.labels):][:len(l.labels)], l.labels, data.Ignore); err != nil {
			return err
		}
		if visit != nil {
			visit(i)
		}
	}
	return nil
}

// evaluateDeployed is Worker.Evaluate by a session.
func (p *pipeline) evaluateDeployed(ctx context.Context, m supernet.Deployable, feed train.Feed) (*metrics.Confusion, error) {
	l, _, err := p.openDeployed(m)
	if err != nil {
		return nil, err
	}
	defer l.session.Close()
	c := metrics.NewConfusion(m.Network().Classes)
	return c, feed.Each(ctx, func(b *data.Batch) error { return l.each(b, c, nil) })
}

// DeployedScore is how a deployed network compares with what training computes.
type DeployedScore struct {
	Precision string  `json:"precision"`
	MIoU      float64 `json:"miou"`
	Accuracy  float64 `json:"pixel_accuracy"`
	Equal     float64 `json:"equal_labels"` // the share of all pixels that both label alike
}

// compareDeployed is Worker.Evaluate, and the same by a session beside it.
func (p *pipeline) compareDeployed(ctx context.Context, m supernet.Deployable, feed train.Feed) (*metrics.Confusion, *DeployedScore, error) {
	l, how, err := p.openDeployed(m)
	if err != nil {
		return nil, nil, err
	}
	defer l.session.Close()
	trained, deployed := metrics.NewConfusion(m.Network().Classes), metrics.NewConfusion(m.Network().Classes)
	equal, all := 0, 0
	err = feed.Each(ctx, func(b *data.Batch) error {
		predicted, err := p.worker.Predict(m, archIn(m), b)
		if err != nil {
			return err
		}
		if err := trained.Add(b.Y, predicted, data.Ignore); err != nil {
			return err
		}
		all += len(predicted)
		return l.each(b, deployed, func(i int) {
			for j, label := range predicted[i*len(l.labels):][:len(l.labels)] {
				if label == l.labels[j] {
					equal++
				}
			}
		})
	})
	score := DeployedScore{Precision: how.Precision.String(), Accuracy: deployed.PixelAccuracy(), Equal: float64(equal) / float64(max(all, 1))}
	score.MIoU, _ = deployed.MeanIoU()
	return trained, &score, err
}
