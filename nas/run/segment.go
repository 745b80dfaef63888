package run

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/train"
)

// Segmented is one picture that tools/segment labelled.
type Segmented struct {
	Picture string  `json:"picture"`
	Overlay string  `json:"overlay"` // coloured labels over the picture
	Labels  string  `json:"labels"`  // label picture
	MS      float64 `json:"ms"`      // the network alone, picture in, labels out
}

type segmentOptions struct {
	machine       machineOptions
	model, out    string
	height, width int
	opacity       float64
	json          bool
	inputs        []string
}

func parseSegment(args []string, s Streams) (o segmentOptions, err error) {
	fs := pflag.NewFlagSet("segment", pflag.ContinueOnError)
	fs.StringVar(&o.model, "model", "", "trained network, such as a run folder's winner.safetensors (needed)")
	fs.StringVar(&o.out, "out", "segmented", "folder for the label pictures and overlays")
	fs.Var(sizeFlag{&o.height, &o.width}, "size", "network input, height x width (default: as in training)")
	fs.Float64Var(&o.opacity, "opacity", 0.6, "of the colours over the picture, from 0 to 1")
	fs.BoolVar(&o.json, "json", false, "print what was written as JSON")
	deployedFlags(fs, &o.machine)
	if err := parse(fs, args, "PICTURE_OR_FOLDER...", s); err != nil {
		return o, err
	}
	switch {
	case o.model == "":
		return o, misuse.Errorf("name a trained network with --model")
	case fs.NArg() == 0:
		return o, misuse.Errorf("name a picture or a folder of pictures")
	case !(o.opacity >= 0 && o.opacity <= 1):
		return o, misuse.Errorf("--opacity: %g is not between 0 and 1", o.opacity)
	}
	for _, arg := range fs.Args() {
		pictures, err := picturesOf(arg)
		if err != nil {
			return o, err
		}
		o.inputs = append(o.inputs, pictures...)
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

// Segment is tools/segment: it labels the user's own pictures with a trained network.
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
	l, err := openLabeller(m, o)
	if err != nil {
		return err
	}
	defer l.session.Close()
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return misuse.Errorf("--out: %w", err)
	}
	bar := NewProgress(s.Err, "segment", "pictures", 0, len(o.inputs))
	var all []Segmented
	for i, path := range o.inputs {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped after %d of %d pictures: %w", i, len(o.inputs), err)
		}
		one, err := l.picture(path, o)
		if err != nil {
			return err
		}
		all = append(all, one)
		bar.Set(i+1, "")
		if !o.json {
			fmt.Fprintf(s.Out, "%s  %.2f ms  %s  %s\n", one.Picture, one.MS, one.Overlay, one.Labels)
		}
	}
	bar.Finish("")
	if o.json {
		return printJSON(s.Out, all)
	}
	return nil
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
}

func openLabeller(m *machine, o segmentOptions) (*labeller, error) {
	model, c, err := train.OpenNetwork(m.context, o.model, nil)
	if err != nil {
		return nil, err
	}
	defer model.Close()
	l := &labeller{classes: restored(c.Model.Classes), h: c.Model.Height, w: c.Model.Width}
	if o.height > 0 {
		l.h, l.w = o.height, o.width
	}
	l.augment = data.NewAugmenter(nil, l.h, l.w)
	l.input, l.labels = make([]float32, l.h*l.w*pictureChannels), make([]byte, l.h*l.w)
	l.pixels = make([]byte, len(l.input))
	l.session, err = deploy(m.context, model, 1, l.h, l.w, ofBytes(m.session))
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

// picture labels one file and writes what came out.
func (l *labeller) picture(path string, o segmentOptions) (Segmented, error) {
	pixels, h, w, err := data.ReadPicture(path)
	if err != nil {
		return Segmented{}, err
	}
	sample := &data.Sample{Image: pixels, Label: make([]byte, h*w), H: h, W: w}
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
	labels := stretched(l.labels, l.h, l.w, h, w)
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	result := Segmented{
		Picture: path, Overlay: filepath.Join(o.out, name+"-overlay.png"), Labels: filepath.Join(o.out, name+"-labels.png"), MS: milliseconds(took),
	}
	if err := writePNG(result.Overlay, data.DrawOverlay(pixels, labels, h, w, l.classes, o.opacity)); err != nil {
		return result, err
	}
	picture, err := data.LabelPicture(labels, h, w, l.classes)
	if err != nil {
		return result, err
	}
	return result, writePNG(result.Labels, picture)
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
