package run

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/segnas/segnas/nas/train"
)

func scoresOf(t *testing.T, args ...string) (s Scored) {
	t.Helper()
	printed, _ := output(t, Evaluate, append(args, "--threads", "2", "--json")...)
	if err := json.Unmarshal([]byte(printed), &s); err != nil {
		t.Fatalf("eval %v printed %s (%v)", args, printed, err)
	}
	return s
}

// unpacked writes the network that comes with segnas where any other checkpoint could lie.
func unpacked(t *testing.T) string {
	t.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(includedFile))
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "scenes.safetensors")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A trained network with bit widths is deployed in integers, by every tool that deploys one, and labels as training's arithmetic does: where a rounding
// falls otherwise, that sways a pixel here and there.
func TestDeployed_NetworksWithBitWidthsRunInIntegers(t *testing.T) {
	out := t.TempDir()
	scenes := []string{"--train-scenes", "16", "--search-scenes", "1", "--test-scenes", "6"}
	output(t, Train, append(scenes, "--start", unpacked(t), "--arch", "k3e4w8a8.k5e3w8a6_k5e4w6a8.k5e4w8a8_k5e3w6a6.k5e3w8a8_w8a8.w8a8.w8a8.w8a8.w8a8", "--size", "96x192",
		"--batch", "4", "--lr-factor", "0.05", "--scratch-steps", "2", "--recalibration-batches", "4", "--checks", "0", "--out", out, "--threads", "2", "--device", "cpu")...)
	model := []string{"--model", filepath.Join(out, train.CheckpointFile)}
	on := slices.Concat(model, scenes, []string{"--device", "cpu"})
	trained, both := scoresOf(t, on...), scoresOf(t, append(on, "--deployed")...)
	if trained.Deployed != nil || both.MIoU != trained.MIoU || both.Accuracy != trained.Accuracy || trained.MIoU < 0.3 {
		t.Errorf("%+v with the deployed network beside it, %+v without", both, trained)
	}
	if d := both.Deployed; d == nil || d.Precision != "int8" || d.Equal < 0.995 || d.Equal > 1 {
		t.Errorf("deployed: %+v", d)
	}
	integers := scoresOf(t, append(on, "--precision", "int8")...)
	if d := both.Deployed; integers.MIoU != d.MIoU || integers.Accuracy != d.Accuracy {
		t.Errorf("by itself the deployed network scores %+v, beside training's %+v", integers, *d)
	}
	if scalar := scoresOf(t, append(on, "--deployed", "--isa", "scalar")...); scalar.Deployed.Equal < 0.995 {
		t.Errorf("deployed in plain C++: %+v", scalar.Deployed)
	}
	if whole := scoresOf(t, append(on, "--full-size")...); !(whole.MIoU > 0) || !whole.FullSize {
		t.Errorf("at full size: %+v", whole)
	}
	labelled, picture := []string{"--device", "cpu", "--threads", "2", "--out", filepath.Join(out, "labelled")}, filepath.Join(drawFolder(t), "images", "a.png")
	output(t, Segment, append(slices.Concat(labelled, model), picture)...)

	printed, _ := output(t, Export, append(slices.Clone(model), "--device", "cpu", "--out", filepath.Join(out, "few.onnx"), "--verify", "--json")...)
	var e Exported
	if err := json.Unmarshal([]byte(printed), &e); err != nil || e.Verification == nil || !e.Verification.Agrees || e.Verification.Bytes == 0 {
		t.Errorf("export printed %s (%v)", printed, err)
	}

	requireMisuse(t, Segment, append(slices.Concat(labelled, model), "--precision", "f32", picture), "deployed with --precision int8")
	requireMisuse(t, Segment, append(labelled, "--precision", "int8", picture), "is for networks with bit widths")
	requireMisuse(t, Evaluate, append(on, "--deployed", "--full-size"), "give one of the two")
	requireMisuse(t, Search, tiny("--precision", "int8"), "give one of [f32 f16 bf16]")
	requireMisuse(t, Profile, []string{"--precision", "int8"}, "give one of [f32 f16 bf16]")
}

// A folder of results says that they were computed in integers.
func TestDeployed_ResultsInIntegersAreKeptApart(t *testing.T) {
	pictures, out, results := drawFolder(t), t.TempDir(), filepath.Join(t.TempDir(), "results")
	output(t, Train, "--data", pictures, "--size", "24x40", "--batch", "2", "--scratch-steps", "2", "--checks", "0", "--out", out, "--threads", "2", "--device", "cpu",
		"--arch", "k3e3w8a8.k3e3w8a8_k3e3w4a8.k3e3w8a8_k3e3w8a8.k3e3w6a6_w8a8.w8a8.w8a8.w8a8.w8a8")
	output(t, Submit, "--model", filepath.Join(out, train.CheckpointFile), "--data", pictures, "--device", "cpu", "--split", "val", "--check", "--out", results)
	var what submission
	if err := readJSON(filepath.Join(results, submissionFile), &what); err != nil || what.Precision != "int8" {
		t.Errorf("%+v (%v)", what, err)
	}
}

// Any network can be compared with itself as it is deployed.
func TestDeployed_FloatNetworksAreComparedToo(t *testing.T) {
	pictures, out := drawFolder(t), t.TempDir()
	output(t, Train, "--data", pictures, "--size", "24x40", "--batch", "2", "--scratch-steps", "8", "--checks", "1", "--out", out, "--threads", "2",
		"--arch", "k3e3.k3e3_k3e3.k3e3_k3e3.k3e3")
	on := []string{"--model", filepath.Join(out, train.CheckpointFile), "--data", pictures, "--device", "cpu", "--deployed"}
	if s := scoresOf(t, on...); s.Deployed == nil || s.Deployed.Precision != "f32" || s.Deployed.Equal < 0.999 {
		t.Errorf("deployed: %+v", s.Deployed)
	}
	if s := scoresOf(t, append(on, "--precision", "bf16", "--isa", "scalar")...); s.Deployed.Precision != "bf16" || s.Deployed.Equal < 0.95 {
		t.Errorf("deployed in bfloat16: %+v", s.Deployed)
	}
}
