package run

import (
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/pflag"
	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"

	"github.com/segnas/segnas/nas/misuse"
)

// An ablation trains the same thing with one setting changed at a time, over several seeds, and scores it on the search's validation pictures, so that
// what is chosen by it was not chosen on the reported ones.

// ablation is a set of variants under one name, and how one of them is trained and scored.
type ablation struct {
	name, use string
	variants  []variant
	score     func(p *pipeline, ctx context.Context, name string) (cell, error)
}

// variant changes the configuration of the first one, which changes nothing.
type variant struct {
	name, what string
	change     func(c *Config)
}

// cell is one training of a variant: a file in its folder.
type cell struct {
	Variant string             `json:"variant"`
	Seed    uint64             `json:"seed"`
	Score   float64            `json:"score"` // mean IoU, a share: what the variants are compared by
	More    map[string]float64 `json:"more,omitempty"`
	Took    time.Duration      `json:"took_ns"`
}

// Ablated is what tools/ablate found out.
type Ablated struct {
	Name   string       `json:"name"`
	Data   string       `json:"data"`
	Score  string       `json:"score"` // in words
	Seeds  int          `json:"seeds"`
	Rows   []AblatedRow `json:"rows"`
	Cells  []cell       `json:"cells"`
	Folder string       `json:"folder"`
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

type ablateOptions struct {
	folderOptions
	ablation ablation
	seeds    int
	only     []string
}

func parseAblate(args []string, s Streams) (o ablateOptions, err error) {
	if o.cfg, err = presetOf(args); err != nil {
		return o, err
	}
	fs := pflag.NewFlagSet("ablate", pflag.ContinueOnError)
	dataFlags(fs, &o.cfg)
	fs.IntVar(&o.seeds, "seeds", 3, "trainings of each variant: --seed and the numbers after it")
	fs.StringSliceVar(&o.only, "only", nil, "variants to train, beside the first, with commas between (default: all)")
	fs.StringVar(&o.out, "out", "", "folder (default: runs/ablate-NAME-DATA-PRESET)")
	fs.BoolVar(&o.json, "json", false, "print the result as JSON")
	machineFlags(fs, &o.machine)
	searchFlags(fs, &o.cfg)
	trainingFlags(fs, &o.cfg)
	if err := parse(fs, args, "NAME, one of:\n"+ablationList(), s); err != nil {
		return o, err
	}
	i := slices.IndexFunc(ablations(), func(a ablation) bool { return fs.NArg() == 1 && a.name == fs.Arg(0) })
	if i < 0 {
		return o, misuse.Errorf("name one ablation: %s", strings.Join(ablationNames(), " or "))
	}
	if o.ablation, err = ablations()[i].restricted(o.only); err != nil {
		return o, err
	}
	if o.seeds < 1 {
		return o, misuse.Errorf("--seeds: %d; at least 1 is needed", o.seeds)
	}
	if o.out == "" {
		o.out = filepath.Join("runs", fmt.Sprintf("ablate-%s-%s-%s", o.ablation.name, filepath.Base(filepath.Clean(o.cfg.Data)), o.cfg.Preset))
	}
	for _, v := range o.ablation.variants {
		c := o.cfg
		v.change(&c)
		if err := c.Validate(); err != nil {
			return o, fmt.Errorf("variant %s: %w", v.name, err)
		}
	}
	o.printed, err = configPrinted(fs, o.cfg, s)
	return o, err
}

func ablationNames() (names []string) {
	for _, a := range ablations() {
		names = append(names, a.name)
	}
	return names
}

func ablationList() string {
	text := ""
	for _, a := range ablations() {
		text += fmt.Sprintf("  %-10s %s\n", a.name, a.use)
	}
	return text
}

// restricted keeps the first variant and those that are named.
func (a ablation) restricted(only []string) (ablation, error) {
	if len(only) == 0 {
		return a, nil
	}
	kept := a.variants[:1:1]
	for _, name := range only {
		i := slices.IndexFunc(a.variants, func(v variant) bool { return v.name == name })
		if i < 0 {
			return a, misuse.Errorf("--only: %q is no variant of %s", name, a.name)
		}
		if i > 0 {
			kept = append(kept, a.variants[i])
		}
	}
	a.variants = kept
	return a, nil
}

// Ablate is tools/ablate: it trains variants of one thing over several seeds and says by how much they differ.
func Ablate(ctx context.Context, args []string, s Streams) error {
	o, err := parseAblate(args, s)
	if err != nil || o.printed {
		return err
	}
	return o.run(ctx, s, func(p *pipeline) (printer, error) { return p.ablate(ctx, o) })
}

// ablate trains what the folder lacks, seed by seed, so that an interrupted ablation has whole comparisons.
func (p *pipeline) ablate(ctx context.Context, o ablateOptions) (Ablated, error) {
	result := Ablated{Name: o.ablation.name, Data: p.data.Train.Name(), Score: o.ablation.use, Seeds: o.seeds, Folder: p.folder.path}
	base := p.cfg
	all := o.seeds * len(o.ablation.variants)
	for seed := range o.seeds {
		for _, v := range o.ablation.variants {
			p.cfg = base
			p.cfg.Seed = base.Seed + uint64(seed)
			v.change(&p.cfg)
			name := fmt.Sprintf("%s-%d", v.name, p.cfg.Seed)
			fmt.Fprintf(p.streams.Err, "%d of %d: %s (%s), seed %d\n", len(result.Cells)+1, all, v.name, v.what, p.cfg.Seed)
			c, err := p.cell(ctx, o.ablation, v, name)
			if err != nil {
				return result, fmt.Errorf("%s: %w", name, err)
			}
			result.Cells = append(result.Cells, c)
		}
	}
	for _, v := range o.ablation.variants {
		result.Rows = append(result.Rows, rowOf(v, o.ablation.variants[0].name, result.Cells))
	}
	return result, writeJSON(p.folder.file(resultFile), result)
}

// savedCell is a cell with the settings that it was made with.
type savedCell struct {
	Settings string `json:"settings"`
	cell
}

// cell trains and scores one variant with one seed, or reads what that gave.
func (p *pipeline) cell(ctx context.Context, a ablation, v variant, name string) (cell, error) {
	if _, err := p.folder.sub(name); err != nil {
		return cell{}, err
	}
	path := p.folder.file(name, resultFile)
	var old savedCell
	if found, err := finished(path, &old); err != nil {
		return cell{}, err
	} else if found {
		if old.Settings != p.cfg.hash() {
			return cell{}, misuse.Errorf("%s was made with other settings; give another folder with --out", path)
		}
		return old.cell, nil
	}
	if err := p.balance(ctx); err != nil {
		return cell{}, err
	}
	began := time.Now()
	c, err := a.score(p, ctx, name)
	if err != nil {
		return c, err
	}
	c.Variant, c.Seed, c.Took = v.name, p.cfg.Seed, time.Since(began)
	return c, writeJSON(path, savedCell{p.cfg.hash(), c})
}

// rowOf sums up a variant's cells beside those of the first one.
func rowOf(v variant, first string, cells []cell) AblatedRow {
	row := AblatedRow{Variant: v.name, What: v.what, More: map[string]float64{}}
	base := map[uint64]float64{}
	for _, c := range cells {
		if c.Variant == first {
			base[c.Seed] = c.Score
		}
	}
	var scores, differences []float64
	for _, c := range cells {
		if c.Variant != v.name {
			continue
		}
		scores, differences = append(scores, c.Score), append(differences, c.Score-base[c.Seed])
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
	row.Mean, row.Difference = stat.Mean(scores, nil), stat.Mean(differences, nil)
	if n > 1 {
		row.SD = stat.StdDev(scores, nil)
		row.Error = distuv.StudentsT{Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975) * stat.StdDev(differences, nil) / math.Sqrt(float64(n))
	}
	return row
}

// print writes the table for people.
func (a Ablated) print(w io.Writer) error {
	fmt.Fprintf(w, "\n%s on %s: %s; %d seeds\n\n", a.Name, a.Data, a.Score, a.Seeds)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	header := "variant\tmIoU %\tsd\tdifference (95 %)\t"
	var more []string
	for name := range a.Rows[0].More {
		more = append(more, name)
	}
	slices.Sort(more)
	for _, name := range more {
		header += name + " %\t"
	}
	fmt.Fprintln(table, header+"time\twhat")
	for i, r := range a.Rows {
		difference := ""
		if i > 0 {
			difference = fmt.Sprintf("%+.2f ± %.2f", 100*r.Difference, 100*r.Error)
			if a.Seeds == 1 {
				difference = fmt.Sprintf("%+.2f", 100*r.Difference)
			}
		}
		fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%s\t", r.Variant, 100*r.Mean, 100*r.SD, difference)
		for _, name := range more {
			fmt.Fprintf(table, "%.2f\t", 100*r.More[name])
		}
		fmt.Fprintf(table, "%s\t%s\n", short(r.Took), r.What)
	}
	fmt.Fprintf(table, "\n%s\n", filepath.Join(a.Folder, resultFile))
	return table.Flush()
}
