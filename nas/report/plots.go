package report

import (
	"cmp"
	"fmt"
	"html/template"
	"math"
	"slices"

	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/segnas/segnas/nas/latency"
)

// ParetoFront returns the points that no other beats in both cost and mIoU, from the cheapest on; of equal ones, the first.
func ParetoFront(points []Point) []Point {
	sorted := slices.Clone(points)
	slices.SortStableFunc(sorted, func(a, b Point) int {
		return cmp.Or(cmp.Compare(a.Cost, b.Cost), cmp.Compare(b.MIoU, a.MIoU))
	})
	var front []Point
	for _, p := range sorted {
		if len(front) == 0 || p.MIoU > front[len(front)-1].MIoU {
			front = append(front, p)
		}
	}
	return front
}

func finite(values ...float64) bool {
	return !slices.ContainsFunc(values, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
}

// dots is a scatter of one glyph.
func dots(xys plotter.XYs, name string, shape draw.GlyphDrawer, radius vg.Length) *plotter.Scatter {
	return &plotter.Scatter{XYs: xys, GlyphStyle: draw.GlyphStyle{Color: variable(name), Radius: radius, Shape: shape}}
}

func line(xys plotter.XYs, name string, width vg.Length, dashes ...vg.Length) *plotter.Line {
	return &plotter.Line{XYs: xys, LineStyle: draw.LineStyle{Color: variable(name), Width: width, Dashes: dashes}}
}

// tradeOff draws every evaluated network, darker from generation to generation, the Pareto front, the limit and the marks.
func (s *Search) tradeOff() (template.HTML, error) {
	c := newChart(fmt.Sprintf("%s (%s)", s.Cost, s.Unit), "mIoU on the search's validation set (%)")
	points := slices.DeleteFunc(slices.Clone(s.Evaluated), func(p Point) bool { return !finite(p.Cost, p.MIoU) })
	s.addGenerations(c, points)
	var front plotter.XYs
	for _, p := range ParetoFront(points) {
		front = append(front, plotter.XY{X: p.Cost, Y: 100 * p.MIoU})
	}
	if len(front) > 0 {
		path, ends := line(front, "s2", 1.5), dots(front, "s2", draw.RingGlyph{}, 3.5)
		path.StepStyle = plotter.PostStep
		c.plot.Add(path, ends)
		c.name("Pareto front", path, ends)
	}
	shapes := []draw.GlyphDrawer{draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.CircleGlyph{}, draw.CrossGlyph{}}
	for i, m := range s.Marks {
		if !finite(m.Cost, m.MIoU) {
			continue
		}
		mark := dots(plotter.XYs{{X: m.Cost, Y: 100 * m.MIoU}}, fmt.Sprintf("s%d", 5-i%3), shapes[i%len(shapes)], 6)
		c.plot.Add(mark)
		c.name(m.Name, mark)
	}
	if s.Limit > 0 {
		c.plot.X.Min, c.plot.X.Max = min(c.plot.X.Min, s.Limit), max(c.plot.X.Max, s.Limit)
	}
	widen(&c.plot.X)
	widen(&c.plot.Y)
	if s.Limit > 0 {
		limit := line(plotter.XYs{{X: s.Limit, Y: c.plot.Y.Min}, {X: s.Limit, Y: c.plot.Y.Max}}, "ink", 1.2, 5, 3)
		c.plot.Add(limit)
		c.name(fmt.Sprintf("limit %s %s", significant(s.Limit), s.Unit), limit)
	}
	return c.svg(860, 400, fmt.Sprintf("mIoU against %s of the %d networks evaluated", s.Cost, len(points)))
}

// addGenerations shares the generations among the ramp's colours.
func (s *Search) addGenerations(c *chart, points []Point) {
	if len(points) == 0 {
		return
	}
	last := 1
	for _, p := range points {
		last = max(last, p.Generation)
	}
	groups := min(last, generationColours)
	for g := range groups {
		from, to := 1+g*last/groups, (g+1)*last/groups
		var xys plotter.XYs
		for _, p := range points {
			if p.Generation >= from && p.Generation <= to || g == 0 && p.Generation < 1 {
				xys = append(xys, plotter.XY{X: p.Cost, Y: 100 * p.MIoU})
			}
		}
		if len(xys) == 0 {
			continue
		}
		shade := generationColours
		if groups > 1 {
			shade = 1 + g*(generationColours-1)/(groups-1)
		}
		scatter := dots(xys, fmt.Sprintf("g%d", shade), draw.CircleGlyph{}, 2.6)
		c.plot.Add(scatter)
		name := fmt.Sprintf("generation %d", from)
		if to > from {
			name = fmt.Sprintf("generations %d to %d", from, to)
		}
		c.name(name, scatter)
	}
}

// agreement draws predicted over measured latencies, with the line on which they are equal and 5 % to either side.
func agreement(v *latency.Verification) (template.HTML, error) {
	c := newChart("measured (ms)", "predicted (ms)")
	var whole, searched plotter.XYs
	high := 0.0
	for _, p := range v.Points {
		if !finite(p.Measured, p.Predicted, p.MeasuredSearched, p.PredictedSearched) {
			continue
		}
		whole = append(whole, plotter.XY{X: p.Measured, Y: p.Predicted})
		searched = append(searched, plotter.XY{X: p.MeasuredSearched, Y: p.PredictedSearched})
		high = max(high, p.Measured, p.Predicted)
	}
	low := high
	for _, p := range append(slices.Clone(whole), searched...) {
		low = min(low, p.X, p.Y)
	}
	low, high = max(0, low-0.05*(high-low)), high+0.05*(high-low)
	ray := func(slope float64) plotter.XYs {
		return plotter.XYs{{X: low, Y: slope * low}, {X: high, Y: slope * high}}
	}
	equal, above, below := line(ray(1), "muted", 1.2), line(ray(1.05), "muted", 1, 3, 3), line(ray(0.95), "muted", 1, 3, 3)
	all, part := dots(whole, "s1", draw.CircleGlyph{}, 3), dots(searched, "s2", draw.PyramidGlyph{}, 3)
	c.plot.Add(equal, above, below, all, part)
	c.name("whole network", all)
	c.name("searched part", part)
	c.name("equal", equal)
	c.name("5 % off", above)
	c.plot.X.Min, c.plot.X.Max, c.plot.Y.Min, c.plot.Y.Max = low, high, low*0.95, high*1.05
	return c.svg(600, 400, fmt.Sprintf("predicted against measured latency of %d networks", len(whole)))
}
