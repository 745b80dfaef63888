package run

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/train"
)

// drawCityscapes makes a folder in Cityscapes' layout of street scenes of 48x96 pixels: two cities of two pictures to train on, two pictures in val,
// three in test.
func drawCityscapes(t *testing.T) string {
	t.Helper()
	scenes, err := data.Scenes(data.ScenesConfig{H: 48, W: 96, Seed: 3, Train: 9, SearchVal: 1, Val: 1})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	at := 0
	for _, part := range []struct {
		split, city string
		pictures    int
	}{{"train", "bonn", 2}, {"train", "ulm", 2}, {"val", "trier", 2}, {"test", "worms", 3}} {
		for i := range part.pictures {
			s, err := scenes.Train.Read(at)
			if err != nil {
				t.Fatal(err)
			}
			at++
			name := fmt.Sprintf("%s/%s/%s_%06d_000019", part.split, part.city, part.city, i)
			writeTestPNG(t, filepath.Join(dir, "leftImg8bit", name+"_leftImg8bit.png"), s.Picture())
			label := image.NewGray(image.Rect(0, 0, s.W, s.H))
			for p, l := range s.Label {
				if part.split != "test" { // whose label pictures are dummies
					label.Pix[p] = labelID(l)
				}
			}
			writeTestPNG(t, filepath.Join(dir, "gtFine", name+"_gtFine_labelIds.png"), label)
		}
	}
	return dir
}

// labelID is the published label id of a training class.
func labelID(class byte) byte {
	if class == data.Ignore {
		return 0
	}
	return []byte{7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33}[class]
}

// trainTiny trains a small network for a few steps and returns its checkpoint.
func trainTiny(t *testing.T, seed string, more ...string) string {
	t.Helper()
	out := t.TempDir()
	output(t, Train, append([]string{"--size", "32x64", "--batch", "2", "--scratch-steps", "6", "--checks", "0", "--threads", "2",
		"--arch", "k3e3.k3e3_k3e3.k3e3_k3e3.k3e3", "--seed", seed, "--out", out}, more...)...)
	return filepath.Join(out, "ckpt.safetensors")
}

// submitted runs tools/submit.
func submitted(t *testing.T, args ...string) (r Submitted) {
	t.Helper()
	printed, _ := output(t, Submit, append(args, "--json", "--threads", "2")...)
	if err := json.Unmarshal([]byte(printed), &r); err != nil {
		t.Fatalf("submit printed %s: %v", printed, err)
	}
	return r
}

// contents reads a folder's label pictures by name.
func contents(t *testing.T, folder string) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(folder, "*.png"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(path)] = string(content)
	}
	return all
}

func TestSubmit_WritesWhatEvalScoresAtFullSize(t *testing.T) {
	dir, out := drawCityscapes(t), filepath.Join(t.TempDir(), "val")
	model := trainTiny(t, "1", "--cityscapes", dir)
	printed, _ := output(t, Evaluate, "--model", model, "--cityscapes", dir, "--full-size", "--json")
	var scored Scored
	if err := json.Unmarshal([]byte(printed), &scored); err != nil || !scored.FullSize || scored.Pictures != 2 || scored.MIoU <= 0 {
		t.Fatalf("eval printed %s (%v)", printed, err)
	}
	args := []string{"--model", model, "--cityscapes", dir, "--split", "val", "--out", out, "--check"}
	r := submitted(t, args...)
	if r.Pictures != 2 || r.Written != 2 || r.Score == nil {
		t.Fatalf("submit: %+v", r)
	}
	again, err := json.MarshalIndent(r.Score, "", "  ")
	if err != nil || strings.TrimSpace(printed) != string(again) {
		t.Errorf("the written files score\n%s\nand eval --full-size\n%s(%v)", again, printed, err)
	}
	files := contents(t, out)
	for _, i := range []string{"0", "1"} {
		content := files["trier_00000"+i+"_000019_leftImg8bit_labelIds.png"]
		picture, err := png.Decode(strings.NewReader(content))
		if err != nil || picture.Bounds() != image.Rect(0, 0, 96, 48) {
			t.Fatalf("picture %s of %v: %v", i, slices.Sorted(maps.Keys(files)), err)
		}
		grey, ok := picture.(*image.Gray)
		if !ok {
			t.Fatalf("picture %s is no 8-bit grey", i)
		}
		for _, v := range grey.Pix {
			if v < 7 || v > 33 || bytes.IndexByte([]byte{9, 10, 14, 15, 16, 18, 29, 30}, v) >= 0 {
				t.Fatalf("picture %s holds %d, which is no id of a training class", i, v)
			}
		}
	}
	// A file that says something else is scored as what it says.
	road := image.NewGray(image.Rect(0, 0, 96, 48))
	for i := range road.Pix {
		road.Pix[i] = 7
	}
	for name := range files {
		writeTestPNG(t, filepath.Join(out, name), road)
	}
	if changed := submitted(t, args...); changed.Written != 0 || changed.Score.MIoU == r.Score.MIoU {
		t.Errorf("of files that say road alone: %d written, mIoU %g as before", changed.Written, changed.Score.MIoU)
	}
}

func TestSubmit_GoesOnWithWhatIsMissingAndMixesNothing(t *testing.T) {
	dir, out, packed := drawCityscapes(t), t.TempDir(), filepath.Join(t.TempDir(), "test.zip")
	model := trainTiny(t, "1", "--cityscapes", dir)
	args := []string{"--model", model, "--cityscapes", dir, "--out", out, "--zip", packed}
	if r := submitted(t, args...); r.Pictures != 3 || r.Written != 3 || r.Split != "test" || r.Score != nil {
		t.Fatalf("submit: %+v", r)
	}
	first := contents(t, out)
	archive, err := os.ReadFile(packed)
	if err != nil {
		t.Fatal(err)
	}
	requireArchive(t, archive, first)
	lost := "worms_000001_000019_leftImg8bit_labelIds.png"
	if err := os.Remove(filepath.Join(out, lost)); err != nil {
		t.Fatal(err)
	}
	stopped, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Submit(stopped, args, Streams{new(bytes.Buffer), new(bytes.Buffer)}); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 of 3") {
		t.Errorf("a stopped submit says %v", err)
	}
	if r := submitted(t, args...); r.Written != 1 {
		t.Errorf("%d written, one was missing", r.Written)
	}
	if again := contents(t, out); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Error("the folder has other pictures than without an interruption")
	}
	if again, err := os.ReadFile(packed); err != nil || !bytes.Equal(again, archive) {
		t.Errorf("the archive is another one than without an interruption (%v)", err)
	}
	other := trainTiny(t, "2", "--cityscapes", dir)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--model", other, "--cityscapes", dir, "--out", out}, "holds results of the model"},
		{append(args, "--size", "48x96"), "holds results of the input height 32"},
		{append(args, "--split", "val"), "holds results of the split test"},
		{append(args, "--check"), "hidden"},
		{[]string{"--model", model, "--cityscapes", dir, "--out", filepath.Join(dir, "leftImg8bit", "val", "trier")}, "no submission.json"},
		{[]string{"--model", model, "--data", drawFolder(t), "--split", "val", "--out", t.TempDir()}, "tells 19 classes apart"},
		{[]string{"--model", model, "--data", "scenes", "--out", t.TempDir()}, "no pictures with hidden labels"},
		{[]string{"--model", model, "--data", dir, "--cityscapes", dir, "--out", t.TempDir()}, "give one of the two"},
		{[]string{"--cityscapes", dir}, "--model"},
	} {
		requireMisuse(t, Submit, c.args, c.want)
	}
	requireMisuse(t, Evaluate, []string{"--model", model, "--cityscapes", dir, "--split", "test", "--full-size"}, "there is nothing to score")
	if again := contents(t, out); fmt.Sprint(again) != fmt.Sprint(first) {
		t.Error("a refused command has changed the folder")
	}
}

// requireArchive checks that an archive holds the files, and nothing else.
func requireArchive(t *testing.T, archive []byte, files map[string]string) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil || len(r.File) != len(files) {
		t.Fatalf("the archive has not %d files: %v", len(files), err)
	}
	for _, entry := range r.File {
		file, err := entry.Open()
		if err != nil {
			t.Fatal(err)
		}
		var content bytes.Buffer
		if _, err := content.ReadFrom(file); err != nil || content.String() != files[entry.Name] {
			t.Errorf("%s in the archive differs from the folder's (%v)", entry.Name, err)
		}
		file.Close()
	}
}

// Where the pictures have the network's size, nothing is enlarged: the deployed network's own label map is compared.
func TestEvaluate_FullSizeIsTheDeployedNetworksScoreAtEqualSizes(t *testing.T) {
	pictures := drawFolder(t)
	model := trainTiny(t, "1", "--data", pictures, "--size", "24x40")
	evaluate := func(more ...string) (s Scored) {
		printed, _ := output(t, Evaluate, append([]string{"--model", model, "--data", pictures, "--json", "--isa", "scalar", "--precision", "bf16"}, more...)...)
		if err := json.Unmarshal([]byte(printed), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	deployed, full := evaluate(), evaluate("--full-size")
	if !full.FullSize || deployed.FullSize || full.MIoU != deployed.MIoU || full.Accuracy != deployed.Accuracy {
		t.Errorf("full size: %+v, the network's size: %+v", full, deployed)
	}
	if small := evaluate("--full-size", "--size", "12x20"); small.Accuracy == full.Accuracy {
		t.Errorf("an input of half the size labels as many pixels right: %g", small.Accuracy)
	}
}

func TestSearch_RunsOnCityscapesLayout(t *testing.T) {
	dir, out := drawCityscapes(t), t.TempDir()
	_, progress := output(t, Search, tiny("--cityscapes", dir, "--out", out)...)
	for _, want := range []string{"the search validates on ulm instead, 2 of 4 pictures", "2 pictures to train on, 2 to search on, 2 to report on", "all kept in memory"} {
		if !strings.Contains(progress, want) {
			t.Errorf("search's stderr lacks %q:\n%s", want, progress)
		}
	}
	if again, _ := output(t, Search, tiny("--cityscapes", dir, "--out", out, "--picture-cache", "0")...); !strings.Contains(again, "mIoU") {
		t.Errorf("the same command with another cache prints %q", again)
	}
	if r := submitted(t, "--model", filepath.Join(out, winnerModel), "--cityscapes", dir, "--out", filepath.Join(out, "results")); r.Written != 3 {
		t.Errorf("submit: %+v", r)
	}
}

func TestPictureCache_IsSaidInThePlan(t *testing.T) {
	dir := drawCityscapes(t)
	for _, c := range []struct{ cache, want string }{
		{"1M", "6 of about 48x96, decoded some 113 kB, all kept in memory"}, // 48*96*4 bytes and a few for each
		{"28k", "decoded some 113 kB; 28 kB of memory keep 25 % of them"}, {"0", "decoded some 113 kB; none kept in memory"},
	} {
		_, progress := output(t, Train, "--cityscapes", dir, "--picture-cache", c.cache, "--size", "32x64", "--batch", "1", "--scratch-steps", "1", "--checks", "0",
			"--arch", "k3e3.k3e3_k3e3.k3e3_k3e3.k3e3", "--threads", "1", "--out", t.TempDir())
		if !strings.Contains(progress, c.want) {
			t.Errorf("--picture-cache %s: the plan lacks %q:\n%s", c.cache, c.want, progress)
		}
	}
	requireMisuse(t, Train, []string{"--cityscapes", dir, "--picture-cache", "-1"}, "give a number above 0")
	requireMisuse(t, Train, []string{"--cityscapes", filepath.Join(dir, "gtFine"), "--out", t.TempDir()}, "no folder leftImg8bit")
}

func TestTrain_ClassUniformSamplingIndexesOnceAndRepeats(t *testing.T) {
	dir := drawCityscapes(t)
	trained := func(share string) (loss float64, progress string) {
		out := t.TempDir()
		_, progress = output(t, Train, "--cityscapes", dir, "--class-uniform", share, "--size", "32x64", "--batch", "2", "--scratch-steps", "4", "--checks", "0",
			"--arch", "k3e3.k3e3_k3e3.k3e3_k3e3.k3e3", "--threads", "2", "--out", out)
		records, err := train.ReadLog(filepath.Join(out, train.MetricsFile))
		if err != nil || len(records) == 0 {
			t.Fatalf("%d records: %v", len(records), err)
		}
		return records[len(records)-1].Loss, progress
	}
	none, silent := trained("0")
	half, told := trained("0.5")
	again, _ := trained("0.5")
	if strings.Contains(silent, "classes:") || strings.Count(told, "classes: 4 pictures") != 1 {
		t.Errorf("without: %s\nwith: %s", silent, told)
	}
	if none == half || half != again {
		t.Errorf("last losses: %g without, %g and %g with class-uniform sampling", none, half, again)
	}
}
