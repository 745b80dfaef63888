package run

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

func TestSearch_OfBitWidthsFromPicturesToReport(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains seven little networks")
	}
	folder := t.TempDir()
	args := tiny("--out", folder, "--bits", "4,6,8", "--limit-bitops", "200M", "--limit-bytes", "900k", "--json")
	var out, words bytes.Buffer
	if err := Search(context.Background(), args, Streams{&out, &words}); err != nil {
		t.Fatalf("%v\n%s", err, words.String())
	}
	var r Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	if r.Device.Precision != latency.Integers || !strings.Contains(words.String(), "bits: latencies are those in integers (int8)") {
		t.Errorf("the result is of %v:\n%s", r.Device, words.String())
	}
	for _, row := range r.Networks {
		if want := map[bool]string{true: "int8", false: "f32"}[row.Name != baselineName]; row.Precision != want || !(row.PredictedMS > 0) {
			t.Errorf("%s is measured in %q instead of %s, and predicted as %v ms", row.Name, row.Precision, want, row.PredictedMS)
		}
		if quantised := row.Name != baselineName; (row.BitOps > 0) != quantised || (row.Bytes > 0) != quantised || !(row.MeasuredMS > 0) {
			t.Errorf("%+v", row)
		}
	}
	if w := named(r, winnerName); !r.Winner.IsQuantised() || w.BitOps > 200e6 || w.Bytes > 900e3 || !*w.WithinLimit {
		t.Errorf("the winner %v has %d bit operations and %d bytes", r.Winner, w.BitOps, w.Bytes)
	}
	out.Reset()
	if err := Search(context.Background(), args, Streams{&out, io.Discard}); err != nil {
		t.Fatal(err)
	}
	var again Result
	if err := json.Unmarshal(out.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if again.Winner != r.Winner || !reflect.DeepEqual(again.Networks, r.Networks) {
		t.Errorf("repeated: %+v, was %+v", again.Networks, r.Networks)
	}
	table, err := latency.Read(filepath.Join(folder, tableFile))
	if err != nil || table.Setup().Identity.Precision != latency.Integers || !slices.ContainsFunc(table.Entries(), func(e latency.Entry) bool {
		return strings.HasPrefix(e.Op, "block ") && strings.HasSuffix(e.Op, " w4a6 last")
	}) {
		t.Errorf("the table does not tell bit widths apart: %v", err)
	}
	page, err := os.ReadFile(filepath.Join(folder, reportFile))
	if err != nil || !strings.Contains(string(page), "G bit ops") || !strings.Contains(string(page), "weights/activations:") {
		t.Errorf("the report says nothing of bits: %v", err)
	}
}

// The phase that learns bit widths does not depend on the flags' order, and settings that were printed have it once.
func TestBits_AddOnePhase(t *testing.T) {
	phases := func(args ...string) train.Schedule {
		t.Helper()
		o, err := parseSearch(args, Streams{io.Discard, io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		return o.cfg.Shrinking
	}
	first := phases("--bits", "4,8", "--supernet-steps", "90")
	if again := phases("--supernet-steps", "90", "--bits", "4,8"); !slices.Equal(first, again) {
		t.Errorf("%v in one order, %v in the other", first, again)
	}
	plain := phases("--supernet-steps", "90")
	if n := len(first); n != len(plain)+1 || !slices.Equal(first[:n-1], plain) || !first[n-1].Quantised || first[n-1].Steps != plain[n-2].Steps {
		t.Errorf("%v with bit widths, %v without", first, plain)
	}
	o, err := parseSearch([]string{"--bits", "4,8"}, Streams{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.cfg.TOML()
	if err != nil {
		t.Fatal(err)
	}
	if again := phases("--config", settingsFile(t, text)); !slices.Equal(again, o.cfg.Shrinking) {
		t.Errorf("printed and read back: %v, was %v", again, o.cfg.Shrinking)
	}
}

func openTestMachine(t *testing.T, o machineOptions) *machine {
	t.Helper()
	m, err := openMachine(o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.close)
	return m
}

// smallBits is a space of few choices.
func smallBits() space.Space {
	return space.Space{Kernels: []uint8{3}, Expands: []uint8{6}, Depths: []uint8{1, 2}, Bits: []uint8{4, 8}}
}

// What a table holds of a network is what runs: the sessions' timing groups are the operations, and only those with bit widths are in integers.
func TestDevice_MeasuresBitWidthsInIntegers(t *testing.T) {
	m := openTestMachine(t, machineOptions{device: cpuDevice, threads: 1})
	sp, net := smallBits(), space.DefaultNetwork(3)
	var words bytes.Buffer
	setup, err := m.setup(sp, net, 32, 64, &words)
	if err != nil || setup.Identity.Precision != latency.Integers || !strings.Contains(words.String(), "in integers (int8)") {
		t.Fatalf("%+v, %v: %s", setup, err, words.String())
	}
	table, err := latency.Open(filepath.Join(t.TempDir(), tableFile), setup)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Fill(context.Background(), m.device(sp), sp, latency.Options{Rounds: 1}); err != nil {
		t.Fatal(err)
	}
	p, err := table.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range append(sp.Covering(), sp.Widest(space.Baseline()), space.Baseline()) {
		if ms, err := p.Predict(a); err != nil || !(ms > 0) {
			t.Errorf("%v: %v ms, %v", a, ms, err)
		}
	}
	if setup, err := m.setup(sp.Float(), net, 32, 64, io.Discard); err != nil || setup.Identity.Precision != "" {
		t.Errorf("in floating point: %+v, %v", setup, err)
	}
	m.session.Precision = gobind.BFloat16
	if _, err := m.setup(sp, net, 32, 64, io.Discard); !misuse.Is(err) {
		t.Errorf("--precision bf16 of networks in integers: %v", err)
	}
}

// Where there are no sessions in integers, times are of floating point, and a line says so.
func TestDevice_WithoutIntegersSaysSo(t *testing.T) {
	fakePlugin(t)
	m := openTestMachine(t, machineOptions{device: firstGPU})
	var words bytes.Buffer
	setup, err := m.setup(smallBits(), space.DefaultNetwork(3), 32, 64, &words)
	if err != nil || setup.Identity != m.identity || strings.Count(words.String(), "\n") != 1 || !strings.Contains(words.String(), "in floating point (f32)") {
		t.Errorf("%+v, %v: %q", setup, err, words.String())
	}
}

func TestBits_LikeAndTheDefaultLimitAreOfTheMostBits(t *testing.T) {
	folder := t.TempDir()
	table := filepath.Join(folder, "few.jsonl")
	var out bytes.Buffer
	args := []string{"--size", "32x64", "--classes", "3", "--rounds", "1", "--threads", "1", "--table", table}
	if err := Profile(context.Background(), append(args, "--bits", "8"), Streams{&out, io.Discard}); err != nil {
		t.Fatal(err)
	}
	requireMisuse(t, Profile, args, ", int8, and this is")
	if want := space.Baseline().Quantised(space.Bits{W: 8, A: 8}).String(); !strings.Contains(out.String(), want) || !strings.Contains(out.String(), " w8a8 last") {
		t.Errorf("the table says nothing of %s:\n%s", want, out.String())
	}
	float := filepath.Join(folder, "float.jsonl")
	args[len(args)-1] = float
	if err := Profile(context.Background(), args, Streams{io.Discard, io.Discard}); err != nil {
		t.Fatal(err)
	}
	requireMisuse(t, Profile, append(args, "--bits", "8"), "and this is")
	read, err := latency.Read(table)
	if err != nil {
		t.Fatal(err)
	}
	p, err := read.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewConfig("scenes-quick", ScenesData)
	if err != nil {
		t.Fatal(err)
	}
	c.Space.Bits = []uint8{8}
	hand := space.HandScaled()
	for _, like := range []*space.Arch{nil, &hand} {
		of, share := space.Baseline(), latencyShare
		if c.Limits.Like = like; like != nil {
			of, share = *like, 1
		}
		want, err := p.Predict(c.Space.Widest(of))
		if got, err2 := askedLatency(c, p); err != nil || err2 != nil || got != want/share {
			t.Errorf("like %v: %v ms, want %v; %v, %v", like, got, want/share, err2, err)
		}
	}
}
