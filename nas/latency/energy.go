package latency

import (
	"context"
	"fmt"
	"time"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// energies measures what a picture costs on each network, where that is wanted and the card counts it.
func (b *bench) energies(ctx context.Context, nets []*network) error {
	if b.watch == nil || !b.watch.card.Info().Energy || b.opt.Energy <= 0 {
		return nil
	}
	for _, n := range nets {
		if err := b.energy(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// energy runs a network for so long that the steps in which a counter moves, up to a tenth of a second, matter little.
func (b *bench) energy(ctx context.Context, n *network) error {
	for range b.opt.Attempts {
		if _, err := b.watch.observe(); err != nil {
			return err
		}
		before := b.watch.last.Joules
		runs := 0
		for busy := time.Duration(0); busy < b.opt.Energy; runs++ {
			s, err := n.run(ctx)
			if err != nil {
				return err
			}
			busy += max(s.Total, leastRun)
		}
		throttled, err := b.watch.observe()
		if err != nil {
			return err
		}
		if throttled != 0 {
			b.watch.reject(throttled)
			continue
		}
		if n.joules = (b.watch.last.Joules - before) / float64(runs*b.setup.Batch); n.joules <= 0 {
			return fmt.Errorf("the energy counter of %v stood still while network %s ran", b.watch.card.Info(), n.name)
		}
		return nil
	}
	return b.watch.tooMuch(n, b.opt.Attempts, b.opt.Attempts)
}

// energyModel is the energy of a batch: what the card takes as long as it is awake, and what a multiply-add takes on top. Per operation
// the counters are too coarse, and these two are what the published models of GPUs come down to.
type energyModel struct {
	watts    float64
	perMAC   float64 // joules
	networks int     // behind it
	off      float64 // mean error on them, as a share
}

// fitEnergy fits the model to networks' times in seconds, multiply-adds and joules, all of a batch, by least squares. Neither part can be
// negative.
func fitEnergy(seconds, macs, joules []float64) energyModel {
	sum := func(x, y []float64) (s float64) {
		for i := range x {
			s += x[i] * y[i]
		}
		return s
	}
	tt, tm, mm, tj, mj := sum(seconds, seconds), sum(seconds, macs), sum(macs, macs), sum(seconds, joules), sum(macs, joules)
	m := energyModel{networks: len(joules)}
	// Times and multiply-adds go together: nearly collinear columns say nothing about their parts.
	if det := tt*mm - tm*tm; det > 1e-6*tt*mm {
		m.watts, m.perMAC = (tj*mm-mj*tm)/det, (mj*tt-tj*tm)/det
	}
	if m.watts <= 0 || m.perMAC < 0 {
		m.watts, m.perMAC = tj/tt, 0
	}
	fitted := make([]float64, len(joules))
	for i := range fitted {
		fitted[i] = m.watts*seconds[i] + m.perMAC*macs[i]
	}
	m.off = metrics.MAPE(fitted, joules)
	return m
}

// fitEnergy fits the model to the networks that filled the table; without energies there it stays zero.
func (p *Predictor) fitEnergy(t *Table) {
	var seconds, macs, joules []float64
	for _, n := range t.networks {
		if t.fresh(n.Origin) && n.Joules > 0 {
			seconds = append(seconds, p.level(n.Total, n.Origin)/1e9)
			macs = append(macs, p.macs(n.Arch))
			joules = append(joules, n.Joules*float64(p.setup.Batch))
		}
	}
	if len(joules) > 0 {
		p.energy = fitEnergy(seconds, macs, joules)
	}
}

// macs are a batch's.
func (p *Predictor) macs(a space.Arch) float64 {
	return float64(p.setup.Batch) * float64(p.setup.Network.MACs(a, p.setup.H, p.setup.W))
}

// PredictEnergy returns the energy of a picture in joules. A table without energies is misuse.
func (p *Predictor) PredictEnergy(a space.Arch) (joules float64, err error) {
	if p.energy.networks == 0 {
		return 0, misuse.Errorf("latency table %s holds no energies: they are measured on a GPU whose card counts them, through libnvidia-ml", p.path)
	}
	ms, err := p.Predict(a)
	return (p.energy.watts*ms/1e3 + p.energy.perMAC*p.macs(a)) / float64(p.setup.Batch), err
}

// EnergyError is the predicted energies' mean error on the networks behind the table, as a share.
func (p *Predictor) EnergyError() float64 { return p.energy.off }
