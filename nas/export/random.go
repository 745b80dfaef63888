package export

import (
	"math/rand/v2"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// The picture on which a random network takes its batch-norm statistics: small, but with many pixels left at 1/32 of its size.
const randomHeight, randomWidth = 96, 128

// NewRandom builds a network that nobody trained, for comparisons with other runtimes: every weight is drawn (He et al. 2015), the batch
// norms' scales and shifts too, and the running statistics are those of a random picture. So all folded biases differ from zero, and
// activations are of the size that they have in a trained network, layer after layer: neither denormal nor overflowing, and with about
// half of the ReLUs at zero.
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
	picture, err := ctx.NewTensor(gobind.F32, 1, randomHeight, randomWidth, pictureChannels)
	if err != nil {
		return err
	}
	defer picture.Buffer.Close()
	if err := draw(picture, func() float64 { return 4*rng.Float64() - 2 }); err != nil { // the range of normalised pictures
		return err
	}
	model.Forward(tape, tape.Input(picture), model.Arch(), nn.Recalibrate(0))
	if tape.Err() != nil {
		return tape.Err()
	}
	return tape.Stream().Synchronize()
}
