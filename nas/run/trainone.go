package run

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/known"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// Scored is what tools/train and tools/eval print: how well a network labels a split.
type Scored struct {
	Model    string      `json:"model"`             // checkpoint file
	Arch     *space.Arch `json:"arch,omitempty"`    // of a network of the search space
	Network  string      `json:"network,omitempty"` // name of a known one
	Split    string      `json:"split"`
	Pictures int         `json:"pictures"`
	MIoU     float64     `json:"miou"`
	Accuracy float64     `json:"pixel_accuracy"`
	Classes  []ClassIoU  `json:"classes"`
	// FullSize says that labels were compared at the label pictures' own size, not at the network's.
	FullSize bool `json:"full_size,omitempty"`
	// Deployed is the same of the deployed network, where that was wanted beside it.
	Deployed *DeployedScore `json:"deployed,omitempty"`
}

// ClassIoU is one class's intersection over union; nil where the class occurs neither in truth nor in prediction.
type ClassIoU struct {
	Name string   `json:"name"`
	IoU  *float64 `json:"iou"`
}

func scored(file string, m supernet.Model, split string, ds data.Dataset, c *metrics.Confusion) Scored {
	s := Scored{Model: file, Split: split, Pictures: ds.Len(), Accuracy: c.PixelAccuracy()}
	if k, ok := m.(*known.Model); ok {
		s.Network = k.Graph().Name
	} else {
		a := archIn(m)
		s.Arch = &a
	}
	s.MIoU, _ = c.MeanIoU()
	names := ds.Classes().Names
	for i, v := range c.IoU() {
		class := ClassIoU{Name: names[i]}
		if v == v { // not NaN
			class.IoU = &v
		}
		s.Classes = append(s.Classes, class)
	}
	return s
}

// check refuses scores that stand on no pixel.
func (s Scored) check(ds data.Dataset) error {
	if math.IsNaN(s.MIoU) {
		return misuse.Errorf("no pixel of the %d pictures of %s (%s) has a label: there is nothing to score; tools/submit writes what a benchmark's server scores",
			s.Pictures, ds.Name(), s.Split)
	}
	return nil
}

func (s Scored) print(w io.Writer) error {
	for _, c := range s.Classes {
		if c.IoU == nil {
			fmt.Fprintf(w, "%-20s      -\n", c.Name)
			continue
		}
		fmt.Fprintf(w, "%-20s %6.1f %%\n", c.Name, 100**c.IoU)
	}
	size := ""
	if s.FullSize {
		size = " at their own size"
	}
	fmt.Fprintf(w, "mean IoU %.2f %%, pixel accuracy %.2f %% on %d pictures%s (%s)\n", 100*s.MIoU, 100*s.Accuracy, s.Pictures, size, s.Split)
	if d := s.Deployed; d != nil {
		fmt.Fprintf(w, "deployed (%s): mean IoU %.2f %%, pixel accuracy %.2f %%; %.3f %% of the labels are the same\n", d.Precision, 100*d.MIoU, 100*d.Accuracy, 100*d.Equal)
	}
	_, err := fmt.Fprintf(w, "model %s\n", s.Model)
	return err
}

// trainOptions are what tools/train is told beside the Config.
type trainOptions struct {
	folderOptions
	arch    *space.Arch
	network string // a known one, instead
	start   string // checkpoint whose weights to begin with; "": random ones
}

func parseTrain(args []string, s Streams) (o trainOptions, err error) {
	if o.cfg, err = presetOf(args); err != nil {
		return o, err
	}
	base := space.Baseline()
	o.arch = &base
	fs := pflag.NewFlagSet("train", pflag.ContinueOnError)
	dataFlags(fs, &o.cfg)
	archVar(fs, &o.arch, "network to train")
	fs.StringVar(&o.network, "network", "", "instead of --arch, a known network: "+strings.Join(graph.Names(), ", "))
	fs.StringVar(&o.start, "start", "", "checkpoint whose weights to begin with: of the same network, with bit widths or without, or of a supernet that holds it")
	fs.StringVar(&o.out, "out", "", "folder for checkpoints and metrics (default: runs/train-DATA-ARCH-SEED)")
	fs.BoolVar(&o.json, "json", false, "print the result as JSON")
	machineFlags(fs, &o.machine)
	trainingFlags(fs, &o.cfg)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	if err := checkNetwork(o.network, fs.Changed("arch")); err != nil {
		return o, err
	}
	if err := o.begin(); err != nil {
		return o, err
	}
	if err := o.cfg.Validate(); err != nil {
		return o, err
	}
	if o.out == "" {
		name := cmp.Or(o.network, o.arch.String())
		o.out = filepath.Join("runs", fmt.Sprintf("train-%s-%s-%d", filepath.Base(filepath.Clean(o.cfg.Data)), name, o.cfg.Seed))
	}
	o.printed, err = configPrinted(fs, o.cfg, s)
	return o, err
}

// begin notes which weights the training begins with, so that it does not go on in the folder of one that began with others.
func (o *trainOptions) begin() (err error) {
	if o.start == "" {
		return nil
	}
	if o.network != "" {
		return misuse.Errorf("--start is for networks of the search space, not for --network %s", o.network)
	}
	if o.cfg.Start, err = fingerprint(o.start, "weights"); err != nil {
		return misuse.Errorf("--start: %w", err)
	}
	return nil
}

// Train is tools/train: it trains one network, from random weights or given ones, and evaluates it.
func Train(ctx context.Context, args []string, s Streams) error {
	o, err := parseTrain(args, s)
	if err != nil || o.printed {
		return err
	}
	return o.run(ctx, s, func(p *pipeline) (printer, error) { return p.trainOne(ctx, *o.arch, o.network, o.start) })
}

// beginning makes a training's model, with the weights of a checkpoint or, without one, random ones.
func (p *pipeline) beginning(about train.Description, start string) (supernet.Model, error) {
	if start == "" {
		return about.Build(p.machine.context, p.rng(baselineWeights))
	}
	from, c, err := train.Open(p.machine.context, start)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	if c.Model.Network != p.net {
		return nil, misuse.Errorf("--start %s: its network has %d classes, strides %v and widths %v; this one %d, %v and %v",
			start, c.Model.Network.Classes, c.Model.Network.Strides, c.Model.Network.Widths, p.net.Classes, p.net.Strides, p.net.Widths)
	}
	model, err := supernet.Cut(from, *about.Arch)
	if err != nil {
		return nil, misuse.Errorf("--start %s: %w", start, err)
	}
	return model, nil
}

// trainOne trains a network, the known one where a name is given, in the run folder itself and evaluates it on the reported split.
func (p *pipeline) trainOne(ctx context.Context, a space.Arch, network, start string) (Scored, error) {
	about := p.about(train.Plain, &a)
	if network != "" {
		about = p.aboutKnown(network)
	}
	model, err := p.beginning(about, start)
	if err != nil {
		return Scored{}, err
	}
	defer model.Close()
	if err := p.checkMemory(model); err != nil {
		return Scored{}, err
	}
	fmt.Fprintf(p.streams.Err, "plan: %s, %d classes, %d steps of %d pictures of %dx%d; %d pictures to train on, %d to report on\n",
		networkName(model), p.net.Classes, p.cfg.Scratch.Steps(), p.cfg.Batch, p.cfg.Height, p.cfg.Width, p.data.TrainAll.Len(), p.data.Val.Len())
	fmt.Fprintln(p.streams.Err, p.memory)
	if err := describePictures(p.streams.Err, p.cfg, p.data); err != nil {
		return Scored{}, err
	}
	if err := p.balance(ctx); err != nil {
		return Scored{}, err
	}
	feed, err := train.Keep(ctx, p.all(p.data.Val), keepBytes)
	if err != nil {
		return Scored{}, err
	}
	j := job{
		model: model, about: about, schedule: p.cfg.Scratch, sample: train.Fixed(a), data: p.data.TrainAll,
		checks: p.cfg.Checks, check: func(ctx context.Context) (train.Checked, error) {
			c, err := p.worker.Evaluate(ctx, model, a, feed)
			return train.Checked{Confusion: c}, err
		},
	}
	if err := p.train(ctx, j); err != nil {
		return Scored{}, err
	}
	c, err := p.worker.Evaluate(ctx, model, a, feed)
	if err != nil {
		return Scored{}, err
	}
	return scored(p.folder.file(train.CheckpointFile), model, "val", p.data.Val, c), nil
}
