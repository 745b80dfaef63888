package run

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/latency"
)

// output runs a tool that must succeed, and returns what it printed.
func output(t *testing.T, tool Tool, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, progress bytes.Buffer
	if err := tool(context.Background(), args, Streams{&out, &progress}); err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return out.String(), progress.String()
}

func writeTestPNG(t *testing.T, path string, picture image.Image) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writePNG(path, picture); err != nil {
		t.Fatal(err)
	}
}

// drawFolder makes a folder data set of eight pictures of 24x40 pixels and two classes: left and right.
func drawFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "classes.txt"), []byte("0 left #ff0000\n7 right #0000ff\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		name := string(rune('a'+i)) + ".png"
		picture := image.NewRGBA(image.Rect(0, 0, 40, 24))
		label := image.NewGray(picture.Bounds())
		for y := range 24 {
			for x := range 40 {
				picture.Set(x, y, color.RGBA{uint8(6 * x), uint8(20 * i), uint8(10 * y), 255})
				if x > 16+i {
					label.Set(x, y, color.Gray{Y: 7})
				}
			}
		}
		writeTestPNG(t, filepath.Join(folder, "images", name), picture)
		writeTestPNG(t, filepath.Join(folder, "labels", name), label)
	}
	return folder
}

func TestTools_TrainEvalSegmentOnAFolderOfOnesOwn(t *testing.T) {
	pictures, out := drawFolder(t), t.TempDir()
	trainArgs := []string{"--data", pictures, "--size", "24x40", "--batch", "2", "--scratch-steps", "8", "--checks", "2", "--out", out,
		"--arch", "k3e3.k3e3_k3e3.k3e3_k3e3.k3e3", "--threads", "2"}
	first, progress := output(t, Train, append(trainArgs, "--json")...)
	var trained Scored
	if err := json.Unmarshal([]byte(first), &trained); err != nil || trained.MIoU <= 0 || len(trained.Classes) != 2 {
		t.Fatalf("train printed %s (%v)", first, err)
	}
	if !strings.HasPrefix(progress, "segnas ") || !strings.Contains(progress, "8 steps") {
		t.Errorf("train's stderr is %q", progress)
	}
	if again, _ := output(t, Train, append(trainArgs, "--json")...); again != first {
		t.Errorf("the same command again prints\n%s\nafter\n%s", again, first)
	}
	text, _ := output(t, Evaluate, "--model", trained.Model, "--data", pictures)
	if !strings.Contains(text, "left") || !strings.Contains(text, "mean IoU") {
		t.Errorf("eval printed %q", text)
	}
	evaluated, _ := output(t, Evaluate, "--model", trained.Model, "--data", pictures, "--json")
	if evaluated != first {
		t.Errorf("eval prints\n%s\nand train\n%s", evaluated, first)
	}
	requireDeployedScore(t, trained, pictures)
	labelled := filepath.Join(out, "segmented")
	printed, _ := output(t, Segment, "--model", trained.Model, "--out", labelled, "--json", filepath.Join(pictures, "images"))
	var all []Segmented
	if err := json.Unmarshal([]byte(printed), &all); err != nil || len(all) != 8 {
		t.Fatalf("segment printed %s (%v)", printed, err)
	}
	for _, s := range all {
		file, err := os.Open(s.Labels)
		if err != nil {
			t.Fatal(err)
		}
		label, err := png.Decode(file)
		file.Close()
		if err != nil || label.Bounds() != image.Rect(0, 0, 40, 24) {
			t.Fatalf("%s: %v, %v", s.Labels, label.Bounds(), err)
		}
		for _, v := range label.(*image.Paletted).Pix {
			if v != 0 && v != 7 {
				t.Fatalf("%s holds the label %d", s.Labels, v)
			}
		}
		if _, err := os.Stat(s.Overlay); err != nil || s.MS <= 0 {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// requireDeployedScore evaluates the deployed network in bfloat16: a few pixels may differ, no more.
func requireDeployedScore(t *testing.T, trained Scored, pictures string) {
	t.Helper()
	printed, _ := output(t, Evaluate, "--model", trained.Model, "--data", pictures, "--json", "--isa", "scalar", "--precision", "bf16")
	var deployed Scored
	if err := json.Unmarshal([]byte(printed), &deployed); err != nil || math.Abs(deployed.MIoU-trained.MIoU) > 0.02 {
		t.Errorf("eval --precision bf16 printed %s (%v), float32 has %.3f", printed, err, trained.MIoU)
	}
}

// spoiltFolders makes data sets with a truncated picture, with a label outside the class list, and with a label picture of
// another size.
func spoiltFolders(t *testing.T) (truncated, outside, sizes string) {
	t.Helper()
	spoilt := func(spoil func(folder string)) string {
		folder := drawFolder(t)
		spoil(folder)
		return folder
	}
	label := func(folder, name string) string { return filepath.Join(folder, "labels", name) }
	truncated = spoilt(func(folder string) {
		path := filepath.Join(folder, "images", "c.png")
		content, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, content[:len(content)/2], 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
	outside = spoilt(func(folder string) {
		picture := image.NewGray(image.Rect(0, 0, 40, 24))
		picture.Pix[100] = 3
		writeTestPNG(t, label(folder, "h.png"), picture)
	})
	sizes = spoilt(func(folder string) { writeTestPNG(t, label(folder, "e.png"), image.NewGray(image.Rect(0, 0, 39, 24))) })
	return truncated, outside, sizes
}

func TestTools_BadInputIsOneLineAndCode2(t *testing.T) {
	run, _ := reference(t)
	model := filepath.Join(run, winnerModel)
	damaged := filepath.Join(t.TempDir(), "damaged.safetensors")
	content, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, content, 0o600); err != nil {
		t.Fatal(err)
	}
	flipByte(t, damaged)
	truncated, outside, sizes := spoiltFolders(t)
	into := func(args ...string) []string { return append(args, "--out", t.TempDir()) }
	picture := filepath.Join(truncated, "images", "a.png")
	for _, c := range []struct {
		tool Tool
		args []string
		want string
	}{
		{Search, into("--data", truncated), "c.png: the file is cut off"},
		{Search, into("--data", outside), "h.png: label value 3"},
		{Search, into("--data", sizes), "must have the same size"},
		{Search, into("--data", t.TempDir(), "--format", "folder"), "classes.txt"},
		{Search, into("--data", t.TempDir(), "--format", "camvid"), "train.txt"},
		{Search, into("--limit-ms", "3", "--limit-like", "hand"), "give one of the two"},
		{Search, into("--limit-like", "k4e6"), "baseline and hand"},
		{Search, into("--size", "32x64", "--table-rounds", "1", "--limit-like", "k7e6.k3e6_k3e6.k3e6_k3e6.k3e6"), "is not in the space"},
		{Search, into("--size", "32x64", "--table-rounds", "1", "--limit-ms", "1000", "--limit-memory", "10k"), "memory <= 10000 bytes cannot be met"},
		{Search, into("--size", "32x64", "--table-rounds", "1", "--limit-ms", "1000", "--limit-weights", "10k"), "weights <= 10000 bytes cannot be met"},
		{Search, into("--precision", "f64"), "give one of [f32 f16 bf16]"},
		{Search, into("--precision", "f16", "--device", "cpu"), "f16 is for GPUs"},
		{Search, into("--train-precision", "bf16", "--device", "cpu"), "a processor trains in f32"},
		{Search, into("--train-precision", "f64"), "training precision"},
		{Search, into("--precision", "bf16", "--isa", "avx2"), "no products of bfloat16s"},
		{Train, into("--arch", "k4e6_k3e6_k3e6"), "baseline and hand"},
		{Train, into("--data", picture), "is a file"},
		{Evaluate, []string{}, "--model"},
		{Evaluate, []string{"--model", damaged}, "checksum"},
		{Evaluate, []string{"--model", filepath.Join(run, "none")}, "no such checkpoint"},
		{Evaluate, []string{"--model", model, "--split", "all"}, "val, search and train"},
		{Evaluate, []string{"--model", model, "--data", sizes}, "tells 19 classes apart"},
		{Evaluate, []string{"--model", model, "--arch", "baseline"}, "holds the network"},
		{Evaluate, []string{"--model", filepath.Join(run, supernetName, "ckpt.safetensors")}, "holds a supernet"},
		{Segment, into("--model", damaged, picture), "checksum"},
		{Segment, into("--model", picture, picture), "not a checkpoint"},
		{Segment, into("--model", model), "name a picture"},
		{Segment, into("--model", model, filepath.Join(truncated, "images", "c.png")), "cut off"},
		{Segment, into("--model", model, t.TempDir()), "no picture here"},
		{Segment, into("--model", model, "--opacity", "2", picture), "between 0 and 1"},
		{Profile, []string{"--threads", "1", "--size", "32x64", "--table", filepath.Join(run, tableFile)}, "2 threads"},
		{Profile, []string{"--threads", "2", "--size", "64x64", "--table", filepath.Join(run, tableFile)}, "32x64"},
		{Profile, []string{"--table", model}, "line 1 is damaged"},
		{Profile, []string{"--rounds", "0"}, "at least 1 round"},
		{Devices, []string{"--isa", "sse9"}, "sse9"},
		{Devices, []string{"cpu"}, "not expected"},
	} {
		requireMisuse(t, c.tool, c.args, c.want)
	}
}

func TestProfile_MeasuresOnceAndVerifies(t *testing.T) {
	table := filepath.Join(t.TempDir(), "tables", "t.jsonl")
	args := []string{"--size", "32x64", "--threads", "1", "--rounds", "1", "--classes", "3", "--table", table, "--json"}
	first, _ := output(t, Profile, args...)
	var entries []latency.Entry
	if err := json.Unmarshal([]byte(first), &entries); err != nil || len(entries) != 34 {
		t.Fatalf("%d entries, %v", len(entries), err)
	}
	if again, _ := output(t, Profile, args...); again != first {
		t.Error("the same command measured again")
	}
	printed, _ := output(t, Profile, append(args, "--verify", "3")...)
	var v latency.Verification
	if err := json.Unmarshal([]byte(printed), &v); err != nil || len(v.Points) != 3 {
		t.Fatalf("verify printed %s (%v)", printed, err)
	}
	if info, err := os.Stat(table + ".html"); err != nil || info.Size() == 0 {
		t.Errorf("no plot: %v", err)
	}
}

func TestDevices_TellsWhatIsThere(t *testing.T) {
	text, first := output(t, Devices, "--threads", "1")
	for _, want := range []string{"instruction sets", "backend", "cuda", "to type", "1 threads in use"} {
		if !strings.Contains(text, want) {
			t.Errorf("devices lacks %q:\n%s", want, text)
		}
	}
	if strings.Count(first, "\n") != 1 || !strings.HasPrefix(first, "segnas ") {
		t.Errorf("first line %q", first)
	}
	printed, _ := output(t, Devices, "--threads", "1", "--json")
	var f Found
	if err := json.Unmarshal([]byte(printed), &f); err != nil || f.Device.Threads != 1 || len(f.ISAs) == 0 {
		t.Errorf("--json printed %s (%v)", printed, err)
	}
}

func TestStretched_TakesTheLabelAtThePixelsCentre(t *testing.T) {
	labels := []byte{0, 1, 2, 3, 4, 5}
	if got := stretched(labels, 2, 3, 2, 3); !bytes.Equal(got, labels) {
		t.Errorf("same size: %v", got)
	}
	if got := stretched(labels, 2, 3, 4, 6); !bytes.Equal(got, []byte{0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 3, 3, 4, 4, 5, 5}) {
		t.Errorf("twice as large: %v", got)
	}
	if got := stretched(labels, 2, 3, 1, 1); !bytes.Equal(got, []byte{4}) {
		t.Errorf("one pixel: %v", got)
	}
}

func TestClasses_SurviveACheckpoint(t *testing.T) {
	for _, c := range []data.Classes{data.CamVidClasses(), {Names: []string{"a"}, Colors: [][3]byte{{1, 2, 255}}, Values: []byte{200}}} {
		if got := restored(described(c)); !reflect.DeepEqual(got, c) {
			t.Errorf("%+v became %+v", c, got)
		}
	}
}
