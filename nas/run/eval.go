package run

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// Evaluate is tools/eval: it evaluates a checkpoint on a split of a data set.
func Evaluate(ctx context.Context, args []string, s Streams) error {
	cfg, err := presetOf(args)
	if err != nil {
		return err
	}
	var o struct {
		machine      machineOptions
		model, split string
		arch         *space.Arch
		json         bool
	}
	fs := pflag.NewFlagSet("eval", pflag.ContinueOnError)
	fs.StringVar(&o.model, "model", "", "checkpoint to evaluate (needed)")
	dataFlags(fs, &cfg)
	fs.StringVar(&o.split, "split", "val", "pictures to evaluate on: val (the reported ones), search, train")
	archVar(fs, &o.arch, "network to cut out of a supernet")
	fs.BoolVar(&o.json, "json", false, "print the result as JSON")
	machineFlags(fs, &o.machine)
	trainingFlags(fs, &cfg)
	if err := parse(fs, args, "", s); err != nil {
		return err
	}
	if o.model == "" || fs.NArg() > 0 {
		return misuse.Errorf("name a checkpoint with --model; all other settings are flags")
	}
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	model, c, err := train.OpenPlain(m.context, o.model, o.arch)
	if err != nil {
		return err
	}
	defer model.Close()
	if !fs.Changed("size") {
		cfg.Height, cfg.Width = c.Model.Height, c.Model.Width
	}
	p, err := openPipeline(cfg, m, s)
	if err != nil {
		return err
	}
	defer p.close()
	ds, err := p.split(o.split)
	if err != nil {
		return err
	}
	if n := ds.Classes().Len(); n != c.Model.Network.Classes {
		return misuse.Errorf("%s tells %d classes apart and %s has %d: give the data that it was trained on", o.model, c.Model.Network.Classes, ds.Name(), n)
	}
	if c.Model.Kind != train.Plain { // statistics of a supernet are those of other networks too
		feed, _ := p.feeds(p.data.Train, ds)
		if err := p.worker.Recalibrate(ctx, model, model.Arch(), feed); err != nil {
			return err
		}
	}
	confusion, err := p.worker.Evaluate(ctx, model, model.Arch(), p.all(ds))
	if err != nil {
		return err
	}
	result := scored(o.model, model.Arch(), o.split, ds, confusion)
	if o.json {
		return printJSON(s.Out, result)
	}
	result.print(s.Out)
	return nil
}

// split returns a data set's pictures by the name of their part.
func (p *pipeline) split(name string) (data.Dataset, error) {
	switch name {
	case "val":
		return p.data.Val, nil
	case "search":
		return p.data.SearchVal, nil
	case "train":
		return p.data.Train, nil
	}
	return nil, misuse.Errorf("--split: %q is not known; there are val, search and train", name)
}
