package run

import (
	"fmt"
	"io"
	"math"
	"path/filepath"
	"text/tabwriter"
	"time"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// column is a value of a cell in the table. Unit "%" is a share, written times 100.
type column struct {
	Name string `json:"name"`
	Unit string `json:"unit"`
}

func (c column) header() string {
	if c.Unit == "" {
		return c.Name
	}
	return c.Name + " " + c.Unit
}

func (c column) text(v float64) string {
	if c.Unit == "%" {
		return fmt.Sprintf("%.2f", 100*v)
	}
	return fmt.Sprintf("%.4g", v)
}

// difference writes a difference with half the width of its interval, where there is one.
func (c column) difference(d, half float64) string {
	scale, digits := 1.0, 3
	if c.Unit == "%" {
		scale, digits = 100, 2
	}
	if half == 0 {
		return fmt.Sprintf("%+.*f", digits, scale*d)
	}
	return fmt.Sprintf("%+.*f ± %.*f", digits, scale*d, digits, scale*half)
}

// cell is one training of a variant: a file in its folder.
type cell struct {
	Variant string             `json:"variant"`
	Seed    uint64             `json:"seed"`
	Score   float64            `json:"score"` // by the ablation's first column: what the variants are compared by
	More    map[string]float64 `json:"more,omitempty"`
	// Arch is the network that the variant is or found, Counts what it saw, as in metrics.Confusion, and Lists what a plot is made of.
	Arch   *space.Arch          `json:"arch,omitempty"`
	Counts []int64              `json:"confusion,omitempty"`
	Lists  map[string][]float64 `json:"lists,omitempty"`
	Took   time.Duration        `json:"took_ns"`
}

// Ablated is what tools/ablate found out.
type Ablated struct {
	Name    string           `json:"name"`
	Use     string           `json:"use"` // what is asked, in words
	Data    string           `json:"data"`
	Height  int              `json:"height"`
	Width   int              `json:"width"`
	Preset  string           `json:"preset"`
	Device  latency.Identity `json:"device"`
	Classes train.Classes    `json:"classes"`
	Columns []column         `json:"columns"`
	Seeds   int              `json:"seeds"`
	Rows    []AblatedRow     `json:"rows"`
	Cells   []cell           `json:"cells"`
	// What all cells together tell.
	Tables   []report.Table   `json:"tables,omitempty"`
	Notes    []string         `json:"notes,omitempty"`
	Figures  []report.Figure  `json:"figures,omitempty"`
	Networks []report.Network `json:"networks,omitempty"`
	Folder   string           `json:"folder"`
}

// AblatedRow is one variant over all seeds. Shares, not percent.
type AblatedRow struct {
	Variant string  `json:"variant"`
	What    string  `json:"what"`
	Mean    float64 `json:"mean"`
	SD      float64 `json:"sd"` // of a seed
	// Difference is the mean over the seeds of the score less the first variant's with the same seed, and Error half the width of its 95 % confidence
	// interval (Student's t); both 0 for the first one.
	Difference float64            `json:"difference"`
	Error      float64            `json:"error"`
	More       map[string]float64 `json:"more,omitempty"` // means
	Took       time.Duration      `json:"took_ns"`        // of a seed, mean
}

// ofSeeds returns a variant's cells by their seeds.
func (a *Ablated) ofSeeds(variant string) map[uint64]cell {
	cells := map[uint64]cell{}
	for _, c := range a.Cells {
		if c.Variant == variant {
			cells[c.Seed] = c
		}
	}
	return cells
}

// interval returns the mean of the values and half the width of its 95 % confidence interval by Student's t; 0 for a single value.
func interval(values []float64) (mean, half float64) {
	n := len(values)
	if n > 1 {
		half = distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975) * stat.StdDev(values, nil) / math.Sqrt(float64(n))
	}
	return stat.Mean(values, nil), half
}

// meanText writes the mean of a seed's values with its interval, where there is one; "-" of none.
func meanText(values []float64, digits int) string {
	switch mean, half := interval(values); len(values) {
	case 0:
		return "-"
	case 1:
		return fmt.Sprintf("%.*f", digits, mean)
	default:
		return fmt.Sprintf("%.*f ± %.*f", digits, mean, digits, half)
	}
}

// rowOf sums up a variant's cells beside those of the first one.
func rowOf(v variant, first string, cells []cell) AblatedRow {
	row := AblatedRow{Variant: v.name, What: v.what, More: map[string]float64{}}
	all := Ablated{Cells: cells}
	base := all.ofSeeds(first)
	var scores, differences []float64
	for _, c := range cells {
		if c.Variant != v.name {
			continue
		}
		scores, differences = append(scores, c.Score), append(differences, c.Score-base[c.Seed].Score)
		row.Took += c.Took
		for name, value := range c.More {
			row.More[name] += value
		}
	}
	n := len(scores)
	row.Took /= time.Duration(n)
	for name := range row.More {
		row.More[name] /= float64(n)
	}
	row.Mean, _ = interval(scores)
	if row.Difference, row.Error = interval(differences); n > 1 {
		row.SD = stat.StdDev(scores, nil)
	}
	return row
}

// table is the comparison of the variants, as texts.
func (a Ablated) table() (header []string, rows [][]string) {
	score := a.Columns[0]
	header = []string{"variant", score.header()}
	if a.Seeds > 1 {
		header = append(header, "sd")
	}
	if len(a.Rows) > 1 {
		header = append(header, "difference (95 %)")
	}
	for _, c := range a.Columns[1:] {
		header = append(header, c.header())
	}
	for i, r := range a.Rows {
		row := []string{r.Variant, score.text(r.Mean)}
		if a.Seeds > 1 {
			row = append(row, score.text(r.SD))
		}
		switch {
		case i > 0:
			row = append(row, score.difference(r.Difference, r.Error))
		case len(a.Rows) > 1:
			row = append(row, "")
		}
		for _, c := range a.Columns[1:] {
			text := ""
			if v, has := r.More[c.Name]; has {
				text = c.text(v)
			}
			row = append(row, text)
		}
		rows = append(rows, append(row, short(r.Took), r.What))
	}
	return append(header, "time", "what"), rows
}

// print writes the tables for people.
func (a Ablated) print(w io.Writer) error {
	fmt.Fprintf(w, "\n%s on %s, %dx%d: %s; seeds: %d\n\n", a.Name, a.Data, a.Height, a.Width, a.Use, a.Seeds)
	header, rows := a.table()
	if err := writeRows(w, header, rows); err != nil {
		return err
	}
	for _, t := range a.Tables {
		fmt.Fprintf(w, "\n%s\n", t.Title)
		if err := writeRows(w, t.Header, t.Rows); err != nil {
			return err
		}
		if t.Note != "" {
			fmt.Fprintln(w, t.Note)
		}
	}
	fmt.Fprintln(w)
	for _, n := range a.Notes {
		fmt.Fprintln(w, n)
	}
	_, err := fmt.Fprintf(w, "\n%s\n", filepath.Join(a.Folder, resultFile))
	return err
}

func writeRows(w io.Writer, header []string, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		for i, text := range row {
			if i > 0 {
				fmt.Fprint(table, "\t")
			}
			fmt.Fprint(table, text)
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}
