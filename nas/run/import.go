package run

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"slices"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
	"github.com/segnas/segnas/nas/train/safetensors"
	"github.com/segnas/segnas/nas/train/torch"
)

// torchLayout is the layout of state_dicts that is known: package torch's.
const torchLayout = "segnas"

// descriptionKey is where a state_dict that was written here keeps the model's description.
const descriptionKey = "segnas.model"

// ImportedTorch is what tools/import wrote.
type ImportedTorch struct {
	File    string `json:"file"`
	Arch    string `json:"arch"`
	Classes int    `json:"classes"`
	Tensors int    `json:"tensors"`
	// Auxiliary tells that the heads that training alone needs came along; otherwise they were drawn at random.
	Auxiliary bool   `json:"auxiliary"`
	Next      string `json:"next"` // command to type
}

func (i ImportedTorch) print(w io.Writer) {
	fmt.Fprintf(w, "%s  %d tensors  %d classes  %s\n", i.File, i.Tensors, i.Classes, i.Arch)
	if !i.Auxiliary {
		fmt.Fprintln(w, "without auxiliary heads, which only training needs: drawn at random")
	}
	fmt.Fprintf(w, "next:\n  %s\n", i.Next)
}

type importOptions struct {
	machine         machineOptions
	from, to, out   string // state_dict to read, or checkpoint to write as one; file to write
	layout, classes string
	strides         []int
	height, width   int
	json            bool
}

func parseImport(args []string, s Streams) (o importOptions, err error) {
	fs := pflag.NewFlagSet("import", pflag.ContinueOnError)
	fs.StringVar(&o.from, "torch", "", "PyTorch state_dict to read: a safetensors file, or what torch.save(model.state_dict(), FILE) wrote")
	fs.StringVar(&o.to, "to-torch", "", "instead: trained network to write as a state_dict, such as a run folder's winner.safetensors")
	fs.StringVar(&o.layout, "layout", torchLayout, "names and shapes of the state_dict: "+torchLayout+", those of nas/train/torch/testdata/segnas_net.py")
	fs.StringVar(&o.out, "out", "", "safetensors file to write (needed)")
	fs.StringVar(&o.classes, "classes-from", "", "with --torch: folder of pictures or checkpoint whose classes the network tells apart (default: classes by number)")
	fs.IntSliceVar(&o.strides, "strides", []int{1, 2, 2}, "with --torch: stride of each stage's first block, which no shape tells")
	fs.Var(sizeFlag{&o.height, &o.width}, "size", "with --torch: height x width of the pictures that the network was trained on (default 360x480)")
	fs.BoolVar(&o.json, "json", false, "print what was written as JSON")
	machineFlags(fs, &o.machine)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	switch {
	case (o.from == "") == (o.to == ""):
		return o, misuse.Errorf("name a state_dict with --torch, or a trained network with --to-torch: one of the two")
	case o.out == "":
		return o, misuse.Errorf("name the file to write with --out")
	case o.layout != torchLayout:
		return o, misuse.Errorf("--layout: %q is not known; there is %s", o.layout, torchLayout)
	case len(o.strides) != space.Stages:
		return o, misuse.Errorf("--strides: %d numbers; one for each of the %d stages, such as 1,2,2", len(o.strides), space.Stages)
	case o.to != "" && (o.classes != "" || fs.Changed("strides") || fs.Changed("size")):
		return o, misuse.Errorf("--classes-from, --strides and --size go with --torch; a trained network has its own")
	}
	if !fs.Changed("strides") {
		o.strides = nil
	}
	return o, nil
}

// Import is tools/import: it makes a checkpoint of a PyTorch state_dict, and the other way round.
func Import(_ context.Context, args []string, s Streams) error {
	o, err := parseImport(args, s)
	if err != nil {
		return err
	}
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	do := o.fromTorch
	if o.to != "" {
		do = o.toTorch
	}
	result, err := do(m.context)
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.Out, result)
	}
	result.print(s.Out)
	return nil
}

// fromTorch reads a state_dict into a network of its shapes and writes that as a checkpoint.
func (o *importOptions) fromTorch(device *gobind.Context) (ImportedTorch, error) {
	state, metadata, err := torch.ReadState(o.from)
	if err != nil {
		return ImportedTorch{}, err
	}
	about, err := o.describe(state, metadata)
	if err != nil {
		return ImportedTorch{}, misuse.Errorf("%s: %w", o.from, err)
	}
	if about.Classes, err = o.namesOf(about); err != nil {
		return ImportedTorch{}, err
	}
	model, err := supernet.NewPlain(device, about.Network, *about.Arch, rand.New(rand.NewPCG(1, baselineWeights)))
	if err != nil {
		return ImportedTorch{}, err
	}
	defer model.Close()
	c, err := train.Capture(model, false)
	if err != nil {
		return ImportedTorch{}, err
	}
	auxiliary, err := torch.FromState(c.Tensors, state)
	if err != nil {
		return ImportedTorch{}, misuse.Errorf("%s: %w", o.from, err)
	}
	c.Model = about
	if err := c.SaveFile(o.out); err != nil {
		return ImportedTorch{}, misuse.Errorf("--out: %w", err)
	}
	return ImportedTorch{
		File: o.out, Arch: about.Arch.String(), Classes: about.Network.Classes, Tensors: len(state), Auxiliary: auxiliary,
		Next: fmt.Sprintf("%s --model %s PICTURE_OR_FOLDER", command("segment"), o.out),
	}, nil
}

// describe tells what network a state_dict is of: by its own description where it was written here, and by its shapes.
func (o *importOptions) describe(state []safetensors.Tensor, metadata map[string]string) (about train.Description, err error) {
	if text, found := metadata[descriptionKey]; found {
		if err := json.Unmarshal([]byte(text), &about); err != nil {
			return about, misuse.Errorf("its %s cannot be read: %w", descriptionKey, err)
		}
	}
	strides := about.Network.Strides
	if strides == [space.Stages]int{} || o.strides != nil {
		strides = space.DefaultNetwork(1).Strides
		copy(strides[:], o.strides)
	}
	n, a, err := torch.Describe(state, strides)
	if err != nil {
		return about, err
	}
	about.Kind, about.Network, about.Arch, about.Space = train.Plain, n, &a, nil
	if o.height > 0 {
		about.Height, about.Width = o.height, o.width
	} else if about.Height < 1 || about.Width < 1 {
		about.Height, about.Width = 360, 480
	}
	return about, nil
}

// namesOf finds the classes' names: those that the user names, else the state_dict's own, else numbers.
func (o *importOptions) namesOf(about train.Description) (train.Classes, error) {
	n := about.Network.Classes
	if o.classes == "" {
		if c := about.Classes; len(c.Names) == n && len(c.Colors) == n && (len(c.Values) == 0 || len(c.Values) == n) {
			return c, nil
		}
		return described(data.NumberedClasses(n)), nil
	}
	var classes train.Classes
	if info, err := os.Stat(o.classes); err != nil {
		return classes, misuse.Errorf("--classes-from: %w", err)
	} else if info.IsDir() {
		splits, err := openData(Config{Data: o.classes, Format: "auto"}, io.Discard)
		if err != nil {
			return classes, err
		}
		classes = described(splits.Train.Classes())
	} else {
		c, err := train.LoadFile(o.classes)
		if err != nil {
			return classes, err
		}
		classes = c.Model.Classes
	}
	if len(classes.Names) != n {
		return classes, misuse.Errorf("%s has %d classes and the network of %s tells %d apart", o.classes, len(classes.Names), o.from, n)
	}
	return classes, nil
}

// toTorch writes a checkpoint's network as a state_dict.
func (o *importOptions) toTorch(device *gobind.Context) (ImportedTorch, error) {
	model, c, err := train.OpenPlain(device, o.to, nil)
	if err != nil {
		return ImportedTorch{}, err
	}
	defer model.Close()
	if a := model.Arch(); a.IsQuantised() {
		return ImportedTorch{}, misuse.Errorf("%s holds %v, which has bit widths; the PyTorch module is in floating point", o.to, a)
	}
	plain, err := train.Capture(model, false)
	if err != nil {
		return ImportedTorch{}, err
	}
	about, err := json.Marshal(c.Model)
	if err != nil {
		return ImportedTorch{}, err
	}
	state := torch.ToState(plain.Tensors)
	file := safetensors.File{Metadata: map[string]string{"format": "pt", descriptionKey: string(about)}, Tensors: state}
	if err := safetensors.WriteFile(o.out, "", file); err != nil {
		return ImportedTorch{}, misuse.Errorf("--out: %w", err)
	}
	return ImportedTorch{
		File: o.out, Arch: model.Arch().String(), Classes: c.Model.Network.Classes, Tensors: len(state),
		Auxiliary: slices.ContainsFunc(state, func(t safetensors.Tensor) bool { return torch.Auxiliary(t.Name) }),
		Next:      fmt.Sprintf("python -c 'import safetensors.torch as s; print(*s.load_file(\"%s\"))'", o.out),
	}, nil
}
