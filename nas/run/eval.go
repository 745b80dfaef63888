package run

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

type evalOptions struct {
	cfg          Config
	machine      machineOptions
	model, split string
	arch         *space.Arch
	ownSize      bool // not the checkpoint's
	fullSize     bool
	deployed     bool // beside training's arithmetic
	json         bool
	byName       bool // the model may be the name of the one that comes with segnas
}

func parseEval(args []string, s Streams) (o evalOptions, err error) {
	if o.cfg, err = presetOf(args); err != nil {
		return o, err
	}
	fs := pflag.NewFlagSet("eval", pflag.ContinueOnError)
	fs.StringVar(&o.model, "model", "", "checkpoint to evaluate; scenes is the network that comes with segnas (needed)")
	dataFlags(fs, &o.cfg)
	fs.StringVar(&o.split, "split", "val", "pictures to evaluate on: val (the reported ones), search, train")
	fs.BoolVar(&o.fullSize, "full-size", false, "compare at the label pictures' own size, whatever the network's input: the deployed network's logits are enlarged to it")
	fs.BoolVar(&o.deployed, "deployed", false, "score the deployed network, too, as --precision says, and count the labels that are the same")
	archVar(fs, &o.arch, "network to cut out of a supernet")
	fs.BoolVar(&o.json, "json", false, "print the result as JSON")
	deployedFlags(fs, &o.machine)
	trainingFlags(fs, &o.cfg)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	if o.model == "" {
		return o, misuse.Errorf("name a checkpoint with --model; all other settings are flags")
	}
	if o.deployed && o.fullSize {
		return o, misuse.Errorf("--full-size scores the deployed network alone, and --deployed compares it at the size of training; give one of the two")
	}
	o.ownSize, o.byName = fs.Changed("size"), true
	return o, nil
}

// Evaluate is tools/eval: it evaluates a checkpoint on a split of a data set.
func Evaluate(ctx context.Context, args []string, s Streams) error {
	o, err := parseEval(args, s)
	if err != nil {
		return err
	}
	if o.machine.precision.Precision != gobind.Float32 || o.fullSize || o.deployed {
		o.machine.sessions = "evaluate a deployed network"
	}
	return o.run(s, func(p *pipeline, model supernet.Deployable, about train.Description) (printer, error) {
		return p.evaluate(ctx, o, model, about)
	})
}

// run opens the device, the trained network and the pictures, does the work, and prints what came out.
func (o evalOptions) run(s Streams, work func(p *pipeline, model supernet.Deployable, about train.Description) (printer, error)) error {
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	open := train.OpenNetwork
	if o.byName {
		open = openNetwork
	}
	model, c, err := open(m.context, o.model, o.arch)
	if err != nil {
		return err
	}
	defer model.Close()
	if !o.ownSize {
		o.cfg.Height, o.cfg.Width = c.Model.Height, c.Model.Width
	}
	p, err := openPipeline(o.cfg, m, s)
	if err != nil {
		return err
	}
	defer p.close()
	result, err := work(p, model, c.Model)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.Out, result)
	}
	return result.print(s.Out)
}

func (p *pipeline) evaluate(ctx context.Context, o evalOptions, model supernet.Deployable, about train.Description) (Scored, error) {
	ds, err := p.labelled(o, about.Network.Classes)
	if err != nil {
		return Scored{}, err
	}
	recalibration, feed := p.feeds(p.data.Train, ds)
	arch := archIn(model)
	if about.Kind == train.Elastic || about.Kind == train.Naive { // statistics of a supernet are those of other networks too
		if p.cfg.RecalibrateClips {
			if err := p.worker.FitClips(ctx, model, arch, recalibration); err != nil {
				return Scored{}, err
			}
		}
		if err := p.worker.Recalibrate(ctx, model, arch, recalibration); err != nil {
			return Scored{}, err
		}
	}
	var confusion *metrics.Confusion
	var deployed *DeployedScore
	switch {
	case o.fullSize:
		confusion, err = p.evaluateFullSize(ctx, model, ds)
	case o.deployed:
		confusion, deployed, err = p.compareDeployed(ctx, model, feed)
	case p.machine.session.Precision != gobind.Float32:
		confusion, err = p.evaluateDeployed(ctx, model, feed)
	default:
		confusion, err = p.worker.Evaluate(ctx, model, arch, feed)
	}
	if err != nil {
		return Scored{}, err
	}
	result := scored(o.model, model, o.split, ds, confusion)
	result.FullSize, result.Deployed = o.fullSize, deployed
	return result, result.check(ds)
}

// labelled returns the pictures of the split that the options name, for a network of so many classes.
func (p *pipeline) labelled(o evalOptions, classes int) (data.Dataset, error) {
	ds, err := p.split(o.split)
	if err != nil {
		return nil, err
	}
	if n := ds.Classes().Len(); n != classes {
		return nil, misuse.Errorf("%s tells %d classes apart and %s has %d: give the data that it was trained on", o.model, classes, ds.Name(), n)
	}
	return ds, nil
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
	case "test":
		if p.data.Test == nil {
			return nil, misuse.Errorf("--split test: %s has no pictures with hidden labels; Cityscapes has, in leftImg8bit/test", p.data.Val.Name())
		}
		return p.data.Test, nil
	}
	return nil, misuse.Errorf("--split: %q is not known; there are val, search and train, and test in Cityscapes", name)
}
