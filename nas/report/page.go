package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"strings"
	"time"

	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/latency"
)

// page.html is the page, sections.html what Report.Sections become in it, parts.html what a section and the whole report both have.
//
//go:embed page.html sections.html parts.html
var templates embed.FS

var pageTemplate = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"stages": func(arch string) []string { return strings.Split(arch, "_") }, // where its text may break
}).ParseFS(templates, "*.html"))

// page is what the template shows: texts, and drawings as markup of this package's own making.
type page struct {
	*Report
	parts
	Header    []string
	Table     []tableRow
	Questions []question // Report.Sections
	TradeOff  template.HTML
	Front     []frontRow
	Evaluated int
	Agreement template.HTML
	Accuracy  []accuracyRow
	Measuring string
	StageRows []stageRow
}

type tableRow struct {
	Cells  []string
	Winner bool
}

type frontRow struct{ Cost, MIoU, MACs, Params, Arch string }

type accuracyRow struct{ Name, MAPE, Bias, Max, Spearman, Within5, Within10 string }

type stageRow struct {
	Name, Took, Detail string
	Share              template.CSS
}

// Write writes the report as one HTML file, complete or not at all.
func Write(path string, r Report) error {
	p := page{Report: &r}
	for _, part := range []func() error{p.addTable, p.addSections, p.addSearch, p.addVerification, p.addParts} {
		if err := part(); err != nil {
			return fmt.Errorf("report %s: %w", path, err)
		}
	}
	p.addStages()
	var text bytes.Buffer
	if err := pageTemplate.Execute(&text, &p); err != nil {
		return fmt.Errorf("report %s: %w", path, err)
	}
	return durable.Replace(path, text.Bytes())
}

func (p *page) addTable() error {
	columns := knownColumns(p.Rows)
	pick := func(cells []string) []string {
		picked := make([]string, len(columns))
		for i, column := range columns {
			picked[i] = cells[column]
		}
		return picked
	}
	p.Header = pick(header)
	for _, r := range p.Rows {
		p.Table = append(p.Table, tableRow{pick(r.cells()), r.Winner})
	}
	return nil
}

func (p *page) addSearch() (err error) {
	if p.Search == nil || len(p.Search.Evaluated) == 0 {
		p.Search = nil
		return nil
	}
	if p.TradeOff, err = p.Search.tradeOff(); err != nil {
		return err
	}
	for _, point := range ParetoFront(p.Search.Evaluated) {
		p.Front = append(p.Front, frontRow{
			significant(point.Cost), fmt.Sprintf("%.1f", 100*point.MIoU), scaled(point.MACs, 1e9), scaled(point.Params, 1e6), point.Arch.String(),
		})
	}
	p.Evaluated = len(p.Search.Evaluated)
	return nil
}

func (p *page) addVerification() (err error) {
	v := p.Verification
	if v == nil || len(v.Points) == 0 {
		p.Verification = nil
		return nil
	}
	percent := func(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
	row := func(name string, a latency.Accuracy) accuracyRow {
		return accuracyRow{name, percent(a.MAPE), fmt.Sprintf("%+.1f %%", 100*a.Bias), percent(a.Max), fmt.Sprintf("%.3f", a.Spearman),
			percent(a.Within5), percent(a.Within10)}
	}
	p.Accuracy = []accuracyRow{
		row("whole network", v.Whole), row("searched part", v.Searched), row("whole, unscaled", v.Unscaled),
	}
	c := v.Conditions
	p.Measuring = fmt.Sprintf("%d random networks at %dx%d, batch %d, on %s. Turns rejected beside a busy machine: %d of %d. "+
		"The canary stood at %.2f of its level when the table was filled, and times are scaled by that; unscaled ones are as the clock gave them.",
		len(v.Points), v.Setup.H, v.Setup.W, v.Setup.Batch, v.Setup.Identity, c.Rejected, c.Turns, v.Level)
	p.Agreement, err = agreement(v)
	return err
}

func (p *page) addParts() (err error) {
	p.parts, err = newParts(p.Figures, p.Networks, p.Classes, p.ClassIoU, p.Scenes)
	return err
}

func (p *page) addStages() {
	var longest time.Duration
	for _, s := range p.Stages {
		longest = max(longest, s.Took)
	}
	for _, s := range p.Stages {
		row := stageRow{Name: s.Name, Took: clock(s.Took), Detail: s.Detail}
		if longest > 0 {
			row.Share = template.CSS(fmt.Sprintf("width:%.1f%%", 100*float64(s.Took)/float64(longest)))
		}
		p.StageRows = append(p.StageRows, row)
	}
}

// clock writes a duration for people: 0.8 s, 42 s, 5 min 07 s, 3 h 05 min.
func clock(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < time.Hour:
		s := int(d.Round(time.Second).Seconds())
		return fmt.Sprintf("%d min %02d s", s/60, s%60)
	}
	m := int(d.Round(time.Minute).Minutes())
	return fmt.Sprintf("%d h %02d min", m/60, m%60)
}
