package run

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/export"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// Exported is what tools/export wrote.
type Exported struct {
	File   string `json:"file"`
	Bytes  int    `json:"bytes"`
	Arch   string `json:"arch"`
	Nodes  int    `json:"nodes"`
	Batch  int    `json:"batch"`
	Height int    `json:"height"`
	Width  int    `json:"width"`
	Output string `json:"output"`
	// Verification is there with --verify.
	Verification *export.Verification `json:"verification,omitempty"`
}

func (e Exported) print(w io.Writer) {
	fmt.Fprintf(w, "%s  %.1f MB  %d nodes  %d picture(s) of %dx%d -> %s  %s\n", e.File, float64(e.Bytes)/1e6, e.Nodes, e.Batch, e.Height, e.Width, e.Output, e.Arch)
	if e.Verification != nil {
		fmt.Fprintf(w, "verified: %v\n", e.Verification)
	}
}

type exportOptions struct {
	machine    machineOptions
	model, out string
	arch       *space.Arch // of a network with random weights
	seed       uint64
	classes    int
	graph      export.Options
	verify     bool
	json       bool
}

func parseExport(args []string, s Streams) (o exportOptions, err error) {
	o.seed, o.classes = 1, 19
	o.graph = export.Options{Batch: 1, Output: export.Labels}
	fs := pflag.NewFlagSet("export", pflag.ContinueOnError)
	fs.StringVar(&o.model, "model", "", "trained network, such as a run folder's winner.safetensors; scenes is the one that comes with segnas")
	archVar(fs, &o.arch, "instead of --model: a network with random weights and batch-norm statistics, for measuring other runtimes")
	fs.Uint64Var(&o.seed, "seed", o.seed, "with --arch: seed of the weights")
	fs.IntVar(&o.classes, "classes", o.classes, "with --arch: classes that the network tells apart")
	fs.Var(sizeFlag{&o.graph.Height, &o.graph.Width}, "size", "network input, height x width (default: as in training; with --arch 360x480)")
	fs.IntVar(&o.graph.Batch, "batch", o.graph.Batch, "pictures that go in at once")
	fs.StringVar((*string)(&o.graph.Output), "output", string(o.graph.Output), "what comes out: labels (uint8, every pixel's class) or logits (float32, at 1/8 of the size)")
	fs.StringVar(&o.out, "out", "", "file to write, such as street.onnx (needed)")
	fs.BoolVar(&o.verify, "verify", false, "read the file back, compute it in double precision, and compare with the library's answer; nothing is written where they disagree")
	fs.BoolVar(&o.json, "json", false, "print what was written as JSON")
	machineFlags(fs, &o.machine)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	switch {
	case (o.model == "") == (o.arch == nil):
		return o, misuse.Errorf("name a trained network with --model, or an architecture with --arch: one of the two")
	case o.model != "" && (fs.Changed("seed") || fs.Changed("classes")):
		return o, misuse.Errorf("--seed and --classes go with --arch; a trained network has its own")
	case o.out == "":
		return o, misuse.Errorf("name the file to write with --out")
	case o.graph.Output != export.Labels && o.graph.Output != export.Logits:
		return o, misuse.Errorf("--output: %q is not known; there are %s and %s", o.graph.Output, export.Labels, export.Logits)
	case o.graph.Batch < 1:
		return o, misuse.Errorf("--batch %d: at least 1 picture", o.graph.Batch)
	}
	if o.arch != nil && o.graph.Height == 0 {
		o.graph.Height, o.graph.Width = 360, 480
	}
	return o, space.DefaultNetwork(o.classes).Validate()
}

// Export is tools/export: it writes a network as an ONNX model.
func Export(ctx context.Context, args []string, s Streams) error {
	o, err := parseExport(args, s)
	if err != nil {
		return err
	}
	if o.verify {
		o.machine.sessions = "verify against"
	}
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	network, about, err := o.network(m.context)
	if err != nil {
		return err
	}
	result, err := o.write(ctx, m.context, network, about, s.Err)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.Out, result)
	}
	result.print(s.Out)
	return nil
}

// write writes the file under another name, verifies that where wanted, and only then gives it its own.
func (o *exportOptions) write(ctx context.Context, device *gobind.Context, n export.Network, about export.About, progress io.Writer) (e Exported, err error) {
	model, err := export.Build(n, about, o.graph)
	if err != nil {
		return e, err
	}
	e = Exported{
		File: o.out, Arch: n.Arch.String(), Nodes: len(model.Graph.Nodes),
		Batch: o.graph.Batch, Height: o.graph.Height, Width: o.graph.Width, Output: string(o.graph.Output),
	}
	file := model.Marshal()
	e.Bytes = len(file)
	var failed error
	err = durable.ReplaceAfter(o.out, file, func(temp string) error {
		if o.verify {
			e.Verification, failed = o.verified(ctx, device, n, temp, progress)
		}
		return failed
	})
	if failed == nil && err != nil {
		return e, misuse.Errorf("--out: %w", err)
	}
	return e, failed
}

// verified reads a file back and compares what it computes with the session. A disagreement is an error.
func (o *exportOptions) verified(ctx context.Context, device *gobind.Context, n export.Network, path string, progress io.Writer) (*export.Verification, error) {
	if n.Arch.IsQuantised() && !device.Runs(gobind.Int8) {
		return nil, misuse.Errorf("--verify: %v has bit widths, and %s has no sessions in integers to compare with; --device cpu has", n.Arch, device.Device())
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read back: %w", err)
	}
	bar := NewProgress(progress, "verify", "nodes", 0, 0)
	v, err := export.Verify(ctx, device, file, n, rand.New(rand.NewPCG(o.seed, verifiedPicture)), func(done, total int) {
		bar.SetTotal(total)
		bar.Set(done, "")
	})
	if err != nil {
		return nil, fmt.Errorf("verify: %w", err)
	}
	bar.Finish("")
	if !v.Agrees {
		return nil, fmt.Errorf("the file and the library disagree: %v", v)
	}
	return &v, nil
}

// network reads or draws the network to export, and completes the size.
func (o *exportOptions) network(context *gobind.Context) (export.Network, export.About, error) {
	about := export.About{Version: gobind.Version(), Mean: data.Mean, Std: data.Std}
	var model *supernet.Plain
	var err error
	if o.model != "" {
		var c train.Checkpoint
		if model, c, err = openPlain(context, o.model, nil); err != nil {
			return export.Network{}, about, err
		}
		about.Classes, about.Colors = c.Model.Classes.Names, c.Model.Classes.Colors
		if o.graph.Height == 0 {
			o.graph.Height, o.graph.Width = c.Model.Height, c.Model.Width
		}
	} else {
		model, err = export.NewRandom(context, space.DefaultNetwork(o.classes), *o.arch, rand.New(rand.NewPCG(o.seed, exportedWeights)))
		if err != nil {
			return export.Network{}, about, err
		}
		classes := described(data.NumberedClasses(o.classes))
		about.Classes, about.Colors = classes.Names, classes.Colors
	}
	defer model.Close()
	network, err := export.Of(model)
	return network, about, err
}
