package run

import (
	"fmt"
	"math"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/quant"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// validate refuses limits that say nothing about the networks of a space.
func (l Limits) validate(sp space.Space) error {
	if !(l.Margin >= 0 && l.Margin < 1) {
		return misuse.Errorf("a latency margin of %g; give a share from 0 to less than 1", l.Margin)
	}
	for _, limit := range []float64{l.Latency, l.MACs, l.Params, l.BitOps, l.Bytes, l.Memory, l.Weights, l.Energy} {
		if !(limit >= 0) || math.IsInf(limit, 0) {
			return misuse.Errorf("a limit of %g; give a number above 0, or 0 for none", limit)
		}
	}
	if l.Like != nil && l.Latency > 0 {
		return misuse.Errorf("the latency is limited to %g ms and to that of %v; give one of the two", l.Latency, l.Like)
	}
	if l.BitOps > 0 && !sp.IsQuantised() {
		return misuse.Errorf("--limit-bitops: the networks of the space %v have no bit widths, and so no bit operations; --limit-macs limits their multiply-adds", sp)
	}
	return nil
}

// needs refuses limits that this machine cannot tell costs for, before anything is measured.
func (l Limits) needs(m *machine) error {
	if l.Energy > 0 && (m.card == nil || !m.identity.Card.Energy) {
		return misuse.Errorf("--limit-energy: %s has no energy counter that could be read; it takes an NVIDIA GPU, from Volta on, with libnvidia-ml", m.processor())
	}
	return nil
}

// limits returns what bounds the search: the latency always, by the table's predictions and less the margin; multiply-adds,
// parameters, bit operations, bytes, the deployed network's memory and weights, and its energy where given; and the latency that was asked for, in milliseconds.
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
	list = append([]search.Limit{{Name: latencyLimit, Unit: "ms", Max: most, Cost: predictor.Predict}}, countedLimits(c, net)...)
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

// countedLimits returns the limits on what is counted, on any machine alike.
func countedLimits(c Config, net space.Network) (list []search.Limit) {
	for _, l := range []struct {
		name, unit string
		most       float64
		count      func(space.Arch) int64
	}{
		{"macs", "MACs", c.Limits.MACs, func(a space.Arch) int64 { return net.MACs(a, c.Height, c.Width) }},
		{"params", "parameters", c.Limits.Params, net.Params},
		{"bitops", "bit operations", c.Limits.BitOps, func(a space.Arch) int64 { return quant.BitOps(net, a, c.Height, c.Width) }},
		{"model", "bytes", c.Limits.Bytes, func(a space.Arch) int64 { return quant.ModelBytes(net, a) }},
	} {
		if l.most > 0 {
			cost := func(a space.Arch) (float64, error) { return float64(l.count(a)), nil }
			list = append(list, search.Limit{Name: l.name, Unit: l.unit, Max: l.most, Cost: cost})
		}
	}
	return list
}

// askedLatency is the limit as it was given, in milliseconds.
func askedLatency(c Config, predictor *latency.Predictor) (float64, error) {
	if c.Limits.Latency > 0 {
		return c.Limits.Latency, nil
	}
	if c.Limits.Like == nil {
		base, err := predictor.Predict(c.Space.Widest(space.Baseline()))
		if c.Pareto > 0 {
			return base, err
		}
		return base / latencyShare, err
	}
	if !c.Space.Float().Contains(c.Limits.Like.Float()) {
		return 0, misuse.Errorf("--limit-like: %v is not in the space %v", *c.Limits.Like, c.Space)
	}
	like := *c.Limits.Like
	if !like.IsQuantised() {
		like = c.Space.Widest(like)
	}
	return predictor.Predict(like)
}

// memoryOf returns a function that gives the bytes of an architecture's deployed activations and weights, in integers where the machine runs bit widths so, planned
// once each.
func memoryOf(c Config, net space.Network, m *machine) func(space.Arch) ([2]int, error) {
	known := map[space.Arch][2]int{}
	return func(a space.Arch) ([2]int, error) {
		how := m.session
		if m.tablePrecision(c.Space) != gobind.Int8 {
			a = a.Float()
		} else if a.IsQuantised() {
			how.Precision = gobind.Int8
		}
		if b, ok := known[a]; ok {
			return b, nil
		}
		activations, weights, err := m.context.MeasureSession(supernet.Outline(net, a), 1, c.Height, c.Width, pictureChannels, how)
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
