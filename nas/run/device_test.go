package run

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/nvml"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// fakePlugin builds a plug-in for the device cuda:0 that opens and has next to no operation, and makes it the one that is found. More
// definitions give it a fault (csrc/test/plugin_fake.c).
func fakePlugin(t *testing.T, definitions ...string) {
	t.Helper()
	source := filepath.Join("..", "..", "csrc", "test", "plugin_fake.c")
	if _, err := os.Stat(source); err != nil {
		t.Skipf("no source of a plug-in here: %v", err)
	}
	folder := t.TempDir()
	args := append([]string{"-shared", "-fPIC", "-fvisibility=hidden", `-DFAKE_NAME="cuda"`}, definitions...)
	out, err := exec.Command("cc", append(args, source, "-o", filepath.Join(folder, "libsegnas_cuda.so"))...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("SEGNAS_PLUGIN_DIR", folder)
}

// ended runs a tool to its exit code.
func ended(tool Tool, args ...string) (code int, stdout, stderr string) {
	var out, progress bytes.Buffer
	code = Exit(tool(context.Background(), args, Streams{&out, &progress}), &progress)
	return code, out.String(), progress.String()
}

func TestDevice_AutoSaysInTheFirstLineWhatItTookAndWhy(t *testing.T) {
	t.Setenv("SEGNAS_PLUGIN_DIR", t.TempDir())
	if code, _, stderr := ended(Devices, "--device", "auto"); code != ExitDone || !strings.Contains(stderr, " on cpu ") || !strings.Contains(stderr, "(auto: no cuda:0)") {
		t.Errorf("without a plug-in: code %d, %q", code, stderr)
	}
	fakePlugin(t, "-DFAKE_DEVICES=0")
	if _, _, stderr := ended(Devices, "--device", "auto"); !strings.Contains(stderr, "(auto: no cuda:0)") || !strings.Contains(stderr, "the fake driver sleeps") {
		t.Errorf("without a device: %q", stderr)
	}
	fakePlugin(t, "-DFAKE_VERSION=77")
	if _, _, stderr := ended(Devices, "--device", "auto"); !strings.Contains(stderr, "(auto: no cuda:0)") || !strings.Contains(stderr, "interface version 77") {
		t.Errorf("with a plug-in of another version: %q", stderr)
	}
	fakePlugin(t)
	if _, _, stderr := ended(Devices, "--device", "auto"); !strings.Contains(stderr, " on cuda Fake 0") || !strings.Contains(stderr, "(auto: cuda:0 is there)") {
		t.Errorf("with a device: %q", stderr)
	}
	table := filepath.Join(t.TempDir(), "t.jsonl")
	code, _, stderr := ended(Profile, "--device", "auto", "--size", "32x64", "--rounds", "1", "--threads", "1", "--table", table)
	if code != ExitDone || !strings.Contains(stderr, " on cpu ") || !strings.Contains(stderr, "(auto: cuda:0 has no sessions") {
		t.Errorf("a tool that needs sessions: code %d, %q", code, stderr)
	}
}

func TestDevice_WhatIsMissingIsOneLineAndCode2(t *testing.T) {
	run, _ := reference(t)
	model, picture := filepath.Join(run, winnerModel), filepath.Join(t.TempDir(), "p.png")
	tools := map[string]struct {
		tool Tool
		args []string
	}{
		"search":  {Search, tiny("--out", t.TempDir())},
		"profile": {Profile, []string{"--size", "32x64"}},
		"segment": {Segment, []string{"--model", model, "--out", t.TempDir(), picture}},
		"eval":    {Evaluate, []string{"--model", model}},
		"train":   {Train, []string{"--size", "32x64", "--out", t.TempDir()}},
		"export":  {Export, []string{"--arch", "baseline", "--verify", "--out", filepath.Join(t.TempDir(), "n.onnx")}},
		"devices": {Devices, nil},
	}
	if err := os.WriteFile(picture, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("SEGNAS_PLUGIN_DIR", t.TempDir())
	for name, c := range tools {
		requireMisuse(t, c.tool, append(c.args, "--device", "cuda:0"), "go run ./tools/devices says what to type")
		requireMisuse(t, c.tool, append(c.args, "--device", "cuda:zero"), "should be cpu or NAME:NUMBER")
		if name == "devices" {
			delete(tools, name)
		}
	}
	fakePlugin(t)
	for name, c := range tools {
		want := "has no sessions"
		if name == "train" || name == "eval" {
			want = "this device cannot do it yet, --device cpu can"
		}
		requireMisuse(t, c.tool, append(c.args, "--device", "cuda:0"), want)
		requireMisuse(t, c.tool, append(c.args, "--device", "cuda:1"), "cuda:1 is not there")
	}
	requireMisuse(t, Search, tiny("--out", t.TempDir(), "--limit-energy", "0.1"), "no energy counter")
	requireMisuse(t, Devices, []string{"--device", "cuda:0", "--precision", "bf16"}, "unknown flag")
}

func TestMachine_WatchesTheCardOrSaysWhyNot(t *testing.T) {
	card := &nvml.Fake{About: nvml.Info{Name: "NVIDIA Fake 100", UUID: "GPU-0a", Driver: "550.1", MaxSMMHz: 1980, MaxMemoryMHz: 2619}}
	released := 0
	m := &machine{identity: latency.Identity{Kind: "cuda", GPU: "NVIDIA Fake 100, 80 GiB"}}
	line := m.watch(func() ([]nvml.Card, func(), error) { return []nvml.Card{card}, func() { released++ }, nil })
	if m.card != card || m.identity.Card != card.About || released != 0 || !strings.Contains(line, "driver 550.1, SM up to 1980 MHz") || !strings.Contains(line, "counts no energy") {
		t.Errorf("%q, %+v", line, m)
	}
	if err := (Limits{Energy: 1}).needs(m); !misuse.Is(err) {
		t.Errorf("an energy limit on a card without a counter: %v", err)
	}
	m = &machine{identity: m.identity}
	if line = m.watch(func() ([]nvml.Card, func(), error) { return nil, nil, errors.New("there is no libnvidia-ml.so.1") }); m.card != nil ||
		!strings.Contains(line, "no libnvidia-ml.so.1; going on without") {
		t.Errorf("%q", line)
	}
	other := &nvml.Fake{About: nvml.Info{Name: "another", UUID: "GPU-0b"}}
	third := &nvml.Fake{About: nvml.Info{Name: "a third", UUID: "GPU-0c"}}
	if line = m.watch(func() ([]nvml.Card, func(), error) { return []nvml.Card{other, third}, func() { released++ }, nil }); m.card != nil || released != 1 {
		t.Errorf("%q, %d times released", line, released)
	}
}

func TestParts_SayWhatIsMissingAndWhatToType(t *testing.T) {
	none := func(string) (string, error) { return "", exec.ErrNotFound }
	noFiles := func(string) ([]string, error) { return nil, nil }
	version := filepath.Join(t.TempDir(), "version")
	if err := os.WriteFile(version, []byte("NVRM version:  NVIDIA UNIX x86_64 Kernel Module  550.54.15\nGCC\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reading := nvml.Reading{SMMHz: 345, Celsius: 33, Watts: 60, Reasons: nvml.Idle}
	card := &nvml.Fake{About: nvml.Info{Name: "NVIDIA Fake 100", Energy: true}, Next: func() (nvml.Reading, error) { return reading, nil }}
	lost := &nvml.Fake{Next: func() (nvml.Reading, error) { return nvml.Reading{}, nvml.ErrGone }}
	cards := func(list ...nvml.Card) func() ([]nvml.Card, func(), error) {
		return func() ([]nvml.Card, func(), error) { return list, func() {}, nil }
	}
	for _, c := range []struct {
		part    Part
		missing bool
		words   string
	}{
		{toolkitPart(none, noFiles), true, "no nvcc on PATH"},
		{toolkitPart(none, noFiles), true, "install the CUDA toolkit, 12.0 or later"},
		{toolkitPart(none, func(string) ([]string, error) { return []string{"/usr/local/cuda/bin/nvcc"}, nil }), true, "PATH=/usr/local/cuda/bin:$PATH make cuda"},
		{toolkitPart(func(string) (string, error) { return "/opt/nvcc", nil }, noFiles), false, "/opt/nvcc"},
		{pluginPart([]string{"cpu: 2", "cuda: no plug-in", "  beside"}), true, "make cuda "},
		{pluginPart([]string{"cuda: refused /a/libsegnas_cuda.so: interface version 1"}), true, "of this version"},
		{pluginPart([]string{"cuda: no device: CUDA driver version is insufficient"}), false, "driver version is insufficient"},
		{pluginPart([]string{"cuda: 1 device", "  cuda:0 H100"}), false, "1 device"},
		{driverPart(filepath.Join(t.TempDir(), "none")), true, "install NVIDIA's driver"},
		{driverPart(version), false, "NVIDIA UNIX x86_64 Kernel Module 550.54.15"},
		{nvmlPart(func() ([]nvml.Card, func(), error) { return nil, nil, errors.New("no library") }), true, "libnvidia-ml.so.1"},
		{nvmlPart(cards(card)), false, "SM 345 of 0 MHz, memory 0 of 0 MHz, 33 C, 60 W, held by: idle"},
		{nvmlPart(cards(lost)), false, "the GPU is gone"},
		{nvmlPart(cards()), true, "nvidia-smi"},
	} {
		if c.part.Missing != c.missing || (c.part.Type != "") != c.missing || !strings.Contains(c.part.State+" "+c.part.Type, c.words) || strings.Contains(c.part.State, "\n") {
			t.Errorf("%+v; want %q, missing %v", c.part, c.words, c.missing)
		}
	}
}

// pluginDevice is the device of a plug-in to train on: what SEGNAS_TEST_DEVICE names, else sim:0, which runs the CUDA kernels on the CPU.
func pluginDevice(t *testing.T) string {
	t.Helper()
	device := os.Getenv("SEGNAS_TEST_DEVICE")
	if device == "" {
		device = "sim:0"
	}
	x, err := gobind.NewContext(gobind.Options{Device: device})
	if gobind.StatusOf(err) == gobind.BackendMissing && os.Getenv("SEGNAS_TEST_DEVICE") == "" {
		t.Skipf("make sim builds the device that this trains on: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	x.Close()
	return device
}

// lossesOn trains a small network for a few steps and returns their losses and what was printed.
func lossesOn(t *testing.T, device, precision string) (losses []float64, printed string) {
	t.Helper()
	folder := t.TempDir()
	printed, _ = output(t, Train, "--device", device, "--size", "64x96", "--batch", "4", "--scratch-steps", "4", "--checks", "1", "--train-scenes", "4",
		"--search-scenes", "1", "--test-scenes", "1", "--arch", "k3e3.k5e3_k3e3.k3e3_k3e3.k3e3", "--threads", "2", "--clip", "2", "--lr-factor", "0.1",
		"--train-precision", precision, "--out", folder)
	records, err := train.ReadLog(filepath.Join(folder, train.MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if r.MIoU == nil {
			losses = append(losses, r.Loss)
		}
	}
	return losses, printed
}

// In 16 bits the first loss is off by the activations' roundings, and the second by those of the gradients: both stay near float32's, and nearer in half
// precision, which rounds eight times finer.
func TestDevice_TrainingIn16BitsFollowsFloat32(t *testing.T) {
	device := pluginDevice(t)
	want, _ := lossesOn(t, device, "f32")
	for precision, most := range map[string]float64{"f16": 0.005, "bf16": 0.03} {
		got, _ := lossesOn(t, device, precision)
		t.Logf("%s: losses %v, in f32 %v", precision, got, want)
		if len(got) != len(want) {
			t.Fatalf("%s: losses %v", precision, got)
		}
		for i := range want {
			if math.Abs(got[i]-want[i]) > most*want[i] {
				t.Errorf("%s, step %d: loss %v, in f32 %v", precision, i+1, got[i], want[i])
			}
		}
		if got[0] == want[0] {
			t.Errorf("%s: the first loss is float32's to the last bit", precision)
		}
	}
}

// The first loss is the forward pass's, the second, at another place by four percent, that of all gradients and the optimiser: both agree to
// the last digits that the order of sums decides. Training then drives what is left apart, as it does two instruction sets of a CPU.
func TestDevice_TrainingOnAPluginGivesNearlyTheCPUsLosses(t *testing.T) {
	device := pluginDevice(t)
	losses := map[string][]float64{}
	scores := map[string]string{}
	for _, d := range []string{cpuDevice, device} {
		losses[d], scores[d] = lossesOn(t, d, "f32")
	}
	if len(losses[device]) != 4 || len(losses[cpuDevice]) != 4 {
		t.Fatalf("losses %v", losses)
	}
	if moved := losses[cpuDevice][1]/losses[cpuDevice][0] - 1; math.Abs(moved) < 0.01 {
		t.Errorf("a step moves the loss by %.3f: too little to tell a wrong gradient", moved)
	}
	for i, want := range losses[cpuDevice] {
		if got := losses[device][i]; math.Abs(got-want) > []float64{1e-6, 1e-5, 1e-3, 5e-3}[i]*want {
			t.Errorf("step %d: loss %v on %s, %v on the CPU", i+1, got, device, want)
		}
	}
	if !strings.Contains(scores[device], "mean IoU") {
		t.Errorf("train printed %q", scores[device])
	}
	t.Logf("losses %v", losses)
}

// labelsOf runs a network with the same weights and the same picture as a session of a device.
func labelsOf(t *testing.T, device string, p gobind.Precision, fusion gobind.Fusion) []byte {
	t.Helper()
	x, err := gobind.NewContext(gobind.Options{Device: device, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	rng := rand.New(rand.NewPCG(1, 2))
	const h, w = 45, 60
	model, err := supernet.NewPlain(x, space.DefaultNetwork(5), space.HandScaled(), rng)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	session, err := deploy(x, model, 1, h, w, gobind.SessionOptions{Precision: p, Fusion: fusion})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	picture := make([]float32, h*w*pictureChannels)
	for i := range picture {
		picture[i] = 4*rng.Float32() - 2
	}
	labels, groups := make([]byte, session.OutputBytes()), make([]time.Duration, session.Groups())
	if err := session.Run(picture, labels, groups); err != nil {
		t.Fatal(err)
	}
	for i, g := range groups {
		if g <= 0 {
			t.Errorf("%s: group %d took %v", device, i, g)
		}
	}
	return labels
}

// A session of a plug-in labels as the CPU's does, but for pixels whose best two classes lie closer together than rounding.
func TestDevice_SessionsOnAPluginLabelAsTheCPUDoes(t *testing.T) {
	device := pluginDevice(t)
	want := labelsOf(t, cpuDevice, gobind.Float32, gobind.FuseWhereFaster)
	for p, most := range map[gobind.Precision]float64{gobind.Float32: 0.001, gobind.Float16: 0.02, gobind.BFloat16: 0.12} {
		for _, fusion := range []gobind.Fusion{gobind.FuseAlways, gobind.FuseNever} {
			got, differ := labelsOf(t, device, p, fusion), 0
			for i := range want {
				if got[i] != want[i] {
					differ++
				}
			}
			share := float64(differ) / float64(len(want))
			t.Logf("%v, fusion %d: %.2f %% of the labels differ from the CPU's in float32", p, fusion, 100*share)
			if share > most {
				t.Errorf("%v, fusion %d: %.2f %% of the labels differ, at most %.2f %% should", p, fusion, 100*share, 100*most)
			}
		}
	}
}

func TestCommand_NamesTheNeighbourOrGoRun(t *testing.T) {
	if got := command("devices"); got != "go run ./tools/devices" {
		t.Error(got)
	}
	if runtime.GOOS != "linux" {
		t.Skip("neighbours are looked for beside the program on Linux alone")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	beside := filepath.Join(filepath.Dir(program), "a-neighbour")
	if err := os.WriteFile(beside, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(beside)
	if got := command("a-neighbour"); got != beside {
		t.Error(got)
	}
}
