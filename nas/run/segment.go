package run

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
)

// Segmented is one picture that tools/segment labelled.
type Segmented struct {
	Picture string  `json:"picture"`
	Overlay string  `json:"overlay"` // coloured labels over the picture
	Labels  string  `json:"labels"`  // label picture
	MS      float64 `json:"ms"`      // the network alone, picture in, labels out
	// Score is there for drawn scenes, whose truth is known.
	*Score
}

// Score compares labels with the truth, over the classes in either: in one scene, a class of a few pixels counts as much as the road.
type Score struct {
	MIoU     float64 `json:"miou"`
	Accuracy float64 `json:"pixel_accuracy"`
	classes  int
}

func scoreOf(c *metrics.Confusion) *Score {
	s := Score{Accuracy: c.PixelAccuracy()}
	s.MIoU, s.classes = c.MeanIoU()
	return &s
}

func (s Score) String() string {
	return fmt.Sprintf("mIoU %.1f %% of %d classes, %.1f %% of the pixels right", 100*s.MIoU, s.classes, 100*s.Accuracy)
}

func (s Segmented) print(w io.Writer) {
	score := ""
	if s.Score != nil {
		score = s.Score.String() + "  "
	}
	fmt.Fprintf(w, "%s  %s%.2f ms  %s  %s\n", s.Picture, score, s.MS, s.Overlay, s.Labels)
}

type segmentOptions struct {
	machine       machineOptions
	model, out    string
	height, width int
	opacity       float64
	scenes        int // to draw where no picture is named
	json          bool
	pictures      []string
}

// input is a picture to label.
type input struct {
	path     string
	read     func() (*data.Sample, error)
	labelled bool // the sample holds the truth
}

func parseSegment(args []string, s Streams) (o segmentOptions, err error) {
	fs := pflag.NewFlagSet("segment", pflag.ContinueOnError)
	fs.StringVar(&o.model, "model", includedModel, "trained network, such as a run folder's winner.safetensors; scenes is the one that comes with segnas, trained on drawn street scenes")
	fs.IntVar(&o.scenes, "scenes", 4, "without a picture: scenes to draw for the network that comes with segnas, which it has not seen")
	fs.StringVar(&o.out, "out", "segmented", "folder for the label pictures and overlays")
	fs.Var(sizeFlag{&o.height, &o.width}, "size", "network input, height x width (default: as in training)")
	fs.Float64Var(&o.opacity, "opacity", 0.6, "of the colours over the picture, from 0 to 1")
	fs.BoolVar(&o.json, "json", false, "print what was written as JSON")
	deployedFlags(fs, &o.machine)
	if err := parse(fs, args, "[PICTURE_OR_FOLDER...]", s); err != nil {
		return o, err
	}
	switch {
	case o.model == "":
		return o, misuse.Errorf("name a trained network with --model")
	case fs.NArg() == 0 && o.model != includedModel:
		return o, misuse.Errorf("name a picture or a folder of pictures")
	case fs.NArg() > 0 && fs.Changed("scenes"):
		return o, misuse.Errorf("--scenes and %s: give pictures, or a number of scenes to draw", fs.Arg(0))
	case o.scenes < 1:
		return o, misuse.Errorf("--scenes %d: at least 1 scene", o.scenes)
	case !(o.opacity >= 0 && o.opacity <= 1):
		return o, misuse.Errorf("--opacity: %g is not between 0 and 1", o.opacity)
	}
	for _, arg := range fs.Args() {
		pictures, err := picturesOf(arg)
		if err != nil {
			return o, err
		}
		o.pictures = append(o.pictures, pictures...)
	}
	return o, nil
}

// picturesOf lists a folder's pictures by name; a file is itself.
func picturesOf(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, misuse.Errorf("%w", err)
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, misuse.Errorf("%w", err)
	}
	var pictures []string
	for _, e := range entries {
		if ext := strings.ToLower(filepath.Ext(e.Name())); !e.IsDir() && slices.Contains([]string{".png", ".jpg", ".jpeg"}, ext) {
			pictures = append(pictures, filepath.Join(path, e.Name()))
		}
	}
	if len(pictures) == 0 {
		return nil, misuse.Errorf("%s: no picture here (.png, .jpg, .jpeg)", path)
	}
	return pictures, nil
}

// Segment is tools/segment: it labels the user's own pictures, or drawn scenes, with a trained network.
func Segment(ctx context.Context, args []string, s Streams) error {
	o, err := parseSegment(args, s)
	if err != nil {
		return err
	}
	o.machine.sessions = "label pictures"
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	if err := o.introduce(s.Err); err != nil {
		return err
	}
	l, err := openLabeller(m, o)
	if err != nil {
		return err
	}
	defer l.session.Close()
	inputs, err := o.inputs(l.h, l.w)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return misuse.Errorf("--out: %w", err)
	}
	bar := NewProgress(s.Err, "segment", "pictures", 0, len(inputs))
	var all []Segmented
	for i, in := range inputs {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped after %d of %d pictures: %w", i, len(inputs), err)
		}
		one, err := l.picture(in, o)
		if err != nil {
			return err
		}
		all = append(all, one)
		bar.Set(i+1, "")
		if !o.json {
			one.print(s.Out)
		}
	}
	bar.Finish("")
	if o.json {
		return printJSON(s.Out, all)
	}
	return l.sum(s.Out)
}

// introduce says which network it is, where that is not one of the user's own.
func (o segmentOptions) introduce(out io.Writer) error {
	if o.model != includedModel {
		return nil
	}
	n, err := readIncluded()
	if err != nil {
		return err
	}
	fmt.Fprintln(out, n)
	if len(o.pictures) > 0 {
		fmt.Fprintln(out, "  drawn scenes are no photographs: it has never seen one, and will label yours badly where they look different")
	}
	return nil
}

// inputs lists what there is to label: the pictures, or without any, scenes of h x w pixels.
func (o segmentOptions) inputs(h, w int) ([]input, error) {
	if len(o.pictures) == 0 {
		n, err := readIncluded()
		if err != nil {
			return nil, err
		}
		return n.unseen(o.scenes, h, w, o.out)
	}
	var all []input
	for _, path := range o.pictures {
		all = append(all, input{path: path, read: func() (*data.Sample, error) {
			pixels, h, w, err := data.ReadPicture(path)
			return &data.Sample{Image: pixels, Label: make([]byte, h*w), H: h, W: w}, err
		}})
	}
	return all, nil
}

// labeller is a deployed network with its classes.
type labeller struct {
	session  *gobind.Session
	classes  data.Classes
	h, w     int
	augment  *data.Augmenter // to stretch pictures
	input    []float32       // normalised
	pixels   []byte          // the same as the session takes it
	labels   []byte
	warmedUp bool
	all      *metrics.Confusion // of the scenes, whose truth is known
}

func openLabeller(m *machine, o segmentOptions) (*labeller, error) {
	model, c, err := openNetwork(m.context, o.model, nil)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	l := &labeller{classes: restored(c.Model.Classes), h: c.Model.Height, w: c.Model.Width, all: metrics.NewConfusion(c.Model.Network.Classes)}
	if o.height > 0 {
		l.h, l.w = o.height, o.width
	}
	l.augment = data.NewAugmenter(nil, l.h, l.w)
	l.input, l.labels = make([]float32, l.h*l.w*pictureChannels), make([]byte, l.h*l.w)
	l.pixels = make([]byte, len(l.input))
	how, err := m.deployment(model)
	if err != nil {
		return nil, err
	}
	l.session, err = deploy(m.context, model, 1, l.h, l.w, ofBytes(how))
	return l, err
}

// ofBytes returns the options of a session that takes pictures as they come out of a file, and normalises them itself.
func ofBytes(o gobind.SessionOptions) gobind.SessionOptions {
	for range pictureChannels {
		o.Scale = append(o.Scale, 1/(255*data.Std))
		o.Shift = append(o.Shift, -data.Mean/data.Std)
	}
	return o
}

// picture labels one picture and writes what came out.
func (l *labeller) picture(in input, o segmentOptions) (Segmented, error) {
	sample, err := in.read()
	if err != nil {
		return Segmented{}, err
	}
	l.augment.Fixed(sample, l.input, l.labels)
	data.Denormalise(l.pixels, l.input)
	if !l.warmedUp { // the first run touches memory for the first time
		if err := l.session.RunBytes(l.pixels, l.labels, nil); err != nil {
			return Segmented{}, err
		}
		l.warmedUp = true
	}
	began := time.Now()
	if err := l.session.RunBytes(l.pixels, l.labels, nil); err != nil {
		return Segmented{}, err
	}
	took := time.Since(began)
	labels := stretched(l.labels, l.h, l.w, sample.H, sample.W)
	name := filepath.Join(o.out, strings.TrimSuffix(filepath.Base(in.path), filepath.Ext(in.path)))
	result := Segmented{Picture: in.path, Overlay: name + "-overlay.png", Labels: name + "-labels.png", MS: milliseconds(took)}
	if in.labelled {
		if result.Score, err = l.score(sample.Label, labels); err != nil {
			return result, err
		}
	}
	if err := writePNG(result.Overlay, data.DrawOverlay(sample.Image, labels, sample.H, sample.W, l.classes, o.opacity)); err != nil {
		return result, err
	}
	picture, err := data.LabelPicture(labels, sample.H, sample.W, l.classes)
	if err != nil {
		return result, err
	}
	return result, writePNG(result.Labels, picture)
}

// score compares a scene's labels with its truth.
func (l *labeller) score(truth, labels []byte) (*Score, error) {
	one := metrics.NewConfusion(l.all.Classes)
	if err := one.Add(truth, labels, data.Ignore); err != nil {
		return nil, err
	}
	return scoreOf(one), l.all.Merge(one)
}

// sum prints the score of all scenes, if there were any, and what else there is to do.
func (l *labeller) sum(out io.Writer) error {
	all := scoreOf(l.all)
	if all.classes == 0 {
		return nil
	}
	_, err := fmt.Fprintf(out, "all of them  %v\nname a picture or a folder to label your own; next, to design a network for this machine:\n  %s\n", all, command("search"))
	return err
}

// stretched brings labels of h x w to another size: each pixel takes the label at its centre.
func stretched(labels []byte, h, w, toH, toW int) []byte {
	out := make([]byte, toH*toW)
	for i := range toH {
		row := labels[(2*i+1)*h/(2*toH)*w:]
		for j := range toW {
			out[i*toW+j] = row[(2*j+1)*w/(2*toW)]
		}
	}
	return out
}

func writePNG(path string, picture image.Image) error {
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return durable.Replace(path, file.Bytes())
}
