package run

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/known"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// Compared is one network of tools/networks: what it costs, counted and measured on this device.
type Compared struct {
	Network string      `json:"network"`
	Arch    *space.Arch `json:"arch,omitempty"` // of a network of the search space
	// Precision is how the network was deployed: int8 where it has bit widths.
	Precision string `json:"precision"`
	MACs      int64  `json:"macs"` // for one picture
	Params    int64  `json:"params"`
	// PublishedMACs, at 1024x2048, and PublishedParams are what its authors report; 0: nothing.
	PublishedMACs   float64 `json:"published_macs,omitempty"`
	PublishedParams float64 `json:"published_params,omitempty"`
	ActivationBytes int     `json:"activation_bytes"` // of the session, scratch included
	WeightBytes     int     `json:"weight_bytes"`     // packed
	// Latency is of one picture, picture in, labels out.
	Latency latency.Stats `json:"latency"`
	FPS     float64       `json:"fps"`
}

// Comparison is what tools/networks prints.
type Comparison struct {
	Device     latency.Identity   `json:"device"`
	Height     int                `json:"height"`
	Width      int                `json:"width"`
	Classes    int                `json:"classes"`
	Networks   []Compared         `json:"networks"`
	Conditions latency.Conditions `json:"conditions"`
}

type networksOptions struct {
	machine       machineOptions
	height, width int
	classes       int
	rounds        int
	archs         archsFlag
	json          bool
}

// archsFlag collects architectures.
type archsFlag []space.Arch

func (f *archsFlag) String() string { return "" }
func (f *archsFlag) Type() string   { return "arch" }

func (f *archsFlag) Set(text string) error {
	a, err := archOf(text)
	*f = append(*f, a)
	return err
}

func parseNetworks(args []string, s Streams) (networksOptions, error) {
	o := networksOptions{height: 360, width: 480, classes: 19, rounds: 30}
	fs := pflag.NewFlagSet("networks", pflag.ContinueOnError)
	fs.Var(sizeFlag{&o.height, &o.width}, "size", "network input, height x width")
	fs.IntVar(&o.classes, "classes", o.classes, "classes that the networks tell apart")
	fs.Var(&o.archs, "arch", `a network of the search space besides, such as a run's winner: a text such as k3e6.k5e4_k3e3.k5e4_k3e6.k3e6, or "hand"; with bit widths, as in baseline-w8a8, it is measured in integers; may be repeated`)
	fs.IntVar(&o.rounds, "rounds", o.rounds, "accepted measuring turns of every network")
	fs.BoolVar(&o.json, "json", false, "print the table as JSON")
	measuredFlags(fs, &o.machine)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	if o.rounds < 1 {
		return o, misuse.Errorf("--rounds %d: at least 1 is needed", o.rounds)
	}
	return o, space.DefaultNetwork(o.classes).Validate()
}

// Networks is tools/networks: known networks beside the hand-made baseline, counted, and measured in turns on the device at hand.
func Networks(ctx context.Context, args []string, s Streams) error {
	o, err := parseNetworks(args, s)
	if err != nil {
		return err
	}
	o.machine.sessions = "measure"
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	c, err := o.compare(ctx, m, s)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.Out, c)
	}
	c.print(s.Out)
	return nil
}

// compare counts the networks and measures them in turns.
func (o *networksOptions) compare(ctx context.Context, m *machine, s Streams) (c Comparison, err error) {
	all, err := o.contenders(m)
	defer closeContenders(all)
	if err != nil {
		return c, err
	}
	c = Comparison{Device: m.identity, Height: o.height, Width: o.width, Classes: o.classes}
	bar := NewProgress(s.Err, "measure", "turns", 0, 0)
	options := measuring(bar, o.rounds)
	options.Together = len(all) // all of them in every round
	setup := latency.Setup{Identity: m.identity, Network: space.DefaultNetwork(o.classes), H: o.height, W: o.width, Batch: 1}
	var run []latency.Contender
	for _, n := range all {
		run = append(run, latency.Contender{Name: n.Network, Open: n.open})
	}
	times, conditions, err := latency.MeasureContenders(ctx, m.device(space.Default()), setup, run, options)
	if err != nil {
		return c, err
	}
	bar.Finish("")
	c.Conditions = conditions
	for i, n := range all {
		n.Latency, n.FPS = times[i], 1000/milliseconds(times[i].Median)
		c.Networks = append(c.Networks, n.Compared)
	}
	return c, nil
}

// contender is a network that is compared, with its session.
type contender struct {
	Compared
	device  sessionDevice
	session *gobind.Session
	h, w    int
}

// open hands the session to a runner, which closes it.
func (n *contender) open(context.Context) (latency.Runner, error) {
	r := n.device.runner(n.session, 1, n.h, n.w, rand.New(rand.NewPCG(1, 1)))
	n.session = nil
	return r, nil
}

func closeContenders(all []*contender) {
	for _, n := range all {
		if n.session != nil {
			n.session.Close()
		}
	}
}

// contenders makes the sessions of all networks that are compared, of random weights.
func (o *networksOptions) contenders(m *machine) (all []*contender, err error) {
	add := func(c Compared, model supernet.Deployable, err error) error {
		if err != nil {
			return err
		}
		defer model.Close()
		how, err := m.deployment(model)
		if err != nil {
			return err
		}
		session, err := deploy(m.context, model, 1, o.height, o.width, how)
		if err != nil {
			return fmt.Errorf("%s: %w", c.Network, err)
		}
		c.Precision = how.Precision.String()
		c.ActivationBytes, c.WeightBytes = session.ActivationBytes(), session.WeightBytes()
		all = append(all, &contender{c, m.device(space.Default()), session, o.height, o.width})
		return nil
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for _, name := range graph.Names() {
		n, err := graph.Named(name, o.classes)
		if err != nil {
			return all, err
		}
		model, err := known.New(m.context, n, rng)
		if err := add(Compared{
			Network: name, MACs: n.MACs(o.height, o.width), Params: n.Params(), PublishedMACs: n.Published.MACs, PublishedParams: n.Published.Params,
		}, model, err); err != nil {
			return all, err
		}
	}
	net := space.DefaultNetwork(o.classes)
	for i, a := range append([]space.Arch{space.Baseline()}, o.archs...) {
		c := Compared{Network: a.String(), Arch: &a, MACs: net.MACs(a, o.height, o.width), Params: net.Params(a)}
		if i == 0 {
			c.Network, c.PublishedMACs, c.PublishedParams = baselineName, space.PublishedMACs, space.PublishedParams
		}
		model, err := randomNetwork(m.context, net, a, rng)
		if err := add(c, model, err); err != nil {
			return all, err
		}
	}
	return all, nil
}

func (c Comparison) print(w io.Writer) {
	fmt.Fprintf(w, "%dx%d, %d classes, on %v\n", c.Height, c.Width, c.Classes, c.Device)
	width := len("network")
	for _, n := range c.Networks {
		width = max(width, len(n.Network))
	}
	fmt.Fprintf(w, "%-*s %8s %9s %18s %14s %10s %10s %18s %8s\n", width, "network", "GMACs", "Mparams", "published", "activation MB", "weight MB",
		"median ms", "quartiles", "FPS")
	for _, n := range c.Networks {
		fmt.Fprintf(w, "%-*s %8.3f %9.3f %18s %14.2f %10.2f %10.3f %18s %8.1f\n", width, n.Network, float64(n.MACs)/1e9, float64(n.Params)/1e6, n.published(),
			float64(n.ActivationBytes)/1e6, float64(n.WeightBytes)/1e6, milliseconds(n.Latency.Median),
			fmt.Sprintf("%.3f to %.3f", milliseconds(n.Latency.Q1), milliseconds(n.Latency.Q3)), n.FPS)
	}
	if slices.ContainsFunc(c.Networks, func(n Compared) bool { return n.Precision == gobind.Int8.String() }) {
		fmt.Fprintln(w, "networks with bit widths were measured in integers (int8)")
	}
	k := c.Conditions
	fmt.Fprintf(w, "published: multiply-adds at 1024x2048, parameters\ncanary %.3f ms quiet, %.3f typical, %.3f worst; %d turns, %d rejected\n",
		milliseconds(k.Quiet), milliseconds(k.Typical), milliseconds(k.Worst), k.Turns, k.Rejected)
}

func (n Compared) published() string {
	if n.PublishedParams == 0 {
		return "-"
	}
	text := fmt.Sprintf("%.2f M", n.PublishedParams/1e6)
	if n.PublishedMACs > 0 {
		text = fmt.Sprintf("%.2f G, ", n.PublishedMACs/1e9) + text
	}
	return text
}
