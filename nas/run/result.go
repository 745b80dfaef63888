package run

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/quant"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// Result is what a run found: the run folder's result.json, and the output of --json.
type Result struct {
	Data       string           `json:"data"`
	Preset     string           `json:"preset"`
	Seed       uint64           `json:"seed"`
	Height     int              `json:"height"`
	Width      int              `json:"width"`
	Device     latency.Identity `json:"device"`
	LimitMS    float64          `json:"limit_ms"`
	Networks   []report.Row     `json:"networks"`
	Winner     space.Arch       `json:"winner"`
	SearchMIoU float64          `json:"search_miou"` // the winner's, with the supernet's weights, on the search's validation split
	Evaluated  int              `json:"evaluated"`   // networks, by the search
	// Generations sum up the search, and Front is what it found if that was looked for.
	Generations []search.Generation `json:"generations"`
	Front       *Front              `json:"front,omitempty"`
	Space       search.Profile      `json:"space"`
	Stages      []stageTime         `json:"stages"`
	Folder      string              `json:"folder"`
	Report      string              `json:"report"`
	Next        []string            `json:"next"` // commands to type
}

// result gathers what the run found.
func (p *pipeline) result(found *search.Result, winner search.Evaluation, all []*finalNetwork, m *measured) (Result, error) {
	r := Result{
		Data: p.cfg.Data, Preset: p.cfg.Preset, Seed: p.cfg.Seed, Height: p.cfg.Height, Width: p.cfg.Width,
		Device: p.machine.measures(p.cfg.Space), LimitMS: p.limitMS, Winner: winner.Arch, SearchMIoU: winner.MIoU,
		Evaluated: len(found.All), Generations: found.Generations, Space: p.space, Folder: p.folder.path, Report: p.folder.file(reportFile),
	}
	for i, f := range all {
		row, err := p.row(f, m.Networks[i])
		if err != nil {
			return r, err
		}
		r.Networks = append(r.Networks, row)
	}
	var err error
	if r.Stages, err = p.stageTimes(); err != nil {
		return r, err
	}
	if r.Front, err = p.front(found); err != nil {
		return r, err
	}
	model := p.folder.file(winnerModel)
	if !r.Winner.IsQuantised() || p.machine.context.Runs(gobind.Int8) {
		r.Next = append(r.Next, fmt.Sprintf("%s --model %s PICTURE_OR_FOLDER", command("segment"), model))
	}
	r.Next = append(r.Next,
		fmt.Sprintf("%s --model %s --data %s --format %s", command("eval"), model, p.cfg.Data, p.cfg.Format),
		fmt.Sprintf("%s --table %s --size %dx%d --classes %d --verify 50%s", command("profile"), p.folder.file(tableFile), p.cfg.Height, p.cfg.Width, p.net.Classes, bitsText(p.cfg.Space)),
	)
	return r, nil
}

func (p *pipeline) row(f *finalNetwork, n latency.Measurement) (report.Row, error) {
	t := n.Total
	predicted, err := p.predictor.Predict(f.Arch)
	if err != nil {
		return report.Row{}, err
	}
	ms := milliseconds(t.Median)
	within := predicted <= p.limitMS && ms <= p.limitMS
	for _, l := range p.limits[1:] {
		cost, err := l.Cost(f.Arch)
		if err != nil {
			return report.Row{}, err
		}
		within = within && cost <= l.Max
	}
	row := report.Row{
		Name: f.Name, Arch: f.Arch.String(), MIoU: f.miou(),
		MACs: p.net.MACs(f.Arch, p.cfg.Height, p.cfg.Width), Params: p.net.Params(f.Arch),
		PredictedMS: predicted, MeasuredMS: ms, Q1MS: milliseconds(t.Q1), Q3MS: milliseconds(t.Q3), P99MS: milliseconds(t.P99),
		Joules: n.Joules, Samples: t.N, FPS: 1000 / ms, WithinLimit: &within, Winner: f.Name == winnerName,
	}
	if p.cfg.Space.IsQuantised() {
		row.Precision = p.machine.precisionOf(p.cfg.Space, f.Arch)
	}
	if f.Arch.IsQuantised() {
		row.BitOps, row.Bytes = quant.BitOps(p.net, f.Arch, p.cfg.Height, p.cfg.Width), quant.ModelBytes(p.net, f.Arch)
	}
	return row, nil
}

// print writes the result for people.
func (r Result) print(w io.Writer) error {
	fmt.Fprintf(w, "\n%s at %dx%d on %v; limit %.4g ms\n\n", r.Data, r.Height, r.Width, r.Device, r.LimitMS)
	if err := report.WriteTable(w, r.Networks); err != nil {
		return err
	}
	if err := r.Front.print(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n%-15s %8s\n", "stage", "seconds")
	for _, s := range r.Stages {
		fmt.Fprintf(w, "%-15s %8.1f  %s\n", s.Name, s.Took.Seconds(), s.Detail)
	}
	fmt.Fprintf(w, "\nwinner  %v\nreport  %s\nnext:\n", r.Winner, r.Report)
	for _, command := range r.Next {
		fmt.Fprintf(w, "  %s\n", command)
	}
	return nil
}

// printJSON writes a value as indented JSON.
func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// confusionOf is the inverse of keeping Confusion.Counts alone.
func confusionOf(counts []int64) *metrics.Confusion {
	c := metrics.NewConfusion(0)
	for c.Classes*c.Classes < len(counts) {
		c.Classes++
	}
	c.Counts = counts
	return c
}
