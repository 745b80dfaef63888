package data

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
)

// Names inside a folder in Cityscapes' layout.
const (
	cityscapesPictures = "leftImg8bit"
	cityscapesLabels   = "gtFine"
	pictureEnding      = "_leftImg8bit.png"
	labelEnding        = "_gtFine_labelIds.png"
)

// searchCity is the training city on which a search validates: 174 of the 2975 pictures.
const searchCity = "aachen"

// cityscapesIDs are the label ids of the training classes, in the order of their training ids: the published table of the data set
// (Cordts et al., CVPR 2016). All other ids from 0 to lastCityscapesID, and -1, are left out of training and scores.
var cityscapesIDs = []byte{7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33}

const lastCityscapesID = 33

// cityscapesTable maps label ids to training classes. The id -1 is 255 in 8 bits.
func cityscapesTable() *labelTable {
	t := &labelTable{list: "Cityscapes' label ids"}
	for id := range lastCityscapesID + 1 {
		t.known[id], t.class[id] = true, Ignore
	}
	t.known[Ignore], t.class[Ignore] = true, Ignore
	for class, id := range cityscapesIDs {
		t.class[id] = byte(class)
	}
	return t
}

// Cityscapes reads a folder as the data set comes (Cordts et al., CVPR 2016):
//
//	DIR/leftImg8bit/SPLIT/CITY/CITY_SSSSSS_FFFFFF_leftImg8bit.png    pictures; SPLIT is train, val or test
//	DIR/gtFine/SPLIT/CITY/CITY_SSSSSS_FFFFFF_gtFine_labelIds.png     label ids, 8-bit grey, of the same size
//
// Label ids become the 19 training classes; Classes.Values are the ids. The search validates on the pictures of aachen, where that city is
// among the training ones, else on those of the last city by name, and a notice says so. TrainAll is all of train, Val is val, which is
// only reported on. Test is test, where it is there; of its pictures no label is known, and no label picture is read.
func Cityscapes(dir string, o Options) (Splits, error) {
	if !isDir(filepath.Join(dir, cityscapesPictures)) {
		return Splits{}, misuse.Errorf("%s: no folder %s in it; unpack leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip there", dir, cityscapesPictures)
	}
	train, err := citiesOf(dir, "train", true)
	if err != nil {
		return Splits{}, err
	}
	val, err := citiesOf(dir, "val", true)
	if err != nil {
		return Splits{}, err
	}
	if len(train) < 2 {
		return Splits{}, misuse.Errorf("%s: %s is the only city; the search validates on another one than it trains on, so that at least 2 are needed",
			filepath.Join(dir, cityscapesPictures, "train"), train[0].name)
	}
	fit, search := holdOut(train, o)
	items := append(fit, search...)
	n, m := len(fit), len(items)
	for _, c := range val {
		items = append(items, c.items...)
	}
	all := Cache(cityscapesSet(items), o.CacheBytes)
	s := Splits{Train: section{all, 0, n}, SearchVal: section{all, n, m}, TrainAll: section{all, 0, m}, Val: section{all, m, len(items)}}
	if isDir(filepath.Join(dir, cityscapesPictures, "test")) {
		test, err := citiesOf(dir, "test", false)
		if err != nil {
			return Splits{}, err
		}
		var hidden []pair
		for _, c := range test {
			hidden = append(hidden, c.items...)
		}
		s.Test = cityscapesSet(hidden)
	}
	return s, nil
}

func cityscapesSet(items []pair) *pairs {
	classes := CityscapesClasses()
	classes.Values = cityscapesIDs
	return &pairs{name: "Cityscapes", classes: classes, table: cityscapesTable(), items: items}
}

// city is a city's pictures, by name.
type city struct {
	name  string
	items []pair
}

// holdOut parts the search's city from the others.
func holdOut(train []city, o Options) (fit, search []pair) {
	held := len(train) - 1
	found := false
	for i, c := range train {
		if c.name == searchCity {
			held, found = i, true
		}
	}
	total := 0
	for i, c := range train {
		total += len(c.items)
		if i == held {
			search = c.items
		} else {
			fit = append(fit, c.items...)
		}
	}
	if !found {
		o.notice(fmt.Sprintf("no city %s among the %d training cities: the search validates on %s instead, %d of %d pictures",
			searchCity, len(train), train[held].name, len(search), total))
	}
	return fit, search
}

// citiesOf lists the cities of a split by name, each with its pictures by name. With labelled, each picture must have its label picture and each
// label picture its picture.
func citiesOf(dir, split string, labelled bool) ([]city, error) {
	root := filepath.Join(dir, cityscapesPictures, split)
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, misuse.Errorf("%s: no such folder; the cities of the split %s belong into it", root, split)
	}
	var cities []city
	for _, e := range entries { // sorted by name
		folder := filepath.Join(root, e.Name())
		if strings.HasPrefix(e.Name(), ".") || !isDir(folder) {
			continue
		}
		c := city{name: e.Name()}
		if c.items, err = cityPictures(folder, e.Name()); err != nil {
			return nil, err
		}
		if labelled {
			if err := matchCity(c, folder, filepath.Join(dir, cityscapesLabels, split, c.name)); err != nil {
				return nil, err
			}
		}
		cities = append(cities, c)
	}
	if len(cities) == 0 {
		return nil, misuse.Errorf("%s: no city here; a folder of pictures for each is wanted", root)
	}
	return cities, nil
}

// frame is how the pictures of a recording are named after the city: sequence and frame, of six digits each.
var frame = regexp.MustCompile(`^_[0-9]{6}_[0-9]{6}$`)

// frameOf returns what a city's picture and label picture have in common, CITY_SSSSSS_FFFFFF; false for a file that is neither.
func frameOf(file, city, ending string) (string, bool) {
	name, found := strings.CutSuffix(file, ending)
	digits, ofCity := strings.CutPrefix(name, city)
	return name, found && ofCity && frame.MatchString(digits)
}

// cityPictures lists the pictures in a city's folder, without label pictures yet.
func cityPictures(folder, name string) ([]pair, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, misuse.Errorf("%w", err)
	}
	var items []pair
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), pictureEnding) || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(folder, e.Name())
		if _, ok := frameOf(e.Name(), name, pictureEnding); !ok {
			return nil, misuse.Errorf("%s: not named like a picture of this city: %s_000000_000000%s with its sequence and frame", path, name, pictureEnding)
		}
		items = append(items, pair{name: stem(path), picture: path})
	}
	if len(items) == 0 {
		return nil, misuse.Errorf("%s: no picture here (%s_000000_000000%s)", folder, name, pictureEnding)
	}
	return items, nil
}

// matchCity gives each picture of a city its label picture.
func matchCity(c city, pictures, labels string) error {
	entries, err := os.ReadDir(labels)
	if err != nil {
		return misuse.Errorf("%s: no such folder; the label pictures of %s belong into it", labels, pictures)
	}
	lone := map[string]string{} // label pictures by what they have in common with a picture
	for _, e := range entries {
		if name, ok := frameOf(e.Name(), c.name, labelEnding); ok {
			lone[name] = filepath.Join(labels, e.Name())
		}
	}
	for i := range c.items {
		it := &c.items[i]
		name, _ := frameOf(filepath.Base(it.picture), c.name, pictureEnding)
		label, ok := lone[name]
		if !ok {
			return misuse.Errorf("%s has no label picture: %s is missing", it.picture, filepath.Join(labels, name+labelEnding))
		}
		it.label = label
		delete(lone, name)
	}
	if len(lone) > 0 {
		var names []string
		for name := range lone {
			names = append(names, name)
		}
		sort.Strings(names)
		return misuse.Errorf("%s has no picture: %s is missing", lone[names[0]], filepath.Join(pictures, names[0]+pictureEnding))
	}
	return nil
}
