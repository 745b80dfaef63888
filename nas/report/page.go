package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"math"
	"strings"
	"time"

	xdraw "golang.org/x/image/draw"

	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/latency"
)

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"stages": func(arch string) []string { return strings.Split(arch, "_") }, // where its text may break
}).Parse(pageText))

// page is what the template shows: texts, and drawings as markup of this package's own making.
type page struct {
	*Report
	Header     []string
	Table      []tableRow
	TradeOff   template.HTML
	Front      []frontRow
	Evaluated  int
	Agreement  template.HTML
	Accuracy   []accuracyRow
	Measuring  string
	Curves     []curve
	Drawings   []drawing
	Kernels    []int
	Swatches   []swatch
	IoUHeader  []string
	IoURows    []iouRow
	SceneHeads []string
	SceneRows  []sceneRow
	StageRows  []stageRow
}

type tableRow struct {
	Cells  []string
	Winner bool
}

type frontRow struct{ Cost, MIoU, MACs, Params, Arch string }

type accuracyRow struct{ Name, MAPE, Bias, Max, Spearman, Within5, Within10 string }

type curve struct {
	Title string
	Plot  template.HTML
}

type drawing struct {
	Name, Arch string
	SVG        template.HTML
}

type swatch struct {
	Name  string
	Style template.CSS
}

type iouRow struct {
	Class swatch
	Cells []iouCell
}

type iouCell struct {
	Text  string
	Style template.CSS
	Best  bool
}

type sceneRow struct {
	Name     string
	Pictures []template.URL
}

type stageRow struct {
	Name, Took, Detail string
	Share              template.CSS
}

// Write writes the report as one HTML file, complete or not at all.
func Write(path string, r Report) error {
	p := page{Report: &r}
	for _, part := range []func() error{p.addTable, p.addSearch, p.addVerification, p.addCurves, p.addScenes} {
		if err := part(); err != nil {
			return fmt.Errorf("report %s: %w", path, err)
		}
	}
	p.addNetworks()
	p.addClasses()
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

func (p *page) addCurves() error {
	for i := range p.Figures {
		plot, err := p.Figures[i].curves()
		if err != nil {
			return err
		}
		p.Curves = append(p.Curves, curve{p.Figures[i].Title, plot})
	}
	return nil
}

func (p *page) addNetworks() {
	var used [10]bool
	for _, n := range p.Networks {
		p.Drawings = append(p.Drawings, drawing{n.Name, n.Arch.String(), template.HTML(archSVG(n.Arch))})
		for s := range n.Arch.Blocks {
			for _, b := range n.Arch.Blocks[s][:n.Arch.Depth[s]] {
				used[b.Kernel] = true
			}
		}
	}
	for k, is := range used {
		if is {
			p.Kernels = append(p.Kernels, k)
		}
	}
}

func (p *page) addClasses() {
	for _, c := range p.Classes {
		p.Swatches = append(p.Swatches, swatch{c.Name, template.CSS("background:" + hex(c.Color))})
	}
	if len(p.ClassIoU) == 0 {
		return
	}
	for _, n := range p.ClassIoU {
		p.IoUHeader = append(p.IoUHeader, n.Name)
	}
	for i, s := range p.Swatches {
		row := iouRow{Class: s}
		best := 0.0
		for _, n := range p.ClassIoU {
			if i < len(n.IoU) && !math.IsNaN(n.IoU[i]) {
				best = max(best, n.IoU[i])
			}
		}
		for _, n := range p.ClassIoU {
			cell := iouCell{Text: unknown}
			if i < len(n.IoU) && !math.IsNaN(n.IoU[i]) {
				cell.Text = fmt.Sprintf("%.1f", 100*n.IoU[i])
				cell.Style = template.CSS(fmt.Sprintf("--share:%.1f%%", 100*n.IoU[i]))
				cell.Best = len(p.ClassIoU) > 1 && n.IoU[i] == best && best > 0
			}
			row.Cells = append(row.Cells, cell)
		}
		p.IoURows = append(p.IoURows, row)
	}
}

func hex(c color.Color) string {
	rgb := color.NRGBAModel.Convert(c).(color.NRGBA)
	return fmt.Sprintf("#%02x%02x%02x", rgb.R, rgb.G, rgb.B)
}

// addScenes gives every network a column, in the order in which they first occur.
func (p *page) addScenes() error {
	column := map[string]int{}
	for _, s := range p.Scenes {
		for _, prediction := range s.Predictions {
			if _, known := column[prediction.Name]; !known {
				column[prediction.Name] = len(column)
				p.SceneHeads = append(p.SceneHeads, prediction.Name)
			}
		}
	}
	for _, s := range p.Scenes {
		pictures := make([]image.Image, 2+len(column))
		pictures[0], pictures[1] = s.Input, s.Truth
		for _, prediction := range s.Predictions {
			pictures[2+column[prediction.Name]] = prediction.Image
		}
		row := sceneRow{Name: s.Name, Pictures: make([]template.URL, len(pictures))}
		for i, picture := range pictures {
			if picture == nil {
				continue
			}
			url, err := embed(picture, i > 0)
			if err != nil {
				return fmt.Errorf("scene %s: %w", s.Name, err)
			}
			row.Pictures[i] = url
		}
		p.SceneRows = append(p.SceneRows, row)
	}
	return nil
}

const pictureWidth = 512 // pixels at most in the page

// embed turns a picture into a data URL. Wide ones shrink: label pictures by picking pixels, since colours between classes
// would be classes that are not there.
func embed(picture image.Image, labels bool) (template.URL, error) {
	if size := picture.Bounds().Size(); size.X > pictureWidth {
		small := image.NewRGBA(image.Rect(0, 0, pictureWidth, max(1, size.Y*pictureWidth/size.X)))
		scaler := xdraw.Interpolator(xdraw.CatmullRom)
		if labels {
			scaler = xdraw.NearestNeighbor
		}
		scaler.Scale(small, small.Bounds(), picture, picture.Bounds(), xdraw.Src, nil)
		picture = small
	}
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&file, picture); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(file.Bytes())), nil
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
