package run

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/train"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// pack makes the network that comes with segnas of a run's winner; models/README.md tells how:
//
//	go test ./nas/run -run Included_Pack -pack DIR
var pack = flag.String("pack", "", "run folder whose winner becomes models/scenes.safetensors.gz")

const (
	packedFile = "models/scenes.safetensors.gz"
	// keptBits of a weight's 23 are one more than bfloat16's: what the others add to mIoU is below its noise, and they do not compress.
	keptBits = 8
	// leastMIoU over unseenScenes scenes is four points below what was measured.
	leastMIoU, unseenScenes = 0.68, 24
)

// lighten rounds the weights of a network to keptBits, and clears the heads that only training needs. What batch norm holds is little, and stays.
func lighten(tensors []safetensors.Tensor) {
	const drop = 23 - keptBits
	for _, t := range tensors {
		if strings.HasPrefix(t.Name, "aux.") {
			clear(t.Data)
		}
		for i, v := range t.Data {
			if len(t.Shape) > 1 {
				t.Data[i] = math.Float32frombits((math.Float32bits(v) + 1<<(drop-1)) >> drop << drop)
			}
		}
	}
}

func TestIncluded_Pack(t *testing.T) {
	if *pack == "" {
		t.Skip("it makes the network that comes with segnas anew, from the run that -pack FOLDER names")
	}
	var plan planned
	if err := readJSON(filepath.Join(*pack, configFile), &plan); err != nil {
		t.Fatal(err)
	}
	context, err := gobind.NewContext(gobind.Options{Device: cpuDevice})
	if err != nil {
		t.Fatal(err)
	}
	defer context.Close()
	model, c, err := train.OpenNetwork(context, filepath.Join(*pack, winnerModel), nil) // with moving averages, where there are any
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	light, err := train.Capture(model, false)
	if err != nil {
		t.Fatal(err)
	}
	lighten(light.Tensors)
	c.Tensors = light.Tensors
	path := filepath.Join(t.TempDir(), "light.safetensors")
	if err := c.SaveFile(path); err != nil {
		t.Fatal(err)
	}
	n := included{Scenes: plan.Config.Scenes, MIoU: evaluated(t, path, plan.Config.Scenes)}
	f, err := safetensors.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	about, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	f.Metadata[trainedOn] = string(about)
	content, err := safetensors.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes, %s", packed.Len(), about)
	if err := os.WriteFile(packedFile, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// evaluated is what tools/eval scores a model with on the test scenes.
func evaluated(t *testing.T, model string, scenes ScenesSize) float64 {
	t.Helper()
	printed, _ := output(t, Evaluate, "--model", model, "--json", "--train-scenes", strconv.Itoa(scenes.Train),
		"--search-scenes", strconv.Itoa(scenes.Validation), "--test-scenes", strconv.Itoa(scenes.Test))
	var s Scored
	if err := json.Unmarshal([]byte(printed), &s); err != nil {
		t.Fatal(err)
	}
	return s.MIoU
}

func scenesNetwork(t *testing.T) included {
	t.Helper()
	n, err := readIncluded()
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestIncluded_IsSmallAndEveryDamageShows(t *testing.T) {
	if n := len(includedFile); n > 1<<20 {
		t.Errorf("%d bytes, should be at most 1 MiB: every clone and every program carries them", n)
	}
	n := scenesNetwork(t)
	for at := 0; at < len(includedFile); at += 1 + len(includedFile)/20 {
		damaged := bytes.Clone(includedFile)
		damaged[at] ^= 1 << (at % 7)
		if got, err := unpack(damaged); err == nil && !reflect.DeepEqual(got, n) {
			t.Errorf("byte %d flipped: another network, and no error", at)
		}
		if _, err := unpack(includedFile[:at]); err == nil {
			t.Errorf("cut to %d bytes: no error", at)
		}
	}
}

func TestIncluded_ScoresAsItSays(t *testing.T) {
	n := scenesNetwork(t)
	if got := evaluated(t, includedModel, n.Scenes); math.Abs(got-n.MIoU) > 1e-3 { // instruction sets differ in the last bits
		t.Errorf("eval scores %.4f, the file says %.4f", got, n.MIoU)
	}
}

var together = regexp.MustCompile(`(?m)^all of them  mIoU ([0-9.]+) %`)

func TestIncluded_LabelsUnseenScenesWell(t *testing.T) {
	text, _ := output(t, Segment, "--scenes", strconv.Itoa(unseenScenes), "--out", t.TempDir())
	found := together.FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("segment printed %q", text)
	}
	if miou, err := strconv.ParseFloat(found[1], 64); err != nil || miou < 100*leastMIoU {
		t.Errorf("mIoU %s %%, should be at least %.1f", found[1], 100*leastMIoU)
	}
}

func TestIncluded_DrawsScenesOfNoSplit(t *testing.T) {
	n := scenesNetwork(t)
	splits, err := data.Scenes(data.ScenesConfig{H: 16, W: 16, Seed: n.Seed, Train: n.Scenes.Train, SearchVal: n.Scenes.Validation, Val: n.Scenes.Test})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, ds := range []data.Dataset{splits.TrainAll, splits.Val} {
		for i := range ds.Len() {
			s, err := ds.Read(i)
			if err != nil {
				t.Fatal(err)
			}
			seen[s.Name] = true
		}
	}
	if len(seen) != n.Scenes.Train+n.Scenes.Validation+n.Scenes.Test {
		t.Fatalf("%d scenes of %+v", len(seen), n.Scenes)
	}
	drawn, err := n.unseen(10, 16, 16, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, in := range drawn {
		s, err := in.read()
		if err != nil || seen[s.Name] {
			t.Errorf("%s is %s, which was seen (%v)", in.path, s.Name, err)
		}
		seen[s.Name] = true
	}
}

func decodePNG(t *testing.T, path string) image.Image {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return picture
}

func TestSegment_WithoutArgumentsWritesWhatItSays(t *testing.T) {
	n := scenesNetwork(t)
	folder := t.TempDir()
	t.Chdir(folder)
	text, progress := output(t, Segment)
	for _, want := range []string{"model: the one that comes with segnas", "--model FILE takes yours", n.Model.Arch.String()} {
		if !strings.Contains(progress, want) {
			t.Errorf("stderr lacks %q:\n%s", want, progress)
		}
	}
	written, err := os.ReadDir("segmented")
	if err != nil || len(written) != 12 {
		t.Fatalf("%d files (%v), should be 3 of each of 4 scenes", len(written), err)
	}
	for _, e := range written {
		path := filepath.Join("segmented", e.Name())
		if !strings.Contains(text, path+"  ") && !strings.Contains(text, path+"\n") {
			t.Errorf("%s is written and not said:\n%s", path, text)
		}
		if b := decodePNG(t, path).Bounds(); b != image.Rect(0, 0, n.Model.Width, n.Model.Height) {
			t.Errorf("%s is of %v", path, b)
		}
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 1 {
		t.Errorf("%d entries beside segmented (%v)", len(entries)-1, err)
	}
}

func TestSegment_ScoresOfScenesAreThoseOfTheFiles(t *testing.T) {
	n := scenesNetwork(t)
	out := t.TempDir()
	printed, _ := output(t, Segment, "--scenes", "2", "--size", "96x192", "--out", out, "--json")
	var all []Segmented
	if err := json.Unmarshal([]byte(printed), &all); err != nil || len(all) != 2 {
		t.Fatalf("segment printed %s (%v)", printed, err)
	}
	scenes, err := n.unseen(2, 96, 192, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range all {
		truth, err := scenes[i].read()
		if err != nil {
			t.Fatal(err)
		}
		if drawn, _, _, err := data.ReadPicture(s.Picture); err != nil || !slices.Equal(drawn, truth.Image) {
			t.Errorf("%s is not the scene (%v)", s.Picture, err)
		}
		c := metrics.NewConfusion(data.CityscapesClasses().Len()) // whose values are the classes' indices
		if err := c.Add(truth.Label, decodePNG(t, s.Labels).(*image.Paletted).Pix, data.Ignore); err != nil {
			t.Fatal(err)
		}
		if miou, _ := c.MeanIoU(); s.Score == nil || miou != s.MIoU || c.PixelAccuracy() != s.Accuracy {
			t.Errorf("%s has mIoU %v, printed is %v", s.Labels, miou, s.Score)
		}
	}
}

func TestSegment_TakesTheIncludedNetworkForPicturesOfOnesOwn(t *testing.T) {
	pictures, out := filepath.Join(drawFolder(t), "images"), t.TempDir()
	text, progress := output(t, Segment, "--size", "24x40", "--out", out, pictures)
	if strings.Count(text, "\n") != 8 || strings.Contains(text, "mIoU") || !strings.Contains(progress, "no photographs") {
		t.Errorf("segment printed %q after %q", text, progress)
	}
	printed, _ := output(t, Segment, "--size", "24x40", "--out", out, "--json", pictures)
	if strings.Contains(printed, "miou") {
		t.Errorf("pictures without truth have a score: %s", printed)
	}
	output(t, Export, "--model", includedModel, "--size", "32x64", "--out", filepath.Join(out, "n.onnx"))
}

func TestIncluded_MisuseIsOneLineAndCode2(t *testing.T) {
	run, _ := reference(t)
	picture := filepath.Join(drawFolder(t), "images", "a.png")
	into := func(args ...string) []string { return append(args, "--out", t.TempDir()) }
	for _, c := range []struct {
		tool Tool
		args []string
		want string
	}{
		{Segment, into("--model", filepath.Join(run, winnerModel)), "name a picture"},
		{Segment, into("--model", ""), "--model"},
		{Segment, into("--model", "./scenes", picture), "no such checkpoint"},
		{Segment, into("--scenes", "3", picture), "give pictures, or a number of scenes"},
		{Segment, into("--scenes", "0"), "at least 1 scene"},
		{Segment, into("--size", "8x8"), "both sides must lie in"},
		{Evaluate, []string{"--model", includedModel, "--arch", "baseline"}, "holds the network"},
		{Submit, into("--model", includedModel, "--split", "val"), "no such checkpoint"},
	} {
		requireMisuse(t, c.tool, c.args, c.want)
	}
}
