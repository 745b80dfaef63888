package run

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/report"
)

// classNetworks is how many variants the table of classes shows at most, and comparedVariants how many the plot of the scores.
const (
	classNetworks    = 10
	comparedVariants = 10
)

// writeAblationReport writes a report on all finished ablations of a folder.
func writeAblationReport(path string, c Config, s Streams) error {
	doc := report.Report{Title: "What the method's parts are worth"}
	for _, one := range ablations(c) {
		var a Ablated
		found, err := finished(filepath.Join(path, one.name, resultFile), &a)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		section := a.section()
		section.Scenes = keptScenes(filepath.Join(path, one.name))
		doc.Sections = append(doc.Sections, section)
		doc.Subtitle = "Each ablation's data, size, seeds and device are in its section."
	}
	if len(doc.Sections) == 0 {
		return misuse.Errorf("%s holds no finished ablation; name one: %s", path, strings.Join(ablationNames(c), ", "))
	}
	file := filepath.Join(path, reportFile)
	if err := report.Write(file, doc); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.Err, "report: %s\n", file)
	return err
}

// section is an ablation's part of the report.
func (a *Ablated) section() report.Section {
	header, rows := a.table()
	header = wordsNext(header)
	for i, row := range rows {
		rows[i] = wordsNext(row)
	}
	s := report.Section{
		Name: a.Name, Title: strings.ToUpper(a.Name[:1]) + a.Name[1:],
		Lead: fmt.Sprintf("%s. %s at %dx%d, preset %s, seeds: %d, on %v.", strings.ToUpper(a.Use[:1])+a.Use[1:], a.Data, a.Height, a.Width, a.Preset, a.Seeds, a.Device),
		Tables: append([]report.Table{{
			Header: header, Rows: rows, Note: a.meaning(),
		}}, a.Tables...),
		Notes: a.Notes, Networks: a.Networks,
	}
	if n := len(a.Rows); n > 1 && n <= comparedVariants {
		s.Figures = append(s.Figures, a.compared())
	}
	s.Figures = append(s.Figures, a.Figures...)
	s.Classes, s.ClassIoU = a.classTable()
	return s
}

// meaning says what the figures of the table are.
func (a *Ablated) meaning() string {
	if a.Seeds == 1 {
		return "One seed: how far others would lie from it is not known."
	}
	text := "Means over the seeds; sd is that of a seed."
	if len(a.Rows) > 1 {
		text += " Differences are from the first row, seed by seed, with 95 % confidence by Student's t."
	}
	return text
}

// wordsNext moves a row's last text, what a variant is, next to its name.
func wordsNext(row []string) []string {
	last := len(row) - 1
	return append([]string{row[0], row[last]}, row[1:last]...)
}

// compared plots the variants' scores.
func (a *Ablated) compared() report.Figure {
	f := report.Figure{Title: "Scores, mean and standard deviation of a seed", YLabel: a.Columns[0].header()}
	scale := 1.0
	if a.Columns[0].Unit == "%" {
		scale = 100
	}
	s := report.Series{Dots: true}
	for i, r := range a.Rows {
		f.Ticks = append(f.Ticks, r.Variant)
		s.X, s.Y, s.Error = append(s.X, float64(i)), append(s.Y, scale*r.Mean), append(s.Error, scale*r.SD)
	}
	f.Series = []report.Series{s}
	return f
}

// classTable is each class's IoU of every variant, all seeds counted together, where the cells kept what they saw.
func (a *Ablated) classTable() (classes []report.Class, iou []report.ClassIoU) {
	if len(a.Rows) > classNetworks {
		return nil, nil
	}
	for _, r := range a.Rows {
		var sum []int64
		for _, c := range a.ofSeeds(r.Variant) {
			if sum == nil {
				sum = make([]int64, len(c.Counts))
			}
			for i, n := range c.Counts {
				sum[i] += n
			}
		}
		if len(sum) == 0 {
			return nil, nil
		}
		iou = append(iou, report.ClassIoU{Name: r.Variant, IoU: confusionOf(sum).IoU()})
	}
	for i, name := range a.Classes.Names {
		c := a.Classes.Colors[i]
		classes = append(classes, report.Class{Name: name, Color: color.RGBA{uint8(c[0]), uint8(c[1]), uint8(c[2]), 255}})
	}
	return classes, iou
}
