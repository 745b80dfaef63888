package data

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

// goodCityscapes is a minimal folder in Cityscapes' layout: pictures of 6 x 8 pixels, two of each of the cities, a label id after the other.
func goodCityscapes(t testing.TB, trainCities ...string) map[string][]byte {
	files := map[string][]byte{}
	add := func(split, city string) {
		for i := range 2 {
			name := fmt.Sprintf("%s/%s/%s_%06d_000019", split, city, city, i)
			files["leftImg8bit/"+name+pictureEnding] = encodePNG(t, image.NewRGBA(image.Rect(0, 0, 8, 6)))
			label := greyLabels(6, 8, 0)
			for p := range label.Pix {
				label.Pix[p] = byte(p % (lastCityscapesID + 1))
			}
			files["gtFine/"+name+labelEnding] = encodePNG(t, label)
			files["gtFine/"+name+"_gtFine_color.png"] = nil // what else the data set has is no business of ours
		}
	}
	for _, city := range trainCities {
		add("train", city)
	}
	add("val", "valstadt")
	add("test", "nowhere")
	return files
}

func TestCityscapes_MapsLabelIDsToTrainingClasses(t *testing.T) {
	dir, files := t.TempDir(), goodCityscapes(t, "bremen", "aachen", "zurich")
	label := greyLabels(6, 8, 255)
	label.Pix[3] = 33
	files["gtFine/train/bremen/bremen_000001_000019"+labelEnding] = encodePNG(t, label)
	writeFiles(t, dir, files)
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := s.Train.Read(0)
	if err != nil || a.Name != "bremen_000000_000019_leftImg8bit" {
		t.Fatal(a, err)
	}
	classes := s.Train.Classes()
	for p, got := range a.Label {
		id := p % (lastCityscapesID + 1)
		want := byte(Ignore)
		for c := range classes.Len() {
			if classes.Value(c) == byte(id) {
				want = byte(c)
			}
		}
		if got != want {
			t.Errorf("id %d is class %d, want %d", id, got, want)
		}
	}
	if b, err := s.Train.Read(1); err != nil || b.Label[3] != 18 || b.Label[4] != Ignore {
		t.Errorf("%v, %v: want class 18 for the id 33, none for the id -1 (255 in 8 bits)", b.Label[3:5], err)
	}
	hidden, err := s.Test.Read(1)
	if err != nil || bytes.Count(hidden.Label, []byte{Ignore}) != 6*8 {
		t.Errorf("test picture: %v, %v; want no label known", hidden, err)
	}
}

func TestCityscapes_TheSearchValidatesOnACityOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		cities  []string
		held    string
		notices int
	}{{[]string{"bremen", "aachen", "zurich"}, "aachen", 0}, {[]string{"bremen", "tubingen", "jena"}, "tubingen", 1}} {
		dir := t.TempDir()
		writeFiles(t, dir, goodCityscapes(t, c.cities...))
		var notices []string
		s, err := Cityscapes(dir, Options{Notice: func(text string) { notices = append(notices, text) }})
		if err != nil {
			t.Fatal(err)
		}
		if len(notices) != c.notices || c.notices == 1 && !strings.Contains(notices[0], "the search validates on tubingen instead, 2 of 6 pictures") {
			t.Errorf("notices %q", notices)
		}
		if n := [5]int{s.Train.Len(), s.SearchVal.Len(), s.TrainAll.Len(), s.Val.Len(), s.Test.Len()}; n != [5]int{4, 2, 6, 2, 2} {
			t.Errorf("train, search, all, val, test: %v", n)
		}
		for name, ds := range map[string]Dataset{"search": s.SearchVal, "train": s.Train} {
			for i := range ds.Len() {
				sample, err := ds.Read(i)
				if err != nil {
					t.Fatal(err)
				}
				if city, _, _ := strings.Cut(sample.Name, "_"); (city == c.held) != (name == "search") {
					t.Errorf("%s holds %s", name, sample.Name)
				}
			}
		}
	}
}

// badCityscapes change a good folder of two training cities into a bad one.
var badCityscapes = []struct {
	name   string
	change func(t *testing.T, files map[string][]byte)
	want   []string // parts of the message
}{
	{"no label partner", func(t *testing.T, f map[string][]byte) { delete(f, "gtFine/train/jena/jena_000001_000019"+labelEnding) },
		[]string{"jena_000001_000019_leftImg8bit.png has no label picture", "jena_000001_000019_gtFine_labelIds.png is missing"}},
	{"no picture partner", func(t *testing.T, f map[string][]byte) {
		delete(f, "leftImg8bit/val/valstadt/valstadt_000000_000019"+pictureEnding)
	}, []string{"valstadt_000000_000019_gtFine_labelIds.png has no picture"}},
	{"an id that is none", func(t *testing.T, f map[string][]byte) {
		img := greyLabels(6, 8, 7)
		img.Pix[2*8+5] = 34
		f["gtFine/train/jena/jena_000001_000019"+labelEnding] = encodePNG(t, img)
	}, []string{"jena_000001_000019_gtFine_labelIds.png: label value 34 at row 2, column 5", "allowed: 0-33, 255"}},
	{"no labels at all", func(t *testing.T, f map[string][]byte) { drop(f, "gtFine/") }, []string{"gtFine/train", "no such folder"}},
	{"no pictures at all", func(t *testing.T, f map[string][]byte) { drop(f, "leftImg8bit/") }, []string{"no dataset here", "leftImg8bit"}},
	{"no val", func(t *testing.T, f map[string][]byte) { drop(f, "leftImg8bit/val") }, []string{"leftImg8bit/val: no such folder"}},
	{"one city", func(t *testing.T, f map[string][]byte) { drop(f, "leftImg8bit/train/jena") }, []string{"bremen is the only city"}},
	{"an empty city", func(t *testing.T, f map[string][]byte) {
		drop(f, "leftImg8bit/train/jena")
		f["leftImg8bit/train/jena/notes.txt"] = nil
	}, []string{"train/jena: no picture here"}},
	{"a picture of another city", func(t *testing.T, f map[string][]byte) {
		f["leftImg8bit/train/jena/ulm_000001_000019"+pictureEnding] = nil
	}, []string{"ulm_000001_000019_leftImg8bit.png: not named like a picture of this city"}},
	{"different sizes", func(t *testing.T, f map[string][]byte) {
		f["gtFine/val/valstadt/valstadt_000001_000019"+labelEnding] = encodePNG(t, greyLabels(8, 6, 7))
	}, []string{"valstadt_000001_000019_leftImg8bit.png has 6 rows of 8 pixels", "same size"}},
}

func drop(files map[string][]byte, prefix string) {
	for name := range files {
		if strings.HasPrefix(name, prefix) {
			delete(files, name)
		}
	}
}

func TestCityscapes_BadInputIsOneClearMisuse(t *testing.T) {
	for _, c := range badCityscapes {
		t.Run(c.name, func(t *testing.T) {
			dir, files := t.TempDir(), goodCityscapes(t, "bremen", "jena")
			c.change(t, files)
			writeFiles(t, dir, files)
			s, err := Open(dir, Options{})
			if err == nil {
				if err = Check(s.TrainAll, nil); err == nil {
					err = Check(s.Val, nil)
				}
			}
			if err == nil || !misuse.Is(err) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v, want a misuse error of one line", err)
			}
			for _, part := range c.want {
				if !strings.Contains(filepath.ToSlash(err.Error()), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

// sharedCityscapes is the folder of frames drawn in the data set's exact layout, or a skipped test where there is none.
func sharedCityscapes(t testing.TB) string {
	root := os.Getenv("SEGNAS_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, "cityscapes")
	if !isDir(dir) {
		t.Skipf("no frames at %s; set SEGNAS_DATA to the folder that holds cityscapes", dir)
	}
	return dir
}

func TestCityscapes_TheClassesAreThePublishedTables(t *testing.T) {
	file, err := os.Open(filepath.Join(sharedCityscapes(t), "labels.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := csv.NewReader(file)
	r.Comma = '\t'
	rows, err := r.ReadAll()
	if err != nil || len(rows) != 36 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	classes, table := cityscapesSet(nil).classes, cityscapesTable()
	trained := 0
	for _, row := range rows[1:] {
		var id, trainID, r, g, b int
		if _, err := fmt.Sscan(strings.Join([]string{row[1], row[2], row[7], row[8], row[9]}, " "), &id, &trainID, &r, &g, &b); err != nil {
			t.Fatal(err)
		}
		if trainID < 0 {
			trainID = Ignore
		}
		if v := byte(id); !table.known[v] || int(table.class[v]) != trainID {
			t.Errorf("%s: id %d is class %d (known: %v), want %d", row[0], id, table.class[v], table.known[v], trainID)
		}
		if trainID == Ignore {
			continue
		}
		trained++
		if classes.Names[trainID] != row[0] || int(classes.Value(trainID)) != id || classes.Colors[trainID] != [3]byte{byte(r), byte(g), byte(b)} {
			t.Errorf("class %d is %s %d %v, want %v", trainID, classes.Names[trainID], classes.Value(trainID), classes.Colors[trainID], row)
		}
	}
	if trained != classes.Len() {
		t.Errorf("%d classes, the table trains %d", classes.Len(), trained)
	}
}

func TestCityscapes_DrawnFramesReadAsTheirTrainingLabels(t *testing.T) {
	dir := filepath.Join(sharedCityscapes(t), "synthetic")
	s, err := Open(dir, Options{CacheBytes: DefaultCacheBytes})
	if err != nil {
		t.Fatal(err)
	}
	if n := [5]int{s.Train.Len(), s.SearchVal.Len(), s.TrainAll.Len(), s.Val.Len(), s.Test.Len()}; n != [5]int{2, 1, 3, 2, 1} {
		t.Fatalf("train, search, all, val, test: %v", n)
	}
	for split, ds := range map[string]Dataset{"train": s.TrainAll, "val": s.Val} {
		for i := range ds.Len() {
			sample, err := ds.Read(i)
			if err != nil || sample.H != 1024 || sample.W != 2048 {
				t.Fatal(err)
			}
			name := strings.TrimSuffix(sample.Name, "_leftImg8bit")
			city, _, _ := strings.Cut(name, "_")
			raw, err := os.ReadFile(filepath.Join(dir, cityscapesLabels, split, city, name+"_gtFine_labelTrainIds.png"))
			if err != nil {
				t.Fatal(err)
			}
			want, _, _, err := decodeLabels(name, raw)
			if err != nil || !bytes.Equal(sample.Label, want) {
				t.Errorf("%s: other training labels than the data set's own (%v)", name, err)
			}
			if alone, _, _, err := Labels(ds, i); err != nil || !bytes.Equal(alone, sample.Label) {
				t.Errorf("%s: labels read alone differ (%v)", name, err)
			}
		}
	}
}

func FuzzFrameOf(f *testing.F) {
	f.Add("aachen_000000_000019_leftImg8bit.png", "aachen")
	f.Add("ulm_1_2_leftImg8bit.png", "ulm")
	f.Add("_leftImg8bit.png", "")
	f.Fuzz(func(t *testing.T, file, city string) {
		name, ok := frameOf(file, city, pictureEnding)
		if ok && (name+pictureEnding != file || len(name) != len(city)+14 || !strings.HasPrefix(name, city+"_")) {
			t.Errorf("%q of %q is the frame %q", file, city, name)
		}
	})
}
