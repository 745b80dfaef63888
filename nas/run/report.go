package run

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"strconv"
	"strings"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/train"
)

// reportedScenes is the number of pictures that the report shows with their labels.
const reportedScenes = 6

// writeReport writes the run's HTML report.
func (p *pipeline) writeReport(ctx context.Context, r Result, found *search.Result, chosen choice, all []*finalNetwork, m *measured) error {
	doc := report.Report{
		Title:        "A network for this machine",
		Subtitle:     fmt.Sprintf("%s, %dx%d pixels, latency limit %.4g ms", p.data.Val.Name(), p.cfg.Height, p.cfg.Width, p.limitMS),
		Highlights:   highlights(r),
		Conditions:   p.conditions(m),
		Plan:         p.planFields(),
		Rows:         r.Networks,
		Notes:        append(append(p.notes(all, found, chosen, m), r.Front.notes(r.Folder)...), predictorNotes(found)...),
		Search:       p.searchFigure(r, found, chosen.winner),
		Verification: m.Verification,
		Next:         r.Next,
	}
	for _, f := range all {
		if f.Name != controlName {
			doc.Networks = append(doc.Networks, report.Network{Name: f.Name, Arch: f.Arch})
		}
		doc.ClassIoU = append(doc.ClassIoU, report.ClassIoU{Name: f.Name, IoU: confusionOf(f.Counts).IoU()})
	}
	classes := p.data.Val.Classes()
	for i, name := range classes.Names {
		c := classes.Colors[i]
		doc.Classes = append(doc.Classes, report.Class{Name: name, Color: color.RGBA{c[0], c[1], c[2], 255}})
	}
	times, err := p.stageTimes()
	if err != nil {
		return err
	}
	for _, s := range times {
		doc.Stages = append(doc.Stages, report.Stage{Name: s.Name, Took: s.Took, Detail: s.Detail})
	}
	if doc.Figures, err = p.figures(all); err != nil {
		return err
	}
	if doc.Scenes, err = p.scenes(ctx, all, classes); err != nil {
		return err
	}
	return report.Write(p.folder.file(reportFile), doc)
}

func named(r Result, name string) report.Row {
	for _, row := range r.Networks {
		if row.Name == name {
			return row
		}
	}
	return report.Row{}
}

func highlights(r Result) []report.Field {
	winner, control, base := named(r, winnerName), named(r, controlName), named(r, baselineName)
	faster := report.Field{Name: "against the baseline", Value: fmt.Sprintf("%.2fx faster", base.MeasuredMS/winner.MeasuredMS), Note: fmt.Sprintf("baseline %.2f ms", base.MeasuredMS)}
	if base.Precision != winner.Precision { // what is compared runs in the same arithmetic
		faster.Value = fmt.Sprintf("%.2fx faster", control.MeasuredMS/winner.MeasuredMS)
		faster.Note = fmt.Sprintf("baseline %.2f ms in %s, %.2f ms in %s", control.MeasuredMS, control.Precision, base.MeasuredMS, base.Precision)
	}
	return []report.Field{
		{Name: "winner's mIoU", Value: fmt.Sprintf("%.1f %%", 100*winner.MIoU),
			Note: fmt.Sprintf("baseline %.1f %% from scratch, %.1f %% retrained alike", 100*base.MIoU, 100*control.MIoU)},
		{Name: "measured latency", Value: fmt.Sprintf("%.2f ms", winner.MeasuredMS), Note: fmt.Sprintf("limit %.2f ms", r.LimitMS)},
		faster,
		{Name: "parameters", Value: fmt.Sprintf("%.3f M", float64(winner.Params)/1e6), Note: fmt.Sprintf("baseline %.3f M", float64(base.Params)/1e6)},
	}
}

func (p *pipeline) conditions(m *measured) []report.Field {
	id := p.machine.measures(p.cfg.Space)
	c := m.Conditions
	device := []report.Field{{Name: "device", Value: id.Kind + " " + p.machine.processor()}}
	if id.GPU != "" {
		device = append(device, report.Field{Name: "backend's words", Value: id.GPU}, report.Field{Name: "host", Value: id.CPU})
	}
	if k := c.Card; k != nil {
		device = append(device, report.Field{Name: "driver", Value: id.Card.Driver, Note: id.Card.UUID}, report.Field{Name: "clocks",
			Value: fmt.Sprintf("SM %d MHz, memory %d MHz", k.SMMHz, k.MemoryMHz), Note: fmt.Sprintf("SM from %d to %d MHz, up to %d C, %.0f W; %d turns rejected as throttled",
				k.LeastSMMHz, k.MostSMMHz, k.Celsius, k.Watts, k.Throttled)})
	}
	return append(device, []report.Field{
		{Name: "instruction set", Value: id.ISA, Note: id.Precision},
		{Name: "threads", Value: strconv.Itoa(id.Threads)},
		{Name: "library", Value: id.Library},
		{Name: "seed", Value: strconv.FormatUint(p.cfg.Seed, 10)},
		{Name: "settings", Value: p.cfg.Preset, Note: p.cfg.hash()},
		{Name: "final measuring", Value: fmt.Sprintf("%d turns, %d rejected", c.Turns, c.Rejected),
			Note: fmt.Sprintf("canary %.2f ms quiet, %.2f ms typical, %.2f ms worst; %.3f of the table's level", milliseconds(c.Quiet), milliseconds(c.Typical), milliseconds(c.Worst), m.Level)},
	}...)
}

func (p *pipeline) planFields() []report.Field {
	c := p.cfg
	return []report.Field{
		{Name: "data", Value: fmt.Sprintf("%s, %d classes", p.data.Train.Name(), p.net.Classes),
			Note: fmt.Sprintf("%d pictures to train on, %d to search on, %d to report on", p.data.Train.Len(), p.data.SearchVal.Len(), p.data.Val.Len())},
		{Name: "space", Value: c.Space.String(), Note: spaceText(p.space, p.limits)},
		{Name: "supernet", Value: fmt.Sprintf("%s, %d steps of %d pictures", c.Supernet, c.Shrinking.Steps(), c.Batch), Note: phasesText(c.Shrinking)},
		{Name: "search", Value: fmt.Sprintf("%d networks in %d generations", c.Search.Evaluations(), c.Search.Generations), Note: limitsText(p.limits)},
		{Name: "finals", Value: fmt.Sprintf("%d steps from scratch, %d when retrained", c.Scratch.Steps(), c.Retrain.Steps())},
	}
}

func phasesText(s train.Schedule) string {
	parts := make([]string, len(s))
	for i, phase := range s {
		parts[i] = fmt.Sprintf("%d steps from learning rate %.3g, depths from %d", phase.Steps, phase.LR, phase.MinDepth)
	}
	return strings.Join(parts, "; ")
}

func (p *pipeline) notes(all []*finalNetwork, found *search.Result, chosen choice, m *measured) []string {
	var notes []string
	for _, f := range all {
		notes = append(notes, f.Name+": "+f.How+".")
	}
	notes = append(notes, chosen.notes()...)
	notes = append(notes,
		fmt.Sprintf("Measured times are medians of accepted runs, in turns with each other in one process, at the level of the latency table's canary (this run's level was %.3f of it).", m.Level))
	if found.Ended != "" {
		notes = append(notes, "The search ended early: "+found.Ended+".")
	}
	return notes
}

func (p *pipeline) searchFigure(r Result, found *search.Result, winner search.Evaluation) *report.Search {
	s := &report.Search{Cost: "predicted latency", Unit: "ms", Limit: r.LimitMS}
	for _, e := range found.All {
		s.Evaluated = append(s.Evaluated, report.Point{Cost: e.Costs[latencyLimit], MIoU: e.MIoU, Generation: e.Generation + 1, Arch: e.Arch,
			MACs: p.net.MACs(e.Arch, p.cfg.Height, p.cfg.Width), Params: p.net.Params(e.Arch)})
	}
	s.Marks = []report.Mark{{Name: winnerName, Cost: winner.Costs[latencyLimit], MIoU: winner.MIoU}}
	return s
}

// scenes are the first reported pictures with truth and predictions.
func (p *pipeline) scenes(ctx context.Context, all []*finalNetwork, classes data.Classes) ([]report.Scene, error) {
	pictures, labels, err := p.predictions(ctx, all, reportedScenes)
	if err != nil {
		return nil, err
	}
	var scenes []report.Scene
	for i, b := range pictures {
		s := report.Scene{
			Name: fmt.Sprintf("picture %d", i+1), Input: pictureOf(b), Truth: data.ColourLabels(b.Y, b.H, b.W, classes),
		}
		for k, f := range all {
			s.Predictions = append(s.Predictions, report.Prediction{Name: f.Name, Image: data.ColourLabels(labels[k][i], b.H, b.W, classes)})
		}
		scenes = append(scenes, s)
	}
	return scenes, nil
}

// pictureOf turns the only picture of a batch back into an image.
func pictureOf(b *data.Batch) image.Image {
	s := data.Sample{Image: make([]byte, len(b.X)), H: b.H, W: b.W}
	data.Denormalise(s.Image, b.X)
	return s.Picture()
}
