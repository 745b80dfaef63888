package latency

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// Predictor predicts latencies from a table as it was when the predictor was made. It is safe for concurrent use.
type Predictor struct {
	setup    Setup
	path     string
	canary   time.Duration
	ns       map[string]float64 // by key, at the canary's level
	whole    float64            // intercepts in nanoseconds
	searched float64
	energy   energyModel
}

// Predictor makes a predictor. Entries of different passes are brought to the quietest pass's canary level. The intercept of the
// whole network, and that of the searched part, are the medians of measured less summed times over the networks that filled the
// table: they hold what is no operation's, and what sums of medians lack against the median of sums.
func (t *Table) Predictor() (*Predictor, error) {
	p := &Predictor{setup: t.setup, path: t.path, ns: map[string]float64{}}
	for _, n := range t.networks {
		if t.fresh(n.Origin) && (p.canary == 0 || n.Canary < p.canary) {
			p.canary = n.Canary
		}
	}
	if p.canary == 0 {
		return nil, misuse.Errorf("latency table %s holds no whole network measured with library %s; run profile to measure them",
			t.path, t.setup.Identity.Library)
	}
	for key, e := range t.entries {
		if t.fresh(e.Origin) {
			p.ns[key] = p.level(e.Stats, e.Origin)
		}
	}
	p.fitEnergy(t)
	return p, p.fit(t)
}

// level is a median in nanoseconds at the predictor's canary level.
func (p *Predictor) level(s Stats, o Origin) float64 {
	return float64(s.Median) * float64(p.canary) / float64(o.Canary)
}

func (p *Predictor) fit(t *Table) error {
	archs := slices.SortedFunc(maps.Keys(t.networks), func(x, y space.Arch) int { return strings.Compare(x.String(), y.String()) })
	var whole, searched []float64
	for _, a := range archs {
		n := t.networks[a]
		if !t.fresh(n.Origin) {
			continue
		}
		all, blocks, err := p.sum(a)
		if err != nil {
			return err
		}
		whole = append(whole, p.level(n.Total, n.Origin)-all)
		searched = append(searched, p.level(n.Searched, n.Origin)-blocks)
	}
	p.whole, p.searched = metrics.Median(whole), metrics.Median(searched)
	return nil
}

// sum adds up the operations of a network, and of its searched blocks, in nanoseconds.
func (p *Predictor) sum(a space.Arch) (all, searched float64, err error) {
	for _, op := range p.setup.ops(a) {
		ns, found := p.ns[op.Key()]
		if !found {
			return 0, 0, misuse.Errorf("latency table %s has no entry %q, which network %s needs; run profile to measure it", p.path, op.Key(), a)
		}
		all += ns
		if op.Kind == space.MBConv {
			searched += ns
		}
	}
	return all, searched, nil
}

// Predict returns the latency of a batch in milliseconds, in integers or in floating point as the setup says. An operation that the table lacks is misuse.
func (p *Predictor) Predict(a space.Arch) (ms float64, err error) {
	all, _, err := p.sum(a)
	return (all + p.whole) / 1e6, err
}

// PredictSearched is Predict for the searched blocks alone.
func (p *Predictor) PredictSearched(a space.Arch) (ms float64, err error) {
	_, searched, err := p.sum(a)
	return (searched + p.searched) / 1e6, err
}

// Setup returns what the predictions hold for.
func (p *Predictor) Setup() Setup { return p.setup }

// Canary returns the canary's quiet level that the predictions hold for.
func (p *Predictor) Canary() time.Duration { return p.canary }

// InterceptMS returns the fitted overheads in milliseconds: of a whole network, and of its searched part.
func (p *Predictor) InterceptMS() (whole, searched float64) { return p.whole / 1e6, p.searched / 1e6 }
