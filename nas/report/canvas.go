package report

import (
	"bytes"
	"fmt"
	"html"
	"html/template"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Plots are drawn in placeholder colours, one per name, which turn into style-sheet variables in the page: that is how one
// drawing suits light and dark. Series colours are those of Okabe and Ito, distinct to colour-blind eyes; generations have a ramp.
var variables = []string{"ink", "muted", "grid", "s1", "s2", "s3", "s4", "s5", "s6", "g1", "g2", "g3", "g4", "g5", "g6"}

const (
	seriesColours     = 6
	generationColours = 6
)

func placeholder(i int) color.RGBA { return color.RGBA{R: 1, G: 2, B: uint8(i), A: 255} }

// variable is the placeholder of a name in variables.
func variable(name string) color.Color {
	for i, v := range variables {
		if v == name {
			return placeholder(i)
		}
	}
	panic("report: no colour is called " + name)
}

func seriesColour(i int) color.Color { return variable(fmt.Sprintf("s%d", i%seriesColours+1)) }

var toVariables = func() *strings.Replacer {
	var pairs []string
	for i, v := range variables {
		c := placeholder(i)
		pairs = append(pairs, fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B), "var(--"+v+")")
	}
	// The canvas names the face whose widths it used; the others are as wide.
	pairs = append(pairs, "font-family:Liberation Sans", "font-family:Liberation Sans,Arial,Helvetica,sans-serif")
	return strings.NewReplacer(pairs...)
}()

const (
	labelSize = 12 // points, which are SVG units here
	tickSize  = 11
	legendGap = 16 // between the plot and its legend
)

func sans(size vg.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

// chart is a plot and the legend beside it.
type chart struct {
	plot    *plot.Plot
	legend  plot.Legend
	entries int
}

func newChart(xLabel, yLabel string) *chart {
	c := &chart{plot: plot.New(), legend: plot.NewLegend()}
	c.plot.BackgroundColor = nil
	for _, axis := range []*plot.Axis{&c.plot.X, &c.plot.Y} {
		axis.LineStyle.Width = 0
		axis.Padding = 4
		axis.Label.TextStyle.Font = sans(labelSize)
		axis.Label.TextStyle.Color = variable("ink")
		axis.Label.Padding = 4
		axis.Tick.Label.Font = sans(tickSize)
		axis.Tick.Label.Color = variable("muted")
		axis.Tick.LineStyle.Width = 0
		axis.Tick.Length = 2
		axis.Tick.Marker = plot.TickerFunc(roundTicks)
	}
	c.plot.X.Label.Text, c.plot.Y.Label.Text = xLabel, yLabel
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = variable("grid"), variable("grid")
	grid.Vertical.Width, grid.Horizontal.Width = 1, 1
	c.plot.Add(grid)
	c.legend.TextStyle.Font = sans(tickSize)
	c.legend.TextStyle.Color = variable("ink")
	c.legend.Top, c.legend.Left = true, true
	c.legend.ThumbnailWidth = 18
	c.legend.Padding = 6
	return c
}

func (c *chart) name(text string, thumbs ...plot.Thumbnailer) {
	c.legend.Add(shorten(text, 28), thumbs...)
	c.entries++
}

// shorten keeps a legend's text inside its column.
func shorten(text string, most int) string {
	runes := []rune(text)
	if len(runes) <= most {
		return text
	}
	return string(runes[:most-1]) + "…"
}

// roundTicks are multiples of 1, 2 or 5 times a power of ten, about six of them.
func roundTicks(low, high float64) []plot.Tick {
	span := high - low
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	step := math.Pow(10, math.Floor(math.Log10(span/6)))
	for _, factor := range []float64{2, 2.5, 2} { // 2, 5, 10
		if span/step <= 7 {
			break
		}
		step *= factor
	}
	decimals := max(0, int(-math.Floor(math.Log10(step)+1e-9)))
	var ticks []plot.Tick
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		v := i * step
		if i == 0 {
			v = 0 // not -0
		}
		ticks = append(ticks, plot.Tick{Value: v, Label: strconv.FormatFloat(v, 'f', decimals, 64)})
	}
	return ticks
}

// widen leaves room around the data, and gives a lone value an axis.
func widen(axis *plot.Axis) {
	span := axis.Max - axis.Min
	if span <= 0 {
		span = max(1e-3, math.Abs(axis.Max)/5)
	}
	axis.Min -= 0.04 * span
	axis.Max += 0.04 * span
}

// side is the width that the legend takes from the plot.
func (c *chart) side(area draw.Canvas) vg.Length {
	if c.entries == 0 {
		return 0
	}
	return 1.15*c.legend.Rectangle(area).Size().X + legendGap // other faces than the measured one may be wider
}

// svg draws the chart as an SVG element of the given size in units, named for those who cannot see it.
func (c *chart) svg(w, h vg.Length, label string) (template.HTML, error) {
	canvas := vgsvg.New(w, h)
	area := draw.New(canvas)
	if side := c.side(area); side > 0 {
		c.plot.Draw(draw.Crop(area, 0, -side, 0, 0))
		c.legend.Draw(draw.Crop(area, w-side+legendGap, 0, 0, -6))
	} else {
		c.plot.Draw(draw.Crop(area, 0, -6, 0, 0))
	}
	var buf bytes.Buffer
	if _, err := canvas.WriteTo(&buf); err != nil {
		return "", fmt.Errorf("draw %s: %w", label, err)
	}
	// The page needs neither the document's prologue nor its name spaces, and sets the size itself.
	_, body, found := strings.Cut(buf.String(), "<g ")
	if !found {
		return "", fmt.Errorf("draw %s: the canvas gave no drawing", label)
	}
	open := fmt.Sprintf(`<svg viewBox="0 0 %g %g" role="img" aria-label="%s"><g `, w.Points(), h.Points(), html.EscapeString(label))
	return template.HTML(open + toVariables.Replace(body)), nil
}
