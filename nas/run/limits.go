package run

import (
	"fmt"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// limits returns what bounds the search: the latency always, by the table's predictions and less the margin, multiply-adds and
// parameters where given; and the latency that was asked for, in milliseconds. A limit that no network can meet is misuse; the
// margin gives way before that.
func limits(c Config, net space.Network, predictor *latency.Predictor) (list []search.Limit, asked float64, err error) {
	asked = c.Limits.Latency
	if asked == 0 {
		base, err := predictor.Predict(space.Baseline())
		if err != nil {
			return nil, 0, err
		}
		asked = base / latencyShare
	}
	_, least, err := search.Cheapest(c.Space, predictor.Predict)
	if err != nil {
		return nil, 0, err
	}
	most := asked * (1 - c.Limits.Margin)
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
	return list, asked, feasible(c.Space, list)
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
