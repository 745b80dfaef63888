package run

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/misuse"
)

// An ablation asks one question: it trains the same thing in several ways, over several seeds, and compares seed by seed. What serves to choose by is
// scored on the search's validation pictures, so that it was not chosen on the reported ones; columns say which they are.

// scorer trains and scores one variant with one seed, those of p.cfg; name is its folder inside the ablation's.
type scorer func(p *pipeline, ctx context.Context, name string) (cell, error)

// ablation is a question: variants under one name, and how one of them is trained and scored.
type ablation struct {
	name, use string
	// columns name a cell's score, and after it the values of cell.More that the table shows.
	columns  []column
	variants []variant
	score    scorer
	// conclude adds to the table what only all cells together tell; nil where that is nothing.
	conclude func(p *pipeline, ctx context.Context, a *Ablated) error
	// measures says that it runs deployed networks.
	measures bool
}

// variant changes the configuration of the first one, which as a rule changes nothing, or is scored in a way of its own.
type variant struct {
	name, what string
	change     func(c *Config) // nil: not at all
	score      scorer          // nil: the ablation's
	// needs says what this machine lacks for it; nil: nothing. Such a variant is left out, and the result says so.
	needs func(p *pipeline) error
}

// config returns the variant's configuration.
func (v variant) config(c Config) Config {
	if v.change != nil {
		v.change(&c)
	}
	return c
}

type ablateOptions struct {
	folderOptions
	ablation ablation
	seeds    int
	only     []string
	report   bool // only
}

func parseAblate(args []string, s Streams) (o ablateOptions, err error) {
	if o.cfg, err = presetOf(args); err != nil {
		return o, err
	}
	fs := pflag.NewFlagSet("ablate", pflag.ContinueOnError)
	dataFlags(fs, &o.cfg)
	fs.IntVar(&o.seeds, "seeds", 3, "trainings of each variant: --seed and the numbers after it")
	fs.StringSliceVar(&o.only, "only", nil, "variants to train, beside the first, with commas between (default: all)")
	fs.StringVar(&o.out, "out", "", "folder, which several ablations may share (default: runs/ablate-DATA-PRESET)")
	fs.BoolVar(&o.json, "json", false, "print the result as JSON")
	measuredFlags(fs, &o.machine)
	searchFlags(fs, &o.cfg)
	trainingFlags(fs, &o.cfg)
	if err := parse(fs, args, "NAME, one of:\n"+ablationList(o.cfg), s); err != nil {
		return o, err
	}
	if fs.Changed("bits") {
		o.cfg.learnBits()
	}
	o.out = cmp.Or(o.out, filepath.Join("runs", fmt.Sprintf("ablate-%s-%s", filepath.Base(filepath.Clean(o.cfg.Data)), o.cfg.Preset)))
	if o.printed, err = configPrinted(fs, o.cfg, s); err != nil || o.printed {
		return o, err
	}
	if o.report = fs.NArg() == 1 && fs.Arg(0) == reportName; o.report {
		return o, nil
	}
	all := ablations(o.cfg)
	i := slices.IndexFunc(all, func(a ablation) bool { return fs.NArg() == 1 && a.name == fs.Arg(0) })
	if i < 0 {
		return o, misuse.Errorf("name one ablation: %s; or %s", strings.Join(ablationNames(o.cfg), ", "), reportName)
	}
	if o.ablation, err = all[i].restricted(o.only); err != nil {
		return o, err
	}
	if o.seeds < 1 {
		return o, misuse.Errorf("--seeds: %d; at least 1 is needed", o.seeds)
	}
	for _, v := range o.ablation.variants {
		if err := v.config(o.cfg).Validate(); err != nil {
			return o, fmt.Errorf("variant %s: %w", v.name, err)
		}
	}
	return o, nil
}

// reportName stands for an ablation's where only the report is to be written again.
const reportName = "report"

func ablationNames(c Config) (names []string) {
	for _, a := range ablations(c) {
		names = append(names, a.name)
	}
	return names
}

func ablationList(c Config) string {
	text := ""
	for _, a := range ablations(c) {
		text += fmt.Sprintf("  %-14s %s\n", a.name, a.use)
	}
	return text + fmt.Sprintf("  %-14s %s\n", reportName, "none of them: writes the folder's report again")
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

// Ablate is tools/ablate: it trains variants of one thing over several seeds, says by how much they differ, and writes a report on all ablations of
// the folder.
func Ablate(ctx context.Context, args []string, s Streams) error {
	o, err := parseAblate(args, s)
	if err != nil || o.printed {
		return err
	}
	if o.report {
		return writeAblationReport(o.out, o.cfg, s)
	}
	if o.ablation.measures {
		o.machine.sessions = "measure networks"
	}
	shared := o.out
	o.out = filepath.Join(shared, o.ablation.name)
	if err := os.MkdirAll(shared, 0o755); err != nil {
		return misuse.Errorf("--out: %w", err)
	}
	err = o.run(ctx, s, func(p *pipeline) (printer, error) {
		p.shared = shared
		return p.ablate(ctx, o)
	})
	if err != nil {
		return err
	}
	return writeAblationReport(shared, o.cfg, s)
}

// ablate trains what the folder lacks, seed by seed, so that an interrupted ablation has whole comparisons.
func (p *pipeline) ablate(ctx context.Context, o ablateOptions) (Ablated, error) {
	base := p.cfg
	result := Ablated{
		Name: o.ablation.name, Use: o.ablation.use, Data: p.data.Train.Name(), Height: base.Height, Width: base.Width, Preset: base.Preset,
		Classes: described(p.data.Train.Classes()), Columns: o.ablation.columns, Seeds: o.seeds, Device: p.machine.measures(base.Space), Folder: p.folder.path,
	}
	var variants []variant
	if variants, result.Notes = o.ablation.here(p); len(variants) == 0 {
		return result, misuse.Errorf("%s: none of what it compares is on this machine; the lines above say what is missing", o.ablation.name)
	}
	all := o.seeds * len(variants)
	for seed := range o.seeds {
		for _, v := range variants {
			p.cfg = base
			p.cfg.Seed = base.Seed + uint64(seed)
			p.cfg = v.config(p.cfg)
			name := fmt.Sprintf("%s-%d", v.name, p.cfg.Seed)
			fmt.Fprintf(p.streams.Err, "%d of %d: %s (%s), seed %d\n", len(result.Cells)+1, all, v.name, v.what, p.cfg.Seed)
			c, err := p.cell(ctx, o.ablation, v, name)
			if err != nil {
				return result, fmt.Errorf("%s: %w", name, err)
			}
			result.Cells = append(result.Cells, c)
		}
	}
	p.cfg = base
	for _, v := range variants {
		result.Rows = append(result.Rows, rowOf(v, variants[0].name, result.Cells))
	}
	if o.ablation.conclude != nil {
		if err := o.ablation.conclude(p, ctx, &result); err != nil {
			return result, err
		}
	}
	return result, writeJSON(p.folder.file(resultFile), result)
}

// here lists the variants that this machine can run, and says which it cannot.
func (a ablation) here(p *pipeline) (can []variant, left []string) {
	for _, v := range a.variants {
		if v.needs != nil {
			if err := v.needs(p); err != nil {
				fmt.Fprintf(p.streams.Err, "%s is left out: %v\n", v.name, err)
				left = append(left, fmt.Sprintf("%s is left out: it was not there.", v.name))
				continue
			}
		}
		can = append(can, v)
	}
	return can, left
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
	score := a.score
	if v.score != nil {
		score = v.score
	}
	began := time.Now()
	c, err := score(p, ctx, name)
	if err != nil {
		return c, err
	}
	c.Variant, c.Seed, c.Took = v.name, p.cfg.Seed, time.Since(began)
	return c, writeJSON(path, savedCell{p.cfg.hash(), c})
}
