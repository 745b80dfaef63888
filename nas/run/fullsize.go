package run

import (
	"context"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/supernet"
)

// fullSizeAhead is how many pictures are read ahead of the network.
const fullSizeAhead = 4

// fullSizeLabeller labels pictures at their own size with a deployed network of one input size. The picture is stretched to that size, and the
// network's logits, which are far smaller, are enlarged bilinearly straight to the picture's size before the best class is taken: the same
// operation that ends every deployed network, with another target. Enlarging the label map instead would round twice, and leave edges as steps of
// whole pixels of the input.
type fullSizeLabeller struct {
	session *gobind.Session // without the labels layer: input [1,h,w,3], output logits
	context *gobind.Context
	stream  *gobind.Stream
	stretch *data.Augmenter
	input   []float32
	ignored []byte // the stretched labels, which nobody wants
	values  []float32
	logits  gobind.Tensor // values, on the device
	labels  gobind.Tensor // [1,H,W] of the last picture
}

func openFullSize(m *machine, model supernet.Deployable, h, w int) (*fullSizeLabeller, error) {
	how, err := m.deployment(model)
	if err != nil {
		return nil, err
	}
	layers, err := model.Layers()
	if err != nil {
		return nil, err
	}
	l := &fullSizeLabeller{
		context: m.context, stream: m.stream, stretch: data.NewAugmenter(nil, h, w), input: make([]float32, h*w*pictureChannels), ignored: make([]byte, h*w),
	}
	if l.session, err = m.context.NewSession(layers[:len(layers)-1], 1, h, w, pictureChannels, how); err != nil {
		return nil, err
	}
	height, width := model.LogitsSize(h, w)
	if l.logits, err = m.context.NewTensor(gobind.F32, 1, height, width, model.Network().Classes); err != nil {
		l.session.Close()
		return nil, err
	}
	l.values = make([]float32, l.logits.Elements())
	return l, nil
}

func (l *fullSizeLabeller) close() {
	l.session.Close()
	l.logits.Buffer.Close()
	if l.labels.Buffer != nil {
		l.labels.Buffer.Close()
	}
}

// label returns the class of each pixel of a sample's picture, H*W of them.
func (l *fullSizeLabeller) label(s *data.Sample) ([]byte, error) {
	l.stretch.Fixed(s, l.input, l.ignored)
	if err := l.session.RunFloat32(l.input, l.values, nil); err != nil {
		return nil, err
	}
	labels := make([]byte, s.H*s.W)
	if l.labels.Buffer == nil || l.labels.Elements() != len(labels) {
		if l.labels.Buffer != nil {
			l.labels.Buffer.Close()
			l.labels = gobind.Tensor{}
		}
		var err error
		if l.labels, err = l.context.NewTensor(gobind.U8, 1, s.H, s.W); err != nil {
			return nil, err
		}
	}
	target := l.labels.Reshape(1, s.H, s.W)
	if err := gobind.Upload(l.stream, l.logits, l.values); err != nil {
		return nil, err
	}
	if err := l.stream.Argmax(l.logits, target); err != nil {
		return nil, err
	}
	return labels, gobind.Download(l.stream, labels, target.Reshape(len(labels)))
}

// labelEach labels every sample of a data set at its own size, in order, until visit fails.
func (p *pipeline) labelEach(ctx context.Context, model supernet.Deployable, ds data.Dataset, visit func(i int, s *data.Sample, labels []byte) error) error {
	l, err := openFullSize(p.machine, model, p.cfg.Height, p.cfg.Width)
	if err != nil {
		return err
	}
	defer l.close()
	return data.Each(ctx, ds, fullSizeAhead, func(i int, s *data.Sample) error {
		labels, err := l.label(s)
		if err != nil {
			return err
		}
		return visit(i, s, labels)
	})
}

// evaluateFullSize counts pixels at the label pictures' own size.
func (p *pipeline) evaluateFullSize(ctx context.Context, model supernet.Deployable, ds data.Dataset) (*metrics.Confusion, error) {
	c := metrics.NewConfusion(model.Network().Classes)
	bar := NewProgress(p.streams.Err, "evaluate", "pictures", 0, ds.Len())
	err := p.labelEach(ctx, model, ds, func(i int, s *data.Sample, labels []byte) error {
		bar.Set(i+1, "")
		return c.Add(s.Label, labels, data.Ignore)
	})
	if err == nil {
		bar.Finish("")
	}
	return c, err
}
