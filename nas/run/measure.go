package run

import (
	"context"
	"fmt"
	"time"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/space"
)

// measured is what a measuring found: the networks' times, and how well the table predicts random ones where that was asked. All times
// are at the canary level of the latency table, so that they compare with its predictions and with the limit.
type measured struct {
	Networks     []latency.Measurement `json:"networks"` // in the order in which they were given
	Conditions   latency.Conditions    `json:"conditions"`
	Level        float64               `json:"canary_level"` // the canary's quiet level now, over the table's
	Verification *latency.Verification `json:"verification,omitempty"`
}

// measure times the final networks in turns, and verifies the table, unless that is done already.
func (p *pipeline) measure(ctx context.Context, all []*finalNetwork) (*measured, error) {
	m := new(measured)
	if found, err := finished(p.folder.file(measuredFile), m); found || err != nil {
		return m, err
	}
	var archs []space.Arch
	for _, f := range all {
		archs = append(archs, f.Arch)
	}
	m, err := p.timed(ctx, archs)
	if err != nil {
		return nil, err
	}
	if n := p.cfg.VerifyNetworks; n > 0 {
		bar := NewProgress(p.streams.Err, "verify", "turns", 0, 0)
		v, err := latency.Verify(ctx, p.machine.device(p.cfg.Space), p.table, p.cfg.Space, n, p.rng(verifyNetworks), measuring(bar, p.cfg.TableRounds))
		if err != nil {
			return nil, err
		}
		bar.Finish(fmt.Sprintf("MAPE %.1f %%", 100*v.Whole.MAPE))
		m.Verification = &v
	}
	return m, writeJSON(p.folder.file(measuredFile), m)
}

// inTurns measures networks of a space in turns, at this measuring's own level.
func (p *pipeline) inTurns(ctx context.Context, sp space.Space, setup latency.Setup, archs []space.Arch) (m *measured, err error) {
	m = &measured{Level: 1}
	bar := NewProgress(p.streams.Err, "measure", "turns", 0, 0)
	m.Networks, m.Conditions, err = latency.MeasureNetworks(ctx, p.machine.device(sp), setup, archs, withEnergy(measuring(bar, p.cfg.FinalRounds)))
	if err != nil {
		return nil, err
	}
	bar.Finish("")
	return m, nil
}

// timed measures networks in turns, at the table's level.
func (p *pipeline) timed(ctx context.Context, archs []space.Arch) (*measured, error) {
	m, err := p.inTurns(ctx, p.cfg.Space, p.table.Setup(), archs)
	if err != nil {
		return nil, err
	}
	m.Level = float64(m.Conditions.Quiet) / float64(p.predictor.Canary())
	for i := range m.Networks {
		n := &m.Networks[i]
		n.Total, n.Searched = n.Total.Scaled(1/m.Level), n.Searched.Scaled(1/m.Level)
	}
	return m, nil
}

// ms is a network's median in milliseconds; 0 of one that was not measured.
func (m *measured) ms(a space.Arch) float64 {
	for _, n := range m.Networks {
		if n.Arch == a {
			return milliseconds(n.Total.Median)
		}
	}
	return 0
}

// measuring returns the options of a measurement that shows its progress.
func measuring(bar *Progress, rounds int) latency.Options {
	return latency.Options{Rounds: rounds, Progress: func(done, total int, note string) {
		bar.SetTotal(total)
		bar.Set(done, note)
	}}
}

// energySpan is how long a network runs for its energy. Counters move in steps of up to a tenth of a second.
const energySpan = 3 * time.Second

// withEnergy has the energy measured too, where the device counts it.
func withEnergy(o latency.Options) latency.Options {
	o.Energy = energySpan
	return o
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
