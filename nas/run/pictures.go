package run

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/misuse"
)

// cityscapesFlag names --data and --format in one.
const cityscapesFlag = "cityscapes"

// pictureFlags registers how a folder of pictures is read and kept.
func pictureFlags(fs *pflag.FlagSet, c *Config) {
	fs.StringVar(&c.Format, "format", c.Format, "how the folder is read: auto, "+strings.Join(data.Formats(), ", "))
	fs.Var(cityscapesFolder{c}, cityscapesFlag, "Cityscapes' folder, with leftImg8bit and gtFine in it: --data and --format in one")
	c.PictureCache = data.DefaultCacheBytes
	fs.Var(cacheFlag{&c.PictureCache}, "picture-cache", "most bytes of decoded pictures of a folder that are kept in memory, such as 8G; 0 keeps none")
}

// oneFolder makes the folder of --cityscapes, where that is given, the data. Beside --data it is misuse.
func oneFolder(fs *pflag.FlagSet, folder *string, cityscapes string) error {
	if !fs.Changed(cityscapesFlag) {
		return nil
	}
	if fs.Changed("data") {
		return misuse.Errorf("--data %s and --%s %s: give one of the two", *folder, cityscapesFlag, cityscapes)
	}
	*folder = cityscapes
	return nil
}

// cityscapesFolder is a folder in Cityscapes' layout.
type cityscapesFolder struct{ c *Config }

func (f cityscapesFolder) String() string { return "" }
func (f cityscapesFolder) Type() string   { return "folder" }

func (f cityscapesFolder) Set(folder string) error {
	f.c.Data, f.c.Format = folder, "cityscapes"
	return nil
}

// cacheFlag is a number of bytes, or 0.
type cacheFlag struct{ bytes *float64 }

func (f cacheFlag) String() string {
	if f.bytes == nil || *f.bytes == 0 {
		return "0"
	}
	return strings.TrimSuffix(strings.ReplaceAll(bytesText(int(*f.bytes)), " ", ""), "B")
}

func (f cacheFlag) Type() string { return "bytes" }

func (f cacheFlag) Set(text string) error {
	if text == "0" {
		*f.bytes = 0
		return nil
	}
	return countFlag{f.bytes}.Set(text)
}

// describePictures says how much of a folder's pictures stays decoded in memory. One picture speaks for the size of all.
func describePictures(out io.Writer, c Config, s data.Splits) error {
	if c.Data == ScenesData {
		return nil
	}
	first, err := s.TrainAll.Read(0)
	if err != nil {
		return err
	}
	n := s.TrainAll.Len() + s.Val.Len()
	all := float64(n) * float64(first.Bytes())
	fmt.Fprintf(out, "  pictures  %d of about %dx%d, decoded some %s", n, first.H, first.W, bytesText(int(all)))
	switch {
	case c.PictureCache >= all:
		fmt.Fprintf(out, ", all kept in memory\n")
	case c.PictureCache > 0:
		fmt.Fprintf(out, "; %s of memory keep %.2g %% of them, the others are decoded whenever wanted (--picture-cache)\n",
			bytesText(int(c.PictureCache)), 100*c.PictureCache/all)
	default:
		fmt.Fprintf(out, "; none kept in memory\n")
	}
	return nil
}

// indexClasses finds out which training pictures hold which class, where samples are chosen by class. Train is the first of TrainAll, so that one
// index serves every training of a run.
func (p *pipeline) indexClasses(ctx context.Context) error {
	if p.cfg.ClassUniform == 0 || p.classIndex != nil {
		return nil
	}
	bar := NewProgress(p.streams.Err, "classes", "pictures", 0, p.data.TrainAll.Len())
	var err error
	p.classIndex, err = data.IndexClasses(ctx, p.data.TrainAll, func(done, _ int) { bar.Set(done, "") })
	if err == nil {
		bar.Finish(fmt.Sprintf("%d classes occur", len(p.classIndex.Occurring())))
	}
	return err
}
