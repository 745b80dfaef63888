package run

import (
	"context"
	"fmt"
	"io"
	"math"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// target is a device that networks are searched for.
type target struct {
	name, what string
	device     string
	isa        string
	precision  gobind.Precision // of networks without bit widths
	bits       space.Bits       // of weights and activations throughout, for the time alone; none: floating point
}

// targets are the devices of the ablation. Those that a machine lacks are left out.
var targets = []target{
	{name: "f32", what: "float32 in the processor's widest vectors", device: cpuDevice},
	{name: "avx2", what: "float32, capped at AVX2", device: cpuDevice, isa: "avx2"},
	{name: "bf16", what: "bfloat16, where the processor multiplies it", device: cpuDevice, precision: gobind.BFloat16},
	{name: "int8", what: "integers of 8 bits on the processor", device: cpuDevice, bits: space.Bits{W: 8, A: 8}},
	{name: "gpu", what: "half precision on the first GPU", device: firstGPU, precision: gobind.Float16},
}

const devicesName = "devices"

// devicesAblation asks whether a network searched for a device is faster there than those searched for others: the thesis's table of devices.
func devicesAblation() ablation {
	a := ablation{
		name: devicesName, use: "the best network for each device within its baseline's latency over 1.2, on each device", measures: true,
		columns:  []column{miouOn(searchSplit), {predictedColumn, "ms"}, {"limit", "ms"}, {macsColumn, "G"}, {"parameters", "M"}},
		conclude: concludeDevices,
	}
	for _, t := range targets {
		a.variants = append(a.variants, variant{name: t.name, what: t.what, score: t.score, needs: func(p *pipeline) error {
			q, err := t.on(p)
			if err == nil {
				q.machine.close()
			}
			return err
		}})
	}
	return a
}

// as is a network as the target runs it.
func (t target) as(a space.Arch) space.Arch { return a.Quantised(t.bits) }

// within are limits on what networks cost on the target, for a search among those without bit widths.
func (t target) within(limits []search.Limit) (own []search.Limit) {
	for _, l := range limits {
		cost := l.Cost
		l.Cost = func(a space.Arch) (float64, error) { return cost(t.as(a)) }
		own = append(own, l)
	}
	return own
}

// on returns the pipeline as it measures on the target; it trains and evaluates where it did.
func (t target) on(p *pipeline) (*pipeline, error) {
	if isas := gobind.AvailableISAs(); t.isa != "" && t.isa == isas[len(isas)-1] {
		return nil, fmt.Errorf("%s is this processor's last instruction set", t.isa)
	}
	m, err := openMachine(machineOptions{device: t.device, threads: p.machine.identity.Threads, isa: t.isa, precision: precisionFlag{Precision: t.precision}, sessions: "measure networks"}, io.Discard)
	if err != nil {
		return nil, err
	}
	q := *p
	q.machine = m
	if t.bits != (space.Bits{}) {
		q.cfg.Space.Bits = []uint8{t.bits.W}
	}
	setup, err := q.machine.setup(q.cfg.Space, q.net, q.cfg.Height, q.cfg.Width, io.Discard)
	if err == nil && q.cfg.Space.IsQuantised() && setup.Identity.Precision != latency.Integers {
		err = fmt.Errorf("%s has no sessions in integers", m.processor())
	}
	if err != nil {
		m.close()
		return nil, err
	}
	return &q, nil
}

func (t target) score(p *pipeline, ctx context.Context, name string) (cell, error) {
	q, err := t.on(p)
	if err != nil {
		return cell{}, err
	}
	defer q.machine.close()
	if err := q.sharedTable(ctx); err != nil {
		return cell{}, err
	}
	s, err := p.sharedSupernet(ctx)
	if err != nil {
		return cell{}, err
	}
	defer s.close()
	found, err := p.sharedSearch(ctx, name, s, p.cfg.Search, t.within(q.limits))
	if err != nil {
		return cell{}, err
	}
	a := found.Best.Arch
	ms, err := q.predictor.Predict(t.as(a))
	return cell{Score: found.Best.MIoU, Arch: &a, Lists: map[string][]float64{bestList: bestSoFar(found)}, More: map[string]float64{
		predictedColumn: ms, "limit": q.limitMS, macsColumn: float64(p.net.MACs(a, p.cfg.Height, p.cfg.Width)) / 1e9, "parameters": float64(p.net.Params(a)) / 1e6,
	}}, err
}

// concludeDevices measures every network on every device.
func concludeDevices(p *pipeline, ctx context.Context, a *Ablated) error {
	var on []func(space.Arch) float64
	for _, r := range a.Rows {
		t := targetNamed(r.Variant)
		m, err := p.timeOn(ctx, t, a.archsOf())
		if err != nil {
			return err
		}
		on = append(on, func(a space.Arch) float64 { return m.ms(t.as(a)) })
	}
	ms := report.Table{Title: "Measured ms, mean over the seeds (rows: measured on; columns: searched for)", Header: []string{""}}
	share := report.Table{Title: "The same, over the device's own network, seed by seed (95 %)", Header: []string{""},
		Note: "Geometric means over the seeds. A cell stands out where its interval leaves out 1: there the networks differ."}
	for i, row := range a.Rows {
		ms.Header, share.Header = append(ms.Header, row.Variant), append(share.Header, row.Variant)
		msRow, shareRow := []string{row.Variant}, []string{row.Variant}
		for j, column := range a.Rows {
			var times, logs []float64
			for _, seed := range a.seeds() {
				t := on[i](*a.ofSeeds(column.Variant)[seed].Arch)
				times, logs = append(times, t), append(logs, math.Log(t/on[i](*a.ofSeeds(row.Variant)[seed].Arch)))
			}
			mean, _ := interval(times)
			msRow = append(msRow, fmt.Sprintf("%.3f", mean))
			log, half := interval(logs)
			if i == j {
				shareRow = append(shareRow, "1")
				ms.Strong = append(ms.Strong, [2]int{i, j + 1})
				continue
			}
			shareRow = append(shareRow, fmt.Sprintf("%.3f (%.3f to %.3f)", math.Exp(log), math.Exp(log-half), math.Exp(log+half)))
			if half > 0 && math.Abs(log) > half {
				share.Strong = append(share.Strong, [2]int{i, j + 1})
			}
		}
		ms.Rows, share.Rows = append(ms.Rows, msRow), append(share.Rows, shareRow)
		a.Networks = append(a.Networks, drawn(row.Variant, a.ofSeeds(row.Variant), a.seeds()[0])...)
	}
	a.Tables = append(a.Tables, ms, share, makeUp(a))
	return nil
}

// timeOn measures networks on a target, as it runs them.
func (p *pipeline) timeOn(ctx context.Context, t target, archs []space.Arch) (*measured, error) {
	for i, a := range archs {
		archs[i] = t.as(a)
	}
	q, err := t.on(p)
	if err != nil {
		return nil, err
	}
	defer q.machine.close()
	if err := q.sharedTable(ctx); err != nil {
		return nil, err
	}
	return q.timeNetworks(ctx, fmt.Sprintf("measured-%s.json", t.name), archs)
}

func targetNamed(name string) target {
	for _, t := range targets {
		if t.name == name {
			return t
		}
	}
	return target{}
}

// makeUp sums up what the networks found are made of, over the seeds.
func makeUp(a *Ablated) report.Table {
	t := report.Table{Title: "What the networks are made of, mean over the seeds",
		Header: []string{"searched for", "depths", "5x5 kernels %", "of them in a stage's first block %", "expand ratio by stage"}}
	for _, r := range a.Rows {
		var depth, expand [space.Stages]float64
		blocks, wide, first, firstWide := 0.0, 0.0, 0.0, 0.0
		for _, c := range a.ofSeeds(r.Variant) {
			for s, d := range c.Arch.Depth {
				depth[s] += float64(d)
				for i, b := range c.Arch.Blocks[s][:d] {
					expand[s] += float64(b.Expand)
					blocks++
					if i == 0 {
						first++
					}
					if b.Kernel > 3 {
						wide++
						if i == 0 {
							firstWide++
						}
					}
				}
			}
		}
		n := float64(a.Seeds)
		t.Rows = append(t.Rows, []string{r.Variant, fmt.Sprintf("%.1f, %.1f, %.1f", depth[0]/n, depth[1]/n, depth[2]/n), fmt.Sprintf("%.0f", 100*wide/blocks),
			fmt.Sprintf("%.0f", 100*firstWide/first), fmt.Sprintf("%.1f, %.1f, %.1f", expand[0]/depth[0], expand[1]/depth[1], expand[2]/depth[2])})
	}
	return t
}
