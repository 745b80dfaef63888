package export

import (
	"math/rand/v2"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// The picture on which a random network takes its batch-norm statistics: small, but with enough pixels left at 1/32 of its size.
const randomHeight, randomWidth = 288, 384

// NewRandom builds a network that nobody trained, for comparisons with other runtimes: every weight is drawn (He et al. 2015), the batch
// norms' scales and shifts too, and the running statistics are those of a random picture. So all folded biases differ from zero, and
// activations are of the size that they have in a trained network, layer after layer: neither denormal nor overflowing, and with about
// half of the ReLUs at zero. A network with bit widths has its clips fitted to its weights and to that picture.
func NewRandom(ctx *gobind.Context, net space.Network, a space.Arch, rng *rand.Rand) (*supernet.Plain, error) {
	model, err := supernet.NewPlain(ctx, net, a, rng)
	if err != nil {
		return nil, err
	}
	if err := drawNorms(ctx, model, rng); err != nil {
		model.Close()
		return nil, err
	}
	return model, nil
}

func drawNorms(ctx *gobind.Context, model *supernet.Plain, rng *rand.Rand) error {
	tape, err := nn.NewTape(ctx)
	if err != nil {
		return err
	}
	defer tape.Close()
	draw := func(t gobind.Tensor, value func() float64) error {
		values := make([]float32, t.Elements())
		for i := range values {
			values[i] = float32(value())
		}
		return gobind.Upload(tape.Stream(), t, values)
	}
	for _, n := range model.Norms() {
		if err := draw(n.Gamma.Value, func() float64 { return 0.5 + rng.Float64() }); err != nil {
			return err
		}
		if err := draw(n.Beta.Value, func() float64 { return 0.3 * rng.NormFloat64() }); err != nil {
			return err
		}
	}
	picture := newPicture(1, randomHeight, randomWidth, rng)
	x, err := ctx.NewTensor(gobind.F32, picture.n, picture.h, picture.w, pictureChannels)
	if err != nil {
		return err
	}
	defer x.Buffer.Close()
	if err := gobind.Upload(tape.Stream(), x, picture.pixels); err != nil {
		return err
	}
	if err := supernet.FitWeights(model); err != nil {
		return err
	}
	modes := []nn.Mode{nn.Recalibrate(0)}
	if model.Arch().IsQuantised() {
		modes = append([]nn.Mode{nn.Calibrate(0)}, modes...)
	}
	for _, mode := range modes {
		tape.Reset()
		model.Forward(tape, tape.Input(x), model.Arch(), mode)
		if tape.Err() != nil {
			return tape.Err()
		}
	}
	return raiseVariances(tape.Stream(), model)
}

// leastVariance is the least running variance of a channel, as a share of its layer's mean. A channel that the picture happened not to stir
// would multiply by hundreds what others put in.
const leastVariance = 0.1

func raiseVariances(s *gobind.Stream, model *supernet.Plain) error {
	for _, n := range model.Norms() {
		variances := make([]float32, n.Variance.Elements())
		if err := gobind.Download(s, variances, n.Variance); err != nil {
			return err
		}
		var sum float32
		for _, v := range variances {
			sum += v
		}
		least := leastVariance * sum / float32(len(variances))
		for i, v := range variances {
			variances[i] = max(v, least)
		}
		if err := gobind.Upload(s, n.Variance, variances); err != nil {
			return err
		}
	}
	return s.Synchronize()
}
