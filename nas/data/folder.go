package data

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
)

// Names inside a folder dataset.
const (
	classFile = "classes.txt"
	imageDir  = "images"
	labelDir  = "labels"
)

// Folder reads the user's own pictures:
//
//	DIR/classes.txt             a class a line: value name #rrggbb
//	DIR/images/train/NAME.jpg   pictures, PNG or JPEG, of any sizes
//	DIR/labels/train/NAME.png   for each a palette or 8-bit grey PNG of the same size and name that holds the values
//	DIR/images/val, DIR/labels/val   likewise, the pictures to report on
//
// Without val, the last 15 % of the training pictures by name are reported on. Of those that remain, the last 15 % by name
// validate the search: pictures of one recording mostly sort together, and a random choice would test on their twins. Without
// train, pictures directly in images and labels are the training ones.
func Folder(dir string, o Options) (Splits, error) {
	raw, err := readFile(filepath.Join(dir, classFile))
	if err != nil {
		return Splits{}, err
	}
	classes, table, err := parseClassList(filepath.Join(dir, classFile), raw)
	if err != nil {
		return Splits{}, err
	}
	part := "train"
	if !isDir(filepath.Join(dir, imageDir, part)) {
		part = ""
	}
	items, err := matchPairs(dir, part)
	if err != nil {
		return Splits{}, err
	}
	var val []pair
	if isDir(filepath.Join(dir, imageDir, "val")) {
		if val, err = matchPairs(dir, "val"); err != nil {
			return Splits{}, err
		}
	} else {
		items, val = keepBack(items)
	}
	fit, search := keepBack(items)
	if len(fit) == 0 || len(search) == 0 || len(val) == 0 {
		return Splits{}, misuse.Errorf("%s: %d pictures are too few: training, search and report need at least one each",
			filepath.Join(dir, imageDir), len(items)+len(val))
	}
	n, m := len(fit), len(items)
	all := Cache(&pairs{name: filepath.Base(dir), classes: classes, table: table, items: append(items, val...)}, o.CacheBytes)
	return Splits{Train: section{all, 0, n}, SearchVal: section{all, n, m}, TrainAll: section{all, 0, m},
		Val: section{all, m, m + len(val)}}, nil
}

// keepBack parts the last searchShare of the pictures (at least one) from the others.
func keepBack(items []pair) (first, last []pair) {
	n := len(items) - max(1, int(float64(len(items))*searchShare+0.5))
	n = max(n, 0)
	return items[:n:n], items[n:]
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// matchPairs lists the pictures of a part with their label pictures, by name. Each must have its partner.
func matchPairs(dir, part string) ([]pair, error) {
	pictures, err := listPictures(filepath.Join(dir, imageDir, part), ".png", ".jpg", ".jpeg")
	if err != nil {
		return nil, err
	}
	labels, err := listPictures(filepath.Join(dir, labelDir, part), ".png")
	if err != nil {
		return nil, err
	}
	items := make([]pair, 0, len(pictures))
	for name, path := range pictures {
		label, ok := labels[name]
		if !ok {
			return nil, misuse.Errorf("%s has no label picture: %s is missing", path, filepath.Join(dir, labelDir, part, name+".png"))
		}
		items = append(items, pair{name, path, label})
	}
	if len(labels) > len(pictures) {
		var lone []string
		for name, path := range labels {
			if _, ok := pictures[name]; !ok {
				lone = append(lone, path)
			}
		}
		sort.Strings(lone)
		return nil, misuse.Errorf("%s has no picture: %s.png or .jpg is missing", lone[0], filepath.Join(dir, imageDir, part, stem(lone[0])))
	}
	sort.Slice(items, func(i, j int) bool { return items[i].name < items[j].name })
	return items, nil
}

// listPictures maps the stems of a folder's files with one of the suffixes to their paths.
func listPictures(dir string, suffixes ...string) (map[string]string, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, misuse.Errorf("%s: no such folder; pictures belong into %s, label pictures into %s", dir, imageDir, labelDir)
	}
	if err != nil {
		return nil, misuse.Errorf("%w", err)
	}
	found := map[string]string{}
	for _, e := range entries {
		ext := strings.ToLower(filepath.Ext(e.Name()))
		for _, s := range suffixes {
			if ext != s || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				continue
			}
			name, path := stem(e.Name()), filepath.Join(dir, e.Name())
			if other := found[name]; other != "" {
				return nil, misuse.Errorf("%s and %s: two pictures of one name; rename or remove one", other, path)
			}
			found[name] = path
		}
	}
	if len(found) == 0 {
		return nil, misuse.Errorf("%s: no picture here (%s)", dir, strings.Join(suffixes, ", "))
	}
	return found, nil
}
