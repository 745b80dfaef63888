package data

import (
	"bufio"
	"bytes"
	"path/filepath"
	"sort"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
)

// searchShare is the part of each CamVid drive, and of a Folder's training pictures, that validates the search.
const searchShare = 0.15

// CamVid reads the SegNet edition of CamVid (Brostow, Fauqueur, Cipolla, Pattern Recognition Letters 30(2), 2009): train.txt
// and val.txt in dir list a picture and a label picture a line, relative to dir; label values are 0-10, and 11 for void.
//
// The search validates on the last 15 % of each drive of the training pictures (55 of 367), since neighbouring frames of a
// drive are nearly alike and a random choice would test on what was trained. The val pictures are reported on only.
func CamVid(dir string, o Options) (Splits, error) {
	table := &labelTable{list: "CamVid's classes"}
	classes := CamVidClasses()
	for c := range classes.Names {
		table.known[c], table.class[c] = true, byte(c)
	}
	void := classes.Len()
	table.known[void], table.class[void] = true, Ignore
	train, err := readPairList(dir, "train.txt")
	if err != nil {
		return Splits{}, err
	}
	val, err := readPairList(dir, "val.txt")
	if err != nil {
		return Splits{}, err
	}
	all := Cache(&pairs{name: "CamVid", classes: classes, table: table, items: append(train, val...)}, o.CacheBytes)
	fit, search := splitDrives(train)
	if len(fit) == 0 || len(search) == 0 {
		return Splits{}, misuse.Errorf("%s: %d pictures are too few to keep some back for the search; 7 a drive suffice",
			filepath.Join(dir, "train.txt"), len(train))
	}
	fitSet, searchSet := Select(all, fit), Select(all, search)
	return Splits{Train: fitSet, SearchVal: searchSet, TrainAll: concat{fitSet, searchSet},
		Val: section{all, len(train), len(train) + len(val)}}, nil
}

// splitDrives keeps the last searchShare (rounded) of each drive back. A drive is what precedes the underscore in a name.
func splitDrives(items []pair) (fit, search []int) {
	drives := map[string][]int{}
	var names []string
	for i, it := range items {
		drive, _, _ := strings.Cut(it.name, "_")
		if drives[drive] == nil {
			names = append(names, drive)
		}
		drives[drive] = append(drives[drive], i)
	}
	for _, name := range names {
		d := drives[name]
		sort.Slice(d, func(i, j int) bool { return items[d[i]].name < items[d[j]].name })
		keep := len(d) - int(float64(len(d))*searchShare+0.5)
		fit, search = append(fit, d[:keep]...), append(search, d[keep:]...)
	}
	return fit, search
}

// readPairList reads a list of "picture label" lines.
func readPairList(dir, file string) ([]pair, error) {
	path := filepath.Join(dir, file)
	raw, err := readFile(path)
	if err != nil {
		return nil, err
	}
	var items []pair
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, misuse.Errorf("%s:%d: want a picture and a label picture, got %d words", path, n, len(fields))
		}
		items = append(items, pair{name: stem(fields[0]), picture: filepath.Join(dir, filepath.FromSlash(fields[0])),
			label: filepath.Join(dir, filepath.FromSlash(fields[1]))})
	}
	if err := lines.Err(); err != nil {
		return nil, misuse.Errorf("%s: %w", path, err)
	}
	if len(items) == 0 {
		return nil, misuse.Errorf("%s: lists no picture", path)
	}
	return items, nil
}

// stem is a path's last element without its suffix.
func stem(path string) string {
	base := filepath.Base(path)
	return strings.TrimSuffix(base, filepath.Ext(base))
}
