package run

import (
	"slices"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/train"
)

// lossSmoothing is the share of a step in the moving average that the report plots.
const lossSmoothing = 0.05

// figures are the curves of all trainings: losses, mIoU, the supernet's networks drawn at random, and each class of the winner.
func (p *pipeline) figures(all []*finalNetwork) ([]report.Figure, error) {
	loss := report.Figure{Title: "Loss, smoothed", XLabel: "step", YLabel: "loss"}
	miou := report.Figure{Title: "mIoU during training", XLabel: "step", YLabel: "mIoU %"}
	names := []string{supernetName}
	for _, f := range all {
		names = append(names, f.Name)
	}
	var more []report.Figure
	for _, name := range names {
		records, err := train.ReadLog(p.folder.file(name, train.MetricsFile))
		if err != nil {
			return nil, err
		}
		loss.Series = append(loss.Series, losses(name, records))
		if checks := checked(name, records, func(r train.Record) float64 { return *r.MIoU }); len(checks.X) > 0 {
			miou.Series = append(miou.Series, checks)
		}
		switch name {
		case supernetName:
			more = append(more, randomNetworks(records))
		case winnerName:
			more = append(more, classCurves(records, p.data.Val.Classes().Names))
		}
	}
	figures := append([]report.Figure{loss, miou}, more...)
	return slices.DeleteFunc(figures, func(f report.Figure) bool { return len(f.Series) == 0 }), nil
}

// losses is a training's loss, smoothed.
func losses(name string, records []train.Record) report.Series {
	s := report.Series{Name: name}
	smooth := 0.0
	for _, r := range records {
		if r.MIoU != nil {
			continue
		}
		if len(s.X) == 0 {
			smooth = r.Loss
		}
		smooth += lossSmoothing * (r.Loss - smooth)
		s.X, s.Y = append(s.X, float64(r.Step)), append(s.Y, smooth)
	}
	return s
}

// checked is a curve over a training's evaluations, of a share in percent.
func checked(name string, records []train.Record, share func(train.Record) float64) report.Series {
	s := report.Series{Name: name}
	for _, r := range records {
		if r.MIoU != nil {
			s.X, s.Y = append(s.X, float64(r.Step)), append(s.Y, 100*share(r))
		}
	}
	return s
}

// randomNetworks shows how good the supernet's networks are, not only its largest one.
func randomNetworks(records []train.Record) report.Figure {
	f := report.Figure{Title: "Supernet: networks drawn at random, on the search's validation pictures", XLabel: "step", YLabel: "mIoU %"}
	kept := slices.DeleteFunc(slices.Clone(records), func(r train.Record) bool { return len(r.Random) == 0 })
	if len(kept) == 0 {
		return f
	}
	f.Series = []report.Series{
		checked("largest", kept, func(r train.Record) float64 { return *r.MIoU }),
		checked("best drawn", kept, func(r train.Record) float64 { return slices.Max(r.Random) }),
		checked("median drawn", kept, func(r train.Record) float64 { return metrics.Median(r.Random) }),
		checked("worst drawn", kept, func(r train.Record) float64 { return slices.Min(r.Random) }),
	}
	return f
}

// classCurves shows how each class is learned.
func classCurves(records []train.Record, names []string) report.Figure {
	f := report.Figure{Title: "IoU of each class during the winner's training", XLabel: "step", YLabel: "IoU %"}
	for class, name := range names {
		kept := slices.DeleteFunc(slices.Clone(records), func(r train.Record) bool { return class >= len(r.ClassIoU) || r.ClassIoU[class] == nil })
		if s := checked(name, kept, func(r train.Record) float64 { return *r.ClassIoU[class] }); len(s.X) > 0 {
			f.Series = append(f.Series, s)
		}
	}
	return f
}
