package main

import (
	"fmt"
	"math/rand/v2"
	"os"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/nn"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// What every side trains with.
const (
	learningRate = 0.01
	ignored      = 255
)

func newModel(ctx *gobind.Context, q *request) (*supernet.Plain, error) {
	arch, err := space.Parse(q.Arch)
	if err != nil {
		return nil, err
	}
	return supernet.NewPlain(ctx, space.DefaultNetwork(q.Classes), arch, rand.New(rand.NewPCG(q.Seed, weightStream)))
}

// parameters writes what training begins with, all values one after another, for the peers; the reply says what they are.
func parameters(q *request) (reply, error) {
	ctx, err := gobind.NewContext(gobind.Options{})
	if err != nil {
		return nil, err
	}
	defer ctx.Close()
	model, err := newModel(ctx, q)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	stream, err := ctx.NewStream()
	if err != nil {
		return nil, err
	}
	defer stream.Close()
	var values []float32
	var list []reply
	for _, p := range model.Params() {
		begin := len(values)
		values = append(values, make([]float32, p.Value.Elements())...)
		if err := gobind.Download(stream, values[begin:], p.Value); err != nil {
			return nil, err
		}
		list = append(list, reply{"name": p.Name, "shape": p.Value.Shape[:p.Value.Rank], "decay": p.Decay})
	}
	o := train.DefaultOptimiser()
	return reply{
		"parameters": list, "learning_rate": learningRate, "momentum": o.Momentum, "weight_decay": o.WeightDecay, "aux_weight": o.AuxWeight,
		"strides": space.DefaultNetwork(q.Classes).Strides,
	}, writeFloats(q.Path, values)
}

// training is a model with a batch that it takes one step on, again and again.
type training struct {
	tape      *nn.Tape
	model     *supernet.Plain
	pictures  gobind.Tensor
	target    nn.Target
	optimiser train.Optimiser
	scale     float64 // of the losses
	steps     int
	losses    []float32 // of the first steps: main, after the stem, after the fuse
}

// lossesKept is from how many steps the losses are kept, as the answer.
const lossesKept = 2

func openTraining(ctx *gobind.Context, q *request, s *server) (work, error) {
	w := &training{optimiser: train.DefaultOptimiser()}
	pictures, err := readFloats(q.Picture, q.Batch*q.Height*q.Width*3)
	if err != nil {
		return nil, err
	}
	labels, err := os.ReadFile(q.Labels)
	if err != nil {
		return nil, err
	}
	if w.pictures, err = ctx.NewTensor(gobind.F32, q.Batch, q.Height, q.Width, 3); err != nil {
		return nil, err
	}
	if w.target.Labels, err = ctx.NewTensor(gobind.U8, q.Batch, q.Height, q.Width); err != nil {
		return nil, err
	}
	w.target.Ignore = ignored
	if len(labels) != w.target.Labels.Elements() {
		return nil, fmt.Errorf("%s has %d labels, should have %d", q.Labels, len(labels), w.target.Labels.Elements())
	}
	if w.tape, err = nn.NewTape(ctx); err != nil {
		return nil, err
	}
	activations, scale := train.Mixed(lower[q.Precision])
	w.tape.SetActivations(activations)
	w.scale = scale
	if err := gobind.Upload(w.tape.Stream(), w.pictures, pictures); err != nil {
		return nil, err
	}
	if err := gobind.Upload(w.tape.Stream(), w.target.Labels, labels); err != nil {
		return nil, err
	}
	pictures = nil
	s.settle()
	w.model, err = newModel(ctx, q)
	return w, err
}

func (w *training) run() error {
	w.tape.Reset()
	out := w.model.Forward(w.tape, w.tape.Input(w.pictures), w.model.Arch(), nn.Train)
	losses := []nn.Loss{w.tape.CrossEntropy(out.Logits, w.target, float32(w.scale))}
	for _, aux := range out.Aux {
		losses = append(losses, w.tape.CrossEntropy(aux, w.target, float32(w.optimiser.AuxWeight*w.scale)))
	}
	if err := w.tape.Backward(); err != nil {
		return err
	}
	if w.steps < lossesKept {
		for _, l := range losses {
			mean, _, err := w.tape.LossValue(l)
			if err != nil {
				return err
			}
			w.losses = append(w.losses, float32(mean))
		}
	}
	w.steps++
	sgd := nn.SGD{Momentum: float32(w.optimiser.Momentum), WeightDecay: float32(w.optimiser.WeightDecay), LossScale: w.scale}
	if _, err := sgd.Step(w.tape, learningRate); err != nil {
		return err
	}
	return w.tape.Stream().Synchronize()
}

func (w *training) answer(path string) (reply, error) {
	return reply{"type": "float32", "shape": []int{lossesKept, len(w.losses) / lossesKept}}, writeFloats(path, w.losses)
}
