package run

import (
	"fmt"
	"io"

	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// Front is what a search over a range of latencies found: the networks that no other beats, from the fastest on.
type Front struct {
	LeastMS     float64        `json:"least_ms"` // the range; no network of the space is faster
	MostMS      float64        `json:"most_ms"`
	LimitsMS    []float64      `json:"limits_ms"`   // at which the search looked
	Hypervolume float64        `json:"hypervolume"` // see search.Hypervolume
	Networks    []FrontNetwork `json:"networks"`
}

// FrontNetwork is a network of a front.
type FrontNetwork struct {
	Arch        space.Arch `json:"arch"`
	PredictedMS float64    `json:"predicted_ms"`
	MIoU        float64    `json:"search_miou"` // with the supernet's weights, on the search's validation split
	MACs        int64      `json:"macs"`
	Params      int64      `json:"params"`
}

// overFront turns a search within one latency into one over the range from the least of the space to that limit. It begins with the fastest
// network, too.
func (p *pipeline) overFront(cfg *search.Config) error {
	if p.cfg.Pareto == 0 {
		return nil
	}
	a, least, err := search.Cheapest(p.cfg.Space, p.predictor.Predict)
	if err != nil {
		return err
	}
	cfg.Front = search.FrontLimits(least, p.limits[0].Max, p.cfg.Pareto)
	cfg.Given = append(cfg.Given, a)
	cfg.Spend = 0 // its networks are of all latencies
	return nil
}

func predictedMS(e search.Evaluation) float64 { return e.Costs[latencyLimit] }

// front gathers a search's front; nil of a search within one latency.
func (p *pipeline) front(found *search.Result) (*Front, error) {
	var cfg search.Config
	if err := p.overFront(&cfg); err != nil || cfg.Front == nil {
		return nil, err
	}
	_, least, err := search.Cheapest(p.cfg.Space, p.predictor.Predict)
	if err != nil {
		return nil, err
	}
	f := &Front{LeastMS: least, MostMS: p.limits[0].Max, LimitsMS: cfg.Front}
	f.Hypervolume = search.Hypervolume(found.All, predictedMS, f.LeastMS, f.MostMS)
	for _, e := range search.Pareto(found.All, predictedMS) {
		f.Networks = append(f.Networks, FrontNetwork{
			Arch: e.Arch, PredictedMS: predictedMS(e), MIoU: e.MIoU,
			MACs: p.net.MACs(e.Arch, p.cfg.Height, p.cfg.Width), Params: p.net.Params(e.Arch),
		})
	}
	return f, nil
}

// print writes the front for people.
func (f *Front) print(w io.Writer) error {
	if f == nil {
		return nil
	}
	fmt.Fprintf(w, "\nfront of %d networks from %.4g to %.4g ms, by the supernet's scores; hypervolume %.4f\n\n", len(f.Networks), f.LeastMS, f.MostMS, f.Hypervolume)
	var rows []report.Row
	for i, n := range f.Networks {
		rows = append(rows, report.Row{
			Name: fmt.Sprint(i + 1), Arch: n.Arch.String(), MIoU: n.MIoU, MACs: n.MACs, Params: n.Params, PredictedMS: n.PredictedMS,
		})
	}
	return report.WriteTable(w, rows)
}

// notes say what the front is, and how to finish a network of it.
func (f *Front) notes(folder string) []string {
	if f == nil {
		return nil
	}
	return []string{fmt.Sprintf("The search looked for a front at %d latencies from %.4g to %.4g ms; its hypervolume, the mean over that range of the best mIoU within it, is %.4f. "+
		"%s --from %s --limit-ms MS --out FOLDER finishes the best network at any of them.", len(f.LimitsMS), f.LeastMS, f.MostMS, f.Hypervolume, command("search"), folder)}
}

// predictorNotes say how well the regression ranked held-out networks, and where it was used.
func predictorNotes(found *search.Result) (notes []string) {
	for i, g := range found.Generations {
		if g.Predictor != nil {
			notes = append(notes, fmt.Sprintf("Predictor of accuracy before generation %d: %v.", i+1, *g.Predictor))
		}
	}
	return notes
}
