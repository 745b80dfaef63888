package data

import (
	"os"
	"path/filepath"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
)

// Options are what is free about reading a folder of pictures. The zero value finds the layout out, keeps nothing and says nothing.
type Options struct {
	Format string // a layout's name, or "auto" or "" to find it out
	// CacheBytes bounds the memory of decoded pictures that are kept, all splits together; 0 keeps none.
	CacheBytes int64
	Notice     func(text string) // what the user should know about the splits; may be nil
}

// DefaultCacheBytes is a bound for decoded pictures that suits most machines: 1 GiB holds all of CamVid (468 pictures of 360 x 480) three times
// over, and 128 pictures of Cityscapes.
const DefaultCacheBytes = 1 << 30

func (o Options) notice(text string) {
	if o.Notice != nil {
		o.Notice(text)
	}
}

// layouts are the ways in which a folder can hold a dataset, each told by what must lie in it.
var layouts = []struct {
	name, holds string // a file or folder
	what        string
	open        func(dir string, o Options) (Splits, error)
}{
	{"camvid", "train.txt", "CamVid's layout", CamVid},
	{"folder", classFile, "a folder of your own: images, labels and a class list", Folder},
	{"cityscapes", cityscapesPictures, "Cityscapes' layout, with gtFine", Cityscapes},
}

// Formats lists the names of the layouts.
func Formats() []string {
	var names []string
	for _, l := range layouts {
		names = append(names, l.name)
	}
	return names
}

// Open reads the dataset in a folder.
func Open(dir string, o Options) (Splits, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return Splits{}, misuse.Errorf("pictures: %w", err)
	}
	if !info.IsDir() {
		return Splits{}, misuse.Errorf("%s is a file; a folder of pictures is wanted", dir)
	}
	named := o.Format != "" && o.Format != "auto"
	var wanted []string
	for _, l := range layouts {
		_, err := os.Stat(filepath.Join(dir, l.holds))
		if l.name == o.Format || !named && err == nil {
			return l.open(dir, o)
		}
		wanted = append(wanted, l.holds+" ("+l.what+")")
	}
	if named {
		return Splits{}, misuse.Errorf("the format %q is not known; there are auto, %s", o.Format, strings.Join(Formats(), ", "))
	}
	return Splits{}, misuse.Errorf("%s: no dataset here: neither %s", dir, strings.Join(wanted, ", nor "))
}
