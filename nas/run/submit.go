package run

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// submissionFile says what made the label pictures of a folder.
const submissionFile = "submission.json"

// resultEnding follows a picture's name in the name of its label picture. Cityscapes' server finds results by CITY_SSSSSS_FFFFFF*.png.
const resultEnding = "_labelIds.png"

// submission is all that the label pictures of a folder depend on. Files of two submissions are never mixed.
type submission struct {
	Model      string `json:"model"` // the file's fingerprint
	Arch       string `json:"arch"`
	Data       string `json:"data"`
	Split      string `json:"split"`
	Height     int    `json:"height"` // of the network's input
	Width      int    `json:"width"`
	Precision  string `json:"precision"`
	Arithmetic string `json:"arithmetic"`
}

// Submitted is what tools/submit prints.
type Submitted struct {
	Folder   string `json:"folder"`
	Split    string `json:"split"`
	Pictures int    `json:"pictures"`
	Written  int    `json:"written"` // by this process; the others were there
	Zip      string `json:"zip,omitempty"`
	// Score is of the files as they lie in the folder, against the label pictures; nil without --check.
	Score *Scored `json:"score,omitempty"`
}

type submitOptions struct {
	evalOptions
	out, zip string
	check    bool
}

func parseSubmit(args []string, s Streams) (o submitOptions, err error) {
	if o.cfg, err = presetOf(args); err != nil {
		return o, err
	}
	fs := pflag.NewFlagSet("submit", pflag.ContinueOnError)
	fs.StringVar(&o.model, "model", "", "trained network, such as a run folder's winner.safetensors (needed)")
	dataFlags(fs, &o.cfg)
	fs.StringVar(&o.split, "split", "test", "pictures to label: test (hidden labels, for a benchmark's server), val, search, train")
	fs.StringVar(&o.out, "out", "", "folder for the label pictures (default: runs/submit-DATA-SPLIT-MODEL, by the model's content)")
	fs.StringVar(&o.zip, "zip", "", "file to pack them into, as a server takes them")
	fs.BoolVar(&o.check, "check", false, "score the written files against the label pictures")
	fs.BoolVar(&o.json, "json", false, "print the result as JSON")
	deployedFlags(fs, &o.machine)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	switch {
	case o.model == "":
		return o, misuse.Errorf("name a trained network with --model; all other settings are flags")
	case o.check && o.split == "test":
		return o, misuse.Errorf("--check: the labels of the test pictures are hidden; --split val has some")
	}
	o.ownSize, o.fullSize = fs.Changed("size"), true
	return o, nil
}

// Submit is tools/submit: it labels all pictures of a split and writes what a benchmark's server takes.
func Submit(ctx context.Context, args []string, s Streams) error {
	o, err := parseSubmit(args, s)
	if err != nil {
		return err
	}
	o.machine.sessions = "label pictures"
	return o.run(s, func(p *pipeline, model supernet.Deployable, _ train.Description) (printer, error) {
		result, err := p.submit(ctx, o, model)
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%w; the same command goes on from here", err)
		}
		return result, err
	})
}

func (r Submitted) print(w io.Writer) error {
	if r.Score != nil {
		if err := r.Score.print(w); err != nil {
			return err
		}
	}
	packed := ""
	if r.Zip != "" {
		packed = "packed into " + r.Zip + "\n"
	}
	_, err := fmt.Fprintf(w, "%d label pictures (%s) in %s, %d of them written now\n%s", r.Pictures, r.Split, r.Folder, r.Written, packed)
	return err
}

// submit writes what the folder lacks, and packs and checks it.
func (p *pipeline) submit(ctx context.Context, o submitOptions, model supernet.Deployable) (r Submitted, err error) {
	ds, err := p.labelled(o.evalOptions, model.Network().Classes)
	if err != nil {
		return r, err
	}
	how, err := p.machine.deployment(model)
	if err != nil {
		return r, err
	}
	what := submission{
		Arch: networkName(model), Data: ds.Name(), Split: o.split, Height: p.cfg.Height, Width: p.cfg.Width,
		Precision: how.Precision.String(), Arithmetic: p.machine.arithmetic(),
	}
	if what.Model, err = fingerprint(o.model, "sha256"); err != nil { // the file could be read a moment ago
		return r, err
	}
	r = Submitted{Folder: o.out, Split: o.split, Pictures: ds.Len()}
	if r.Folder == "" {
		r.Folder = filepath.Join("runs", fmt.Sprintf("submit-%s-%s-%s", filepath.Base(filepath.Clean(p.cfg.Data)), o.split, what.Model))
	}
	if p.folder, err = openFolder(r.Folder); err != nil {
		return r, err
	}
	if err := p.folder.keepApart(what); err != nil {
		return r, err
	}
	names, err := resultNames(ds)
	if err != nil {
		return r, err
	}
	if r.Written, err = p.writeResults(ctx, model, ds, names); err != nil {
		return r, err
	}
	if o.check {
		if r.Score, err = p.checkResults(ctx, o, model, ds, names); err != nil {
			return r, err
		}
	}
	if o.zip == "" {
		return r, nil
	}
	r.Zip = o.zip
	return r, packResults(r.Folder, names, o.zip)
}

// keepApart begins a folder of results, and refuses one that holds another network's.
func (f *folder) keepApart(what submission) error {
	path := f.file(submissionFile)
	var old submission
	found, err := finished(path, &old)
	if err != nil {
		return err
	}
	if found {
		return old.accepts(f.path, what)
	}
	if others, _ := filepath.Glob(f.file("*.png")); len(others) > 0 {
		return misuse.Errorf("%s holds pictures, such as %s, and no %s that says what made them: give another folder with --out",
			f.path, filepath.Base(others[0]), submissionFile)
	}
	return writeJSON(path, what)
}

// accepts refuses to add results of another network, or of other settings, to a folder.
func (s submission) accepts(folder string, other submission) error {
	for _, d := range []struct {
		name    string
		was, is any
	}{
		{"model", s.Model, other.Model}, {"architecture", s.Arch, other.Arch}, {"data set", s.Data, other.Data}, {"split", s.Split, other.Split},
		{"input height", s.Height, other.Height}, {"input width", s.Width, other.Width}, {"precision", s.Precision, other.Precision},
		{"instruction set or GPU", s.Arithmetic, other.Arithmetic},
	} {
		if d.was != d.is {
			return misuse.Errorf("%s holds results of the %s %v, and these would be of %v: give another folder with --out", folder, d.name, d.was, d.is)
		}
	}
	return nil
}

// resultNames is the file names of the label pictures of a data set.
func resultNames(ds data.Dataset) ([]string, error) {
	all := make([]string, ds.Len())
	seen := map[string]bool{}
	for i := range all {
		name, err := data.SampleName(ds, i)
		if err != nil {
			return nil, err
		}
		all[i] = name + resultEnding
		if seen[name] {
			return nil, misuse.Errorf("%s has two pictures of the name %s, and their label pictures would have one name", ds.Name(), name)
		}
		seen[name] = true
	}
	return all, nil
}

// writeResults labels the pictures whose label pictures are not there yet.
func (p *pipeline) writeResults(ctx context.Context, model supernet.Deployable, ds data.Dataset, names []string) (written int, err error) {
	var missing []int
	for i, name := range names {
		if !p.folder.has(name) {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return 0, nil
	}
	done := len(names) - len(missing)
	bar := NewProgress(p.streams.Err, "submit", "pictures", done, len(names))
	err = p.labelEach(ctx, model, data.Select(ds, missing), func(i int, s *data.Sample, labels []byte) error {
		if err := writeResult(p.folder.file(names[missing[i]]), labels, s.H, s.W, ds.Classes()); err != nil {
			return err
		}
		written++
		bar.Set(done+written, "")
		return nil
	})
	if err != nil {
		return written, fmt.Errorf("%d of %d label pictures are there: %w", done+written, len(names), err)
	}
	bar.Finish("")
	return written, nil
}

// writeResult writes labels as an 8-bit grey PNG of the classes' values, at once and durably.
func writeResult(path string, labels []byte, h, w int, classes data.Classes) error {
	picture := image.NewGray(image.Rect(0, 0, w, h))
	for i, l := range labels {
		picture.Pix[i] = classes.Value(int(l))
	}
	var file bytes.Buffer
	if err := png.Encode(&file, picture); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return durable.Replace(path, file.Bytes())
}

// checkResults scores the files as they were written.
func (p *pipeline) checkResults(ctx context.Context, o submitOptions, model supernet.Deployable, ds data.Dataset, names []string) (*Scored, error) {
	c := metrics.NewConfusion(ds.Classes().Len())
	bar := NewProgress(p.streams.Err, "check", "pictures", 0, len(names))
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		truth, h, w, err := data.Labels(ds, i)
		if err != nil {
			return nil, err
		}
		path := p.folder.file(name)
		labels, fileH, fileW, err := data.ReadLabels(path, ds.Classes())
		if err != nil {
			return nil, err
		}
		if fileH != h || fileW != w {
			return nil, misuse.Errorf("%s has %d rows of %d pixels, its picture %d of %d; remove it, and it is written again", path, fileH, fileW, h, w)
		}
		if err := c.Add(truth, labels, data.Ignore); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		bar.Set(i+1, "")
	}
	bar.Finish("")
	score := scored(o.model, model, o.split, ds, c)
	score.FullSize = true
	return &score, score.check(ds)
}

// packResults packs label pictures into an archive without folders, at once and durably. PNGs do not shrink any more.
func packResults(folder string, names []string, path string) (err error) {
	temp := path + ".tmp"
	file, err := os.Create(temp)
	if err != nil {
		return misuse.Errorf("--zip: %w", err)
	}
	defer func() {
		if err != nil {
			os.Remove(temp)
		}
	}()
	archive := zip.NewWriter(file)
	for _, name := range names {
		if err = packFile(archive, filepath.Join(folder, name), name); err != nil {
			file.Close()
			return err
		}
	}
	if err = archive.Close(); err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.Rename(temp, path)
}

// packedAt is the least time of the format: an archive of the same pictures is the same file.
var packedAt = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func packFile(archive *zip.Writer, path, name string) error {
	content, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	entry, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store, Modified: packedAt})
	if err != nil {
		return err
	}
	_, err = entry.Write(content)
	return err
}
