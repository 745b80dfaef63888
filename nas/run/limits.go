package run

import (
	"fmt"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// needs refuses limits that this machine cannot tell costs for, before anything is measured.
func (l Limits) needs(m *machine) error {
	if l.Energy > 0 && (m.card == nil || !m.identity.Card.Energy) {
		return misuse.Errorf("--limit-energy: %s has no energy counter that could be read; it takes an NVIDIA GPU, from Volta on, with libnvidia-ml", m.processor())
	}
	return nil
}

// limits returns what bounds the search: the latency always, by the table's predictions and less the margin; multiply-adds,
// parameters, the deployed network's memory and weights, and its energy where given; and the latency that was asked for, in milliseconds.
// A limit that no network can meet is misuse; the margin gives way before that.
func limits(c Config, net space.Network, m *machine, predictor *latency.Predictor) (list []search.Limit, asked float64, err error) {
	if asked, err = askedLatency(c, predictor); err != nil {
		return nil, 0, err
	}
	_, least, err := search.Cheapest(c.Space, predictor.Predict)
	if err != nil {
		return nil, 0, err
	}
	most := asked * (1 - c.Limits.Margin)
	if c.Pareto > 0 { // a front is one of predictions
		most = asked
	}
	if most < least {
		most = min(asked, least)
	}
	list = []search.Limit{{Name: latencyLimit, Unit: "ms", Max: most, Cost: predictor.Predict}}
	if c.Limits.MACs > 0 {
		list = append(list, search.Limit{Name: "macs", Unit: "MACs", Max: c.Limits.MACs, Cost: func(a space.Arch) (float64, error) {
			return float64(net.MACs(a, c.Height, c.Width)), nil
		}})
	}
	if c.Limits.Params > 0 {
		list = append(list, search.Limit{Name: "params", Unit: "parameters", Max: c.Limits.Params, Cost: func(a space.Arch) (float64, error) {
			return float64(net.Params(a)), nil
		}})
	}
	memory := memoryOf(c, net, m)
	if c.Limits.Memory > 0 {
		list = append(list, search.Limit{Name: "memory", Unit: "bytes", Max: c.Limits.Memory, Cost: func(a space.Arch) (float64, error) {
			b, err := memory(a)
			return float64(b[0]), err
		}})
	}
	if c.Limits.Weights > 0 {
		list = append(list, search.Limit{Name: "weights", Unit: "bytes", Max: c.Limits.Weights, Cost: func(a space.Arch) (float64, error) {
			b, err := memory(a)
			return float64(b[1]), err
		}})
	}
	if c.Limits.Energy > 0 {
		list = append(list, search.Limit{Name: "energy", Unit: "J", Max: c.Limits.Energy, Cost: predictor.PredictEnergy})
	}
	return list, asked, feasible(c.Space, list)
}

// askedLatency is the limit as it was given, in milliseconds.
func askedLatency(c Config, predictor *latency.Predictor) (float64, error) {
	if c.Limits.Latency > 0 {
		return c.Limits.Latency, nil
	}
	if c.Limits.Like == nil {
		base, err := predictor.Predict(space.Baseline())
		if c.Pareto > 0 {
			return base, err
		}
		return base / latencyShare, err
	}
	if !c.Space.Contains(*c.Limits.Like) {
		return 0, misuse.Errorf("--limit-like: %v is not in the space %v", *c.Limits.Like, c.Space)
	}
	return predictor.Predict(*c.Limits.Like)
}

// memoryOf returns a function that gives the bytes of an architecture's deployed activations and weights, planned once each.
func memoryOf(c Config, net space.Network, m *machine) func(space.Arch) ([2]int, error) {
	known := map[space.Arch][2]int{}
	return func(a space.Arch) ([2]int, error) {
		if b, ok := known[a]; ok {
			return b, nil
		}
		activations, weights, err := m.context.MeasureSession(supernet.Outline(net, a), 1, c.Height, c.Width, pictureChannels, m.session)
		known[a] = [2]int{activations, weights}
		return known[a], err
	}
}

// latencyLimit is the name of the latency among a network's costs.
const latencyLimit = "latency"

// feasible refuses, before hours of training, a limit that no network of the space can meet, and one that none of many draws meets
// together with the others is left for the search to refuse.
func feasible(sp space.Space, list []search.Limit) error {
	for _, l := range list {
		a, least, err := search.Cheapest(sp, l.Cost)
		if err != nil {
			return err
		}
		if least > l.Max {
			return misuse.Errorf("%w", &search.InfeasibleError{Limits: []search.Limit{l}, Nearest: a, Costs: map[string]float64{l.Name: least}})
		}
	}
	return nil
}

// limitsText names the limits in a line.
func limitsText(list []search.Limit) string {
	text := ""
	for i, l := range list {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s <= %.4g %s", l.Name, l.Max, l.Unit)
	}
	return text
}
