package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

// badFolders change a good folder of eight pictures into a bad one.
var badFolders = []struct {
	name   string
	change func(t *testing.T, files map[string][]byte)
	want   []string // parts of the message
}{
	{"empty folder", func(t *testing.T, f map[string][]byte) { clear(f) }, []string{"classes.txt"}},
	{"no pictures", func(t *testing.T, f map[string][]byte) {
		for k := range f {
			if strings.HasPrefix(k, "images") {
				delete(f, k)
			}
		}
	}, []string{"images", "no such folder"}},
	{"no label partner", func(t *testing.T, f map[string][]byte) { delete(f, "labels/train/p03.png") }, []string{"p03.png has no label picture", "labels"}},
	{"no picture partner", func(t *testing.T, f map[string][]byte) { delete(f, "images/train/p04.png") }, []string{"labels/train/p04.png has no picture"}},
	{"value outside the list", func(t *testing.T, f map[string][]byte) {
		img := greyLabels(6, 8, 1)
		img.Pix[2*8+5] = 7
		f["labels/train/p01.png"] = encodePNG(t, img)
	}, []string{"p01.png: label value 7 at row 2, column 5", "classes.txt", "allowed: 0-1, 255"}},
	{"truncated picture", func(t *testing.T, f map[string][]byte) {
		f["images/train/p02.png"] = f["images/train/p02.png"][:50]
	}, []string{"p02.png", "cut off"}},
	{"truncated label picture", func(t *testing.T, f map[string][]byte) {
		f["labels/train/p02.png"] = f["labels/train/p02.png"][:60]
	}, []string{"labels/train/p02.png", "cut off"}},
	{"file of length 0", func(t *testing.T, f map[string][]byte) { f["images/train/p02.png"] = nil }, []string{"p02.png", "empty"}},
	{"damaged picture", func(t *testing.T, f map[string][]byte) { f["images/train/p02.png"][45] ^= 0x40 }, []string{"p02.png", "damaged"}},
	{"text for a picture", func(t *testing.T, f map[string][]byte) { f["images/train/p02.png"] = []byte("hello") }, []string{"p02.png", "neither a PNG nor a JPEG"}},
	{"different sizes", func(t *testing.T, f map[string][]byte) {
		f["labels/train/p05.png"] = encodePNG(t, greyLabels(8, 6, 0))
	}, []string{"p05.png has 6 rows of 8 pixels", "has 8 of 6", "same size"}},
	{"colours as labels", func(t *testing.T, f map[string][]byte) {
		f["labels/train/p05.png"] = encodePNG(t, deepColour(6, 8))
	}, []string{"labels/train/p05.png", "palette or 8-bit grey"}},
	{"labels as JPEG", func(t *testing.T, f map[string][]byte) {
		var buf bytes.Buffer
		_ = jpeg.Encode(&buf, greyLabels(6, 8, 0), nil)
		f["labels/train/p05.png"] = buf.Bytes()
	}, []string{"labels/train/p05.png", "must be PNG"}},
	{"bad class list", func(t *testing.T, f map[string][]byte) { f[classFile] = []byte("road 0\n") }, []string{"classes.txt:1", `"road"`}},
	{"too few pictures", func(t *testing.T, f map[string][]byte) {
		for k := range f {
			if !strings.Contains(k, "p00") && !strings.Contains(k, "p01") && k != classFile {
				delete(f, k)
			}
		}
	}, []string{"2 pictures are too few"}},
	{"two pictures of one name", func(t *testing.T, f map[string][]byte) {
		f["images/train/p01.jpg"] = f["images/train/p01.png"]
	}, []string{"p01.jpg", "p01.png", "two pictures of one name"}},
}

func TestFolder_BadInputIsOneClearMisuse(t *testing.T) {
	for _, c := range badFolders {
		t.Run(c.name, func(t *testing.T) {
			dir, files := t.TempDir(), goodFolder(t, 8)
			c.change(t, files)
			writeFiles(t, dir, files)
			s, err := Folder(dir, Options{})
			if err == nil {
				if err = Check(s.TrainAll, nil); err == nil {
					err = Check(s.Val, nil)
				}
			}
			if err == nil || !misuse.Is(err) {
				t.Fatalf("got %v, want a misuse error", err)
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %v", err)
			}
			for _, part := range c.want {
				if !strings.Contains(filepath.ToSlash(err.Error()), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestFolder_PartsTheLastPicturesByName(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, goodFolder(t, 20))
	s, err := Folder(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	// 15 % of 20 are 3 for the report, 15 % of the other 17 are 3 (2.55) for the search.
	if n := [4]int{s.Train.Len(), s.SearchVal.Len(), s.TrainAll.Len(), s.Val.Len()}; n != [4]int{14, 3, 17, 3} {
		t.Fatalf("split %v", n)
	}
	for i, want := range []string{"p17", "p18", "p19"} {
		if got, err := s.Val.Read(i); err != nil || got.Name != want {
			t.Errorf("val %d is %v, %v; want %s", i, got, err, want)
		}
	}
	if got, _ := s.SearchVal.Read(0); got.Name != "p14" {
		t.Errorf("search starts at %s", got.Name)
	}
}

func TestFolder_ReadsEveryPictureKind(t *testing.T) {
	classes := []byte("# comment\n0 void\n10 high road #804080\n3 sky\n")
	palette := image.NewPaletted(image.Rect(0, 0, 4, 2), color.Palette{color.Black, color.White, color.Black, color.White})
	palette.Pix = []byte{0, 3, 3, 0, 3, 3, 3, 3}
	grey := greyLabels(2, 4, 10)
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, image.NewRGBA(image.Rect(0, 0, 4, 2)), nil); err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{
		classFile:      classes,
		"images/a.png": encodePNG(t, deepColour(2, 4)), "labels/a.png": encodePNG(t, palette),
		"images/b.JPG": jpg.Bytes(), "labels/b.png": encodePNG(t, grey),
		"images/c.png": encodePNG(t, greyLabels(2, 4, 200)), "labels/c.png": encodePNG(t, grey),
		"images/d.jpeg": jpg.Bytes(), "labels/d.png": encodePNG(t, grey),
	}
	dir := t.TempDir()
	writeFiles(t, dir, files)
	s, err := Folder(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Train.Classes(); fmt.Sprint(got.Names, got.Values) != "[sky high road] [3 10]" {
		t.Fatalf("classes %v", got)
	}
	a, err := s.Train.Read(0)
	if err != nil {
		t.Fatal(err)
	}
	if want := []byte{Ignore, 0, 0, Ignore, 0, 0, 0, 0}; !bytes.Equal(a.Label, want) {
		t.Errorf("labels %v, want %v", a.Label, want)
	}
	b, err := s.Train.Read(1)
	if err != nil {
		t.Fatal(err)
	}
	if b.Label[0] != 1 || b.Name != "b" {
		t.Errorf("label %d of %s", b.Label[0], b.Name)
	}
}

func TestDecodeLabels_KeepsStoredValuesOfShallowGrey(t *testing.T) {
	// Go's decoder alone would give 17 and 255.
	values, h, w, err := decodeLabels("x.png", shallowGrey())
	if err != nil || h != 1 || w != 2 {
		t.Fatal(h, w, err)
	}
	if values[0] != 1 || values[1] != 15 {
		t.Errorf("values %v, want 1 and 15", values)
	}
}

func TestWriteFolder_ReadsBackTheSame(t *testing.T) {
	s, err := Scenes(ScenesConfig{H: 32, W: 48, Seed: 5, Train: 3, SearchVal: 1, Val: 2})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := WriteFolder(dir, s, nil); err != nil {
		t.Fatal(err)
	}
	back, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if back.TrainAll.Len() != 4 || back.Val.Len() != 2 {
		t.Fatalf("%d and %d samples", back.TrainAll.Len(), back.Val.Len())
	}
	if got := back.Train.Classes(); fmt.Sprint(got.Names, got.Colors) != fmt.Sprint(CityscapesClasses().Names, CityscapesClasses().Colors) {
		t.Errorf("classes %v", got)
	}
	for i := 0; i < 2; i++ {
		want, _ := s.Val.Read(i)
		got, err := back.Val.Read(i)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Image, want.Image) || !bytes.Equal(got.Label, want.Label) {
			t.Errorf("sample %d differs", i)
		}
	}
}

func TestParseClassList_RefusesInOneLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "at least 2"},
		{"0 road\n", "at least 2"},
		{"0 road\n0 sky\n", "line 1 already"},
		{"0 road\n1 road\n", `"road" was given`},
		{"0 road #12345\n1 sky\n", "#rrggbb"},
		{"0 road #12345g\n1 sky\n", "#rrggbb"},
		{"256 road\n1 sky\n", "0 to 255"},
		{"-1 road\n1 sky\n", "0 to 255"},
		{"0\n1 sky\n", "no name"},
		{"0 #808080\n1 sky\n", "no name"},
		{"0 road\n255 sky\n", "255 is kept"},
	} {
		_, _, err := parseClassList("classes.txt", []byte(c.text))
		if err == nil || !misuse.Is(err) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want one line with %q", c.text, err, c.want)
		}
	}
}

func FuzzParseClassList(f *testing.F) {
	f.Add([]byte("0 road #804080\n1 sky\n255 void\n"))
	f.Add([]byte("# x\n7 a b c #ffffff\n1 void\n2 q"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		classes, table, err := parseClassList("classes.txt", raw)
		if err != nil {
			if !misuse.Is(err) {
				t.Errorf("not misuse: %v", err)
			}
			return
		}
		for c := range classes.Names {
			if v := classes.Value(c); !table.known[v] || int(table.class[v]) != c {
				t.Errorf("class %d has value %d, which maps to %d", c, v, table.class[v])
			}
		}
		again, _, err := parseClassList("again", []byte(classList(classes)))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(classes) {
			t.Errorf("written and read again: %v, %v; want %v", again, err, classes)
		}
	})
}

func FuzzDecodeLabels(f *testing.F) {
	f.Add(encodePNG(f, greyLabels(3, 5, 9)))
	f.Add(encodePNG(f, image.NewPaletted(image.Rect(0, 0, 3, 3), color.Palette{color.Black, color.White})))
	f.Add(encodePNG(f, deepColour(2, 2)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 24 && (raw[16]|raw[17]|raw[18]|raw[20]|raw[21]|raw[22]) != 0 {
			return // large pictures only cost time
		}
		values, h, w, err := decodeLabels("x.png", raw)
		if err != nil {
			if !misuse.Is(err) {
				t.Errorf("not misuse: %v", err)
			}
			return
		}
		if len(values) != h*w {
			t.Errorf("%d values for %d x %d", len(values), h, w)
		}
	})
}
