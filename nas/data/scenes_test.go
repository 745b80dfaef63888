package data

import (
	"bytes"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func TestScenes_SplitsAreDisjointAndIndependentOfEachOthersCounts(t *testing.T) {
	read := func(ds Dataset, i int) *Sample {
		s, err := ds.Read(i)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, err := Scenes(ScenesConfig{H: 16, W: 32, Seed: 9, Train: 4, SearchVal: 2, Val: 3, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Scenes(ScenesConfig{H: 16, W: 32, Seed: 9, Train: 7, SearchVal: 5, Val: 3})
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, ds := range []Dataset{b.Train, b.SearchVal, b.Val} {
		for i := 0; i < ds.Len(); i++ {
			s := read(ds, i)
			if names[s.Name] {
				t.Errorf("%s is in two splits", s.Name)
			}
			names[s.Name] = true
		}
	}
	for k, pair := range [][2]Dataset{{a.Train, b.Train}, {a.SearchVal, b.SearchVal}, {a.Val, b.Val}} {
		if !bytes.Equal(read(pair[0], 1).Image, read(pair[1], 1).Image) {
			t.Errorf("split %d changes with the counts", k)
		}
	}
	if a.TrainAll.Len() != 6 || read(a.TrainAll, 5).Name != read(a.SearchVal, 1).Name {
		t.Error("TrainAll is not Train and SearchVal")
	}
}

func TestScenes_RefusesSizesAndCountsInOneLine(t *testing.T) {
	for _, cfg := range []ScenesConfig{
		{H: 8, W: 32, Train: 1, SearchVal: 1, Val: 1}, {H: 32, W: 1 << 15, Train: 1, SearchVal: 1, Val: 1},
		{H: 32, W: 32, Train: 1, SearchVal: 0, Val: 1},
	} {
		if _, err := Scenes(cfg); !misuse.Is(err) {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

func TestLabelPicture_RefusesALabelThatIsNoClass(t *testing.T) {
	if _, err := LabelPicture([]byte{0, 18, 19}, 1, 3, CityscapesClasses()); err == nil {
		t.Error("label 19 of 19 classes was drawn")
	}
}

func TestDrawOverlay_MixesByOpacityAndSparesIgnoredPixels(t *testing.T) {
	picture, label := []byte{10, 20, 30, 100, 100, 100}, []byte{Ignore, 0}
	for _, c := range []struct {
		opacity float64
		want    [3]byte
	}{{0, [3]byte{100, 100, 100}}, {1, [3]byte{128, 64, 128}}, {0.5, [3]byte{114, 82, 114}}} {
		img := DrawOverlay(picture, label, 1, 2, CityscapesClasses(), c.opacity)
		if !bytes.Equal(img.Pix[:3], picture[:3]) {
			t.Errorf("the ignored pixel is %v", img.Pix[:3])
		}
		if !bytes.Equal(img.Pix[4:7], c.want[:]) {
			t.Errorf("opacity %v gives %v, want %v", c.opacity, img.Pix[4:7], c.want)
		}
	}
}
