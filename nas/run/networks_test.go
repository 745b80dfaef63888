package run

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/graph"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

func TestNetworks_TableHoldsAllNetworksMeasured(t *testing.T) {
	hand := space.HandScaled()
	args := []string{"--size", "40x56", "--classes", "3", "--rounds", "1", "--threads", "1", "--device", "cpu", "--arch", "hand", "--arch", "hand-w8a6"}
	printed, _ := output(t, Networks, append(args, "--json")...)
	var c Comparison
	if err := json.Unmarshal([]byte(printed), &c); err != nil {
		t.Fatal(err)
	}
	want := append(graph.Names(), "baseline", hand.String(), hand.Quantised(space.Bits{W: 8, A: 6}).String())
	if len(c.Networks) != len(want) {
		t.Fatalf("%d networks, want %v", len(c.Networks), want)
	}
	net := space.DefaultNetwork(3)
	for i, n := range c.Networks {
		if n.Network != want[i] || n.Latency.Median <= 0 || n.Latency.N < 1 || n.FPS <= 0 || n.ActivationBytes <= 0 || n.WeightBytes <= 0 {
			t.Errorf("row %d is %+v, want %s", i, n, want[i])
		}
		if integers := i == len(want)-1; (n.Precision == "int8") != integers || (n.Precision == "f32") == integers {
			t.Errorf("row %d, %s, is deployed in %s", i, n.Network, n.Precision)
		}
	}
	if n := c.Networks[3]; n.MACs != net.MACs(space.Baseline(), 40, 56) || n.Params != net.Params(space.Baseline()) || *n.Arch != space.Baseline() {
		t.Errorf("the baseline's row is %+v", n)
	}
	table, _ := output(t, Networks, args...)
	for _, text := range append(want, "21.27 G, 2.11 M", "1.11 M", "canary") {
		if !strings.Contains(table, text) {
			t.Errorf("the table lacks %q:\n%s", text, table)
		}
	}
}

func TestNetworks_RefusesWhatCannotBe(t *testing.T) {
	for _, args := range [][]string{{"picture.png"}, {"--rounds", "0"}, {"--classes", "0"}, {"--arch", "fast-scnn"}, {"--size", "40"}} {
		if err := Networks(context.Background(), args, Streams{&strings.Builder{}, &strings.Builder{}}); !misuse.Is(err) {
			t.Errorf("%v: %v, want misuse", args, err)
		}
	}
}

func TestTools_TrainEvalSegmentAKnownNetwork(t *testing.T) {
	pictures, out := drawFolder(t), t.TempDir()
	trainArgs := []string{"--data", pictures, "--size", "24x40", "--batch", "2", "--scratch-steps", "4", "--checks", "1", "--out", out,
		"--network", "fast-scnn", "--threads", "2", "--json"}
	first, progress := output(t, Train, trainArgs...)
	var trained Scored
	if err := json.Unmarshal([]byte(first), &trained); err != nil || trained.Network != "fast-scnn" || trained.Arch != nil || trained.MIoU <= 0 {
		t.Fatalf("train printed %s (%v)", first, err)
	}
	if !strings.Contains(progress, "plan: fast-scnn, 2 classes, 4 steps") {
		t.Errorf("train's stderr is %q", progress)
	}
	if again, _ := output(t, Train, trainArgs...); again != first {
		t.Errorf("the same command again prints\n%s\nafter\n%s", again, first)
	}
	model := filepath.Join(out, train.CheckpointFile)
	var evaluated Scored
	printed, _ := output(t, Evaluate, "--model", model, "--data", pictures, "--threads", "2", "--json")
	if err := json.Unmarshal([]byte(printed), &evaluated); err != nil || evaluated.Network != "fast-scnn" || evaluated.MIoU != trained.MIoU {
		t.Errorf("eval printed %s after train's %s (%v)", printed, first, err)
	}
	output(t, Evaluate, "--model", model, "--data", pictures, "--threads", "2", "--full-size")
	segmented, _ := output(t, Segment, "--model", model, "--out", t.TempDir(), "--threads", "2", filepath.Join(pictures, "images", "a.png"))
	if !strings.Contains(segmented, "a-overlay.png") {
		t.Errorf("segment printed %s", segmented)
	}
	other := slices.Clone(trainArgs)
	other[slices.Index(other, "fast-scnn")] = "redesign-no-detail"
	for _, c := range []struct {
		tool Tool
		args []string
		text string
	}{
		{Train, other, "of another network"},
		{Train, []string{"--network", "fastscnn"}, "--network: network \"fastscnn\" is not known; there are mobilenetv2-deeplab"},
		{Train, []string{"--network", "fast-scnn", "--arch", "hand"}, "give one of the two"},
		{Evaluate, []string{"--model", model, "--data", pictures, "--arch", "baseline"}, "holds fast-scnn, not k3e6"},
		{Export, []string{"--model", model, "--out", filepath.Join(out, "x.onnx")}, "holds fast-scnn, which is no network of the search space"},
	} {
		err := c.tool(context.Background(), c.args, Streams{&strings.Builder{}, &strings.Builder{}})
		if !misuse.Is(err) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%v: %v, want misuse with %q", c.args, err, c.text)
		}
	}
}
