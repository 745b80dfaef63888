package data

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

// camvidDir is the real data's folder, or a skipped test where there is none.
func camvidDir(t *testing.T) string {
	root := os.Getenv("SEGNAS_DATA")
	if root == "" {
		root = filepath.Join("..", "..", "..", "shared", "data")
	}
	dir := filepath.Join(root, "camvid")
	if !isDir(dir) {
		t.Skipf("no CamVid at %s; set SEGNAS_DATA to the folder that holds camvid", dir)
	}
	return dir
}

func TestCamVid_KeepsTheEndOfEachDriveForTheSearch(t *testing.T) {
	s, err := Open(camvidDir(t), Options{CacheBytes: DefaultCacheBytes})
	if err != nil {
		t.Fatal(err)
	}
	if n := [4]int{s.Train.Len(), s.SearchVal.Len(), s.TrainAll.Len(), s.Val.Len()}; n != [4]int{312, 55, 367, 101} {
		t.Fatalf("train, search, all, val: %v", n)
	}
	drives := map[string][2]string{} // last name of the training, first of the search
	for i, it := range []*selection{s.Train.(*selection), s.SearchVal.(*selection)} {
		items := it.Dataset.(*cached).Dataset.(*pairs).items
		for _, k := range it.indices {
			drive, _, _ := strings.Cut(items[k].name, "_")
			ends := drives[drive]
			if i == 0 || ends[1] == "" {
				ends[i] = items[k].name
			}
			drives[drive] = ends
		}
	}
	if len(drives) != 3 {
		t.Errorf("drives %v", drives)
	}
	for drive, ends := range drives {
		if ends[0] >= ends[1] {
			t.Errorf("drive %s: training ends with %s, the search starts with %s", drive, ends[0], ends[1])
		}
	}
}

func TestCamVid_ReadsPicturesAndVoid(t *testing.T) {
	s, err := CamVid(camvidDir(t), Options{CacheBytes: DefaultCacheBytes})
	if err != nil {
		t.Fatal(err)
	}
	var seen [256]int
	for i := 0; i < s.Val.Len(); i += 20 {
		sample, err := s.Val.Read(i)
		if err != nil {
			t.Fatal(err)
		}
		if sample.H != 360 || sample.W != 480 {
			t.Errorf("%s is %d x %d", sample.Name, sample.H, sample.W)
		}
		for _, l := range sample.Label {
			seen[l]++
		}
	}
	for l, n := range seen {
		if n > 0 && l != Ignore && l >= s.Val.Classes().Len() {
			t.Errorf("label %d", l)
		}
	}
	if seen[Ignore] == 0 || seen[3] == 0 {
		t.Error("neither void nor road in six pictures")
	}
}

func TestCamVid_ReportsBadListsAndMissingFiles(t *testing.T) {
	for _, c := range []struct{ train, want string }{
		{"train/a.jpg\n", "train.txt:1"},
		{"\n\n", "lists no picture"},
		{"train/a_1.jpg trainannot/a_1.png\n", "too few"},
	} {
		dir := t.TempDir()
		writeFiles(t, dir, map[string][]byte{"train.txt": []byte(c.train), "val.txt": []byte("val/b.jpg valannot/b.png\n")})
		if _, err := CamVid(dir, Options{}); !misuse.Is(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.train, err, c.want)
		}
	}
	if _, err := CamVid(t.TempDir(), Options{}); !misuse.Is(err) || !strings.Contains(err.Error(), "train.txt") {
		t.Errorf("no lists: %v", err)
	}
	if _, err := Open(t.TempDir(), Options{}); !misuse.Is(err) || !strings.Contains(err.Error(), "no dataset here") {
		t.Errorf("empty folder: %v", err)
	}
}
