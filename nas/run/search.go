package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// searchOptions are what tools/search is told beside the Config.
type searchOptions struct {
	folderOptions
	table  string
	from   *source // nil: the run trains a supernet of its own
	scores string  // file of scores; "" for the source's, or the run folder's
	budget time.Duration
}

func parseSearch(args []string, s Streams) (o searchOptions, err error) {
	if o.cfg, o.from, err = startingPoint(args); err != nil {
		return o, err
	}
	fs := pflag.NewFlagSet("search", pflag.ContinueOnError)
	dataFlags(fs, &o.cfg)
	fs.DurationVar(&o.budget, "budget", 0, "time for the whole run, such as 25m: fits the numbers of steps and of networks to it")
	fs.StringVar(&o.out, "out", "", "run folder (default: runs/DATA-PRESET-SEED)")
	fs.StringVar(&o.table, "table", "", "latency table to begin with, as tools/profile makes it")
	fs.String("from", "", "run folder whose trained supernet, scores and trainings are used: searches again, for this device or within other limits")
	fs.StringVar(&o.scores, "accuracies", "", "file of the supernet's scores, which searches share (default: "+accuraciesFile+" in the run folder, or in that of --from)")
	fs.BoolVar(&o.json, "json", false, "print the result as JSON")
	measuredFlags(fs, &o.machine)
	searchFlags(fs, &o.cfg)
	trainingFlags(fs, &o.cfg)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	if fs.Changed("bits") {
		o.cfg.learnBits()
	}
	if o.budget < 0 {
		return o, misuse.Errorf("--budget: %v; give a time above 0", o.budget)
	}
	if o.from != nil {
		if err := o.from.accepts(o); err != nil {
			return o, err
		}
		o.scores = cmp.Or(o.scores, o.from.accuracies())
	}
	o.out = cmp.Or(o.out, o.cfg.Folder())
	o.scores = cmp.Or(o.scores, filepath.Join(o.out, accuraciesFile))
	if err := o.cfg.Validate(); err != nil {
		return o, err
	}
	o.printed, err = configPrinted(fs, o.cfg, s)
	return o, err
}

// Search is tools/search: it designs a network, from the pictures to the report.
func Search(ctx context.Context, args []string, s Streams) error {
	o, err := parseSearch(args, s)
	if err != nil || o.printed {
		return err
	}
	o.machine.sessions = "measure networks"
	return o.folderOptions.run(ctx, s, func(p *pipeline) (printer, error) {
		if err := o.cfg.Limits.needs(p.machine); err != nil {
			return nil, err
		}
		p.from = o.from
		if err := p.openAccuracies(o.scores); err != nil {
			return nil, err
		}
		return p.run(ctx, o)
	})
}

// openPipeline opens the pictures and makes the worker.
func openPipeline(c Config, m *machine, s Streams) (*pipeline, error) {
	precision, err := c.precision()
	if err != nil {
		return nil, err
	}
	if precision != gobind.Float32 && m.identity.Kind == cpuDevice {
		return nil, misuse.Errorf("--train-precision %v is for GPUs; --device cuda:0 chooses one, and a processor trains in f32", precision)
	}
	splits, err := openData(c, s.Err)
	if err != nil {
		return nil, err
	}
	worker, err := train.NewWorker(m.context)
	if err != nil {
		return nil, err
	}
	worker.SetPrecision(precision)
	return &pipeline{
		cfg: c, machine: m, worker: worker, data: splits, net: c.Network(splits.Train.Classes().Len()), streams: s,
	}, nil
}

func (p *pipeline) close() {
	p.worker.Close()
	if p.folder != nil {
		p.folder.close()
	}
	if p.accuracies != nil {
		p.accuracies.Close()
	}
}

// run goes through all stages; those that the run folder holds already take no time.
func (p *pipeline) run(ctx context.Context, o searchOptions) (Result, error) {
	if err := p.folder.begin(o.table); err != nil {
		return Result{}, err
	}
	if err := p.plan(ctx, o.budget); err != nil {
		return Result{}, fmt.Errorf("plan: %w", err)
	}
	err := p.stage("latency table", func() (string, error) {
		err := p.fillTable(ctx)
		return limitsText(p.limits), err
	})
	if errors.Is(err, search.ErrInfeasible) && !p.folder.has(supernetName) {
		// Nothing but the table was made yet: another limit may begin in the same folder.
		return Result{}, errors.Join(err, os.Remove(p.folder.file(configFile)))
	}
	if err != nil {
		return Result{}, err
	}
	fmt.Fprintf(p.streams.Err, "limit: latency %.4g ms; the search keeps to %s\n", p.limitMS, limitsText(p.limits))
	fmt.Fprintf(p.streams.Err, "space: %s\n", spaceText(p.space, p.limits))
	if p.cfg.Limits.Energy > 0 {
		fmt.Fprintf(p.streams.Err, "limit: energies are predicted within %.1f %% on the networks behind the table\n", 100*p.predictor.EnergyError())
	}
	var super supernet.Model
	err = p.stage(supernetName, func() (detail string, err error) {
		super, err = p.supernet(ctx)
		return fmt.Sprintf("%d steps", p.cfg.Shrinking.Steps()), err
	})
	if err != nil {
		return Result{}, err
	}
	defer super.Close()
	return p.runSearched(ctx, super)
}

// runSearched goes through the stages that need the trained supernet.
func (p *pipeline) runSearched(ctx context.Context, super supernet.Model) (result Result, err error) {
	var found *search.Result
	err = p.stage("search", func() (string, error) {
		found, err = p.search(ctx, super)
		return p.scored, err
	})
	if err != nil {
		return result, err
	}
	var chosen choice
	err = p.stage("finalists", func() (string, error) {
		chosen, err = p.choose(ctx, found, super)
		return fmt.Sprintf("%d tried, %d steps each", len(chosen.tried), p.cfg.Trial.Steps()), err
	})
	if err != nil {
		return result, err
	}
	all := p.finals(chosen.winner.Arch)
	defer closeAll(all)
	for _, f := range all {
		if err := p.stage(f.Name, func() (string, error) { return f.How, p.final(ctx, f, super) }); err != nil {
			return result, err
		}
	}
	var m *measured
	err = p.stage("measuring", func() (string, error) {
		m, err = p.measure(ctx, all)
		return fmt.Sprintf("%d turns each", p.cfg.FinalRounds), err
	})
	if err != nil {
		return result, err
	}
	if result, err = p.result(found, chosen.winner, all, m); err != nil {
		return result, err
	}
	if err := p.keepWinner(result, all[len(all)-1]); err != nil {
		return result, err
	}
	return result, p.writeReport(ctx, result, found, chosen, all, m)
}

// keepWinner writes the winner's text, figures and weights, and the result.
func (p *pipeline) keepWinner(r Result, f *finalNetwork) error {
	c, err := train.Capture(f.model, false)
	if err != nil {
		return err
	}
	c.Model, c.Seed, c.ConfigHash, c.Step = p.about(train.Plain, &f.Arch), p.cfg.Seed, p.hash(), p.cfg.Retrain.Steps()
	if err := c.SaveFile(p.folder.file(winnerModel)); err != nil {
		return err
	}
	if err := durable.Replace(p.folder.file(winnerText), []byte(f.Arch.String()+"\n")); err != nil {
		return err
	}
	if err := writeJSON(p.folder.file(winnerJSON), named(r, winnerName)); err != nil {
		return err
	}
	return writeJSON(p.folder.file(resultFile), r)
}

// begin puts a given latency table into a folder that has none yet.
func (f *folder) begin(table string) error {
	if table == "" || f.has(tableFile) {
		return nil
	}
	content, err := os.ReadFile(table)
	if err != nil {
		return misuse.Errorf("--table: %w", err)
	}
	return durable.Replace(f.file(tableFile), content)
}
