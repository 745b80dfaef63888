package report

import (
	"html/template"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

const (
	curvePoints = 300 // a curve's points at most; more are averaged
	legendLine  = 18  // height of a series' line in the legend
	manyPlaces  = 10  // named places; a figure of more is as wide as the page
	yAxisWidth  = 56  // about what the y axis takes from the plot's width
)

// Series of the same colour are told apart by dashes, dots by shapes.
var (
	seriesDashes = [][]vg.Length{nil, {5, 2}, {1.5, 2}, {7, 2, 1.5, 2}}
	seriesShapes = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.BoxGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}}
)

func (f *Figure) wide() bool { return len(f.Ticks) > manyPlaces }

// curves draws a figure's series.
func (f *Figure) curves() (template.HTML, error) {
	c := newChart(f.XLabel, f.YLabel)
	places := len(f.Ticks) > 0
	apart := 0.0
	if places && f.placesAreShared() {
		apart = min(0.12, 0.6/float64(len(f.Series)))
	}
	for i, s := range f.Series {
		s.Dots = s.Dots || places
		c.addSeries(i, s, apart*(float64(i)-float64(len(f.Series)-1)/2))
	}
	w, h := vg.Length(600), max(300, vg.Length(len(f.Series))*legendLine)
	if f.wide() {
		w = 900
	}
	widen(&c.plot.Y)
	if places {
		c.plot.X.Min, c.plot.X.Max = min(c.plot.X.Min, -0.5), max(c.plot.X.Max, float64(len(f.Ticks))-0.5)
		h += c.namePlaces(f.Ticks, w)
	} else {
		widen(&c.plot.X)
	}
	return c.svg(w, h, f.Title)
}

// placesAreShared tells whether two series have points over the same place: their error bars would hide each other.
func (f *Figure) placesAreShared() bool {
	owner := map[float64]int{}
	for i, s := range f.Series {
		for _, x := range s.X {
			if first, taken := owner[x]; taken && first != i {
				return true
			}
			owner[x] = i
		}
	}
	return false
}

// addSeries draws a series in its colour, moved to the right by shift.
func (c *chart) addSeries(i int, s Series, shift float64) {
	xys, bars := s.points(shift)
	if len(xys) == 0 {
		return
	}
	var thumbs []plot.Thumbnailer
	if len(bars.XYs) > 0 {
		bars.LineStyle, bars.CapWidth = draw.LineStyle{Color: seriesColour(i), Width: 1.4}, 7
		c.plot.Add(bars)
	}
	ends := &plotter.Scatter{XYs: xys, GlyphStyle: draw.GlyphStyle{Color: seriesColour(i), Radius: 2, Shape: draw.CircleGlyph{}}}
	if s.Dots {
		ends.Radius, ends.Shape = 3.2, seriesShapes[i/seriesColours%len(seriesShapes)]
	} else {
		curve := &plotter.Line{XYs: xys, LineStyle: draw.LineStyle{Color: seriesColour(i), Width: 1.6}}
		curve.Dashes = seriesDashes[i/seriesColours%len(seriesDashes)]
		c.plot.Add(curve)
		thumbs = append(thumbs, curve)
	}
	if s.Dots || len(xys) < 30 {
		c.plot.Add(ends)
		thumbs = append(thumbs, ends)
	}
	if s.Name != "" {
		c.name(s.Name, thumbs...)
	}
}

// points is the series' finite points, and their error bars where they have some. Of a curve of more than curvePoints, the points are the
// means of equal runs of them; dots stay, and so does what error bars belong to.
func (s Series) points(shift float64) (plotter.XYs, *plotter.YErrorBars) {
	var all plotter.XYs
	bars := &plotter.YErrorBars{}
	for i := range min(len(s.X), len(s.Y)) {
		if !finite(s.X[i], s.Y[i]) {
			continue
		}
		p := plotter.XY{X: s.X[i] + shift, Y: s.Y[i]}
		all = append(all, p)
		if i < len(s.Error) && finite(s.Error[i]) && s.Error[i] > 0 {
			bars.XYs = append(bars.XYs, p)
			bars.YErrors = append(bars.YErrors, struct{ Low, High float64 }{s.Error[i], s.Error[i]})
		}
	}
	if s.Dots || len(bars.XYs) > 0 {
		return all, bars
	}
	return thinned(all), bars
}

func thinned(all plotter.XYs) plotter.XYs {
	if len(all) <= curvePoints {
		return all
	}
	thin := make(plotter.XYs, curvePoints)
	for i := range thin {
		run := all[i*len(all)/curvePoints : (i+1)*len(all)/curvePoints]
		for _, p := range run {
			thin[i].X += p.X / float64(len(run))
			thin[i].Y += p.Y / float64(len(run))
		}
	}
	return thin
}

// namePlaces writes names below the places 0, 1, ... of a chart of the given width: level, over a few lines where it must be, and slanted
// where even that is too narrow. It returns the height that this takes beyond one line.
func (c *chart) namePlaces(names []string, w vg.Length) vg.Length {
	const mostLines, mostRunes = 4, 44
	style := &c.plot.X.Tick.Label
	slot := 0.9 * (w - c.side(draw.New(vgsvg.New(w, w))) - yAxisWidth) / vg.Length(len(names)) // other faces may be wider
	texts := make([]string, len(names))
	lines, level := 1, true
	for i, name := range names {
		broken, widest := wrap(name, slot, style.Width)
		level = level && widest <= slot && len(broken) <= mostLines
		lines = max(lines, len(broken))
		texts[i] = strings.Join(broken, "\n")
	}
	extra := vg.Length(lines-1) * tickSize
	if !level {
		// Downwards, since the canvas leaves room for what its last name needs to the right, but not to the left of the first.
		style.Rotation, style.XAlign, style.YAlign = -math.Pi/4, text.XLeft, text.YCenter
		longest := vg.Length(0)
		for i, name := range names {
			texts[i] = shorten(name, mostRunes)
			longest = max(longest, style.Width(texts[i]))
		}
		extra = longest * math.Sqrt2 / 2
	}
	ticks := make(plot.ConstantTicks, len(names))
	for i := range ticks {
		if missing := lines - 1 - strings.Count(texts[i], "\n"); level && texts[i] != "" {
			texts[i] += strings.Repeat("\n ", missing) // all of one height, or they would not begin at one
		}
		ticks[i] = plot.Tick{Value: float64(i), Label: texts[i]}
	}
	c.plot.X.Tick.Marker = ticks
	return extra
}

// wrap breaks a text at its blanks into lines of at most the given width, but for words that are wider, and returns the widest line's.
func wrap(s string, most vg.Length, width func(string) vg.Length) (lines []string, widest vg.Length) {
	for _, word := range strings.Fields(s) {
		if last := len(lines) - 1; last >= 0 && width(lines[last]+" "+word) <= most {
			lines[last] += " " + word
		} else {
			lines = append(lines, word)
		}
	}
	if len(lines) == 0 {
		lines = []string{""}
	}
	for _, line := range lines {
		widest = max(widest, width(line))
	}
	return lines, widest
}
