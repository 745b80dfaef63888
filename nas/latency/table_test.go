package latency

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/sealed"
	"github.com/segnas/segnas/nas/space"
)

var fixedNow = func() time.Time { return time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC) }

func quick() Options { return Options{Rounds: 6, Together: 2, Now: fixedNow} }

// fill opens and fills the file's table on a device.
func fill(t *testing.T, path string, d *fakeDevice, opt Options) *Table {
	t.Helper()
	table, err := Open(path, d.setup())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Fill(context.Background(), d, space.Default(), opt); err != nil {
		t.Fatal(err)
	}
	if d.open != 0 {
		t.Fatalf("%d networks were left open", d.open)
	}
	return table
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestFill_HoldsTheTrueTimesOfAQuietDevice(t *testing.T) {
	d := newFake()
	path := filepath.Join(t.TempDir(), "table.jsonl")
	if table := fill(t, path, d, quick()); len(table.Missing(space.Default())) != 0 {
		t.Fatalf("missing after filling: %v", table.Missing(space.Default()))
	}
	table, err := Open(path, d.setup())
	if err != nil {
		t.Fatal(err)
	}
	byKey := map[string]Entry{}
	for _, e := range table.Entries() {
		byKey[e.Op] = e
	}
	s := d.setup()
	for _, a := range space.Default().Covering() {
		for _, op := range s.Network.Ops(a, s.H, s.W) {
			e := byKey[op.Key()]
			if e.Median != trueTime(op) || e.Q1 != e.Median || e.P99 != e.Median || e.RawMedian != e.Median || e.N < 12 || e.Rejected != 0 ||
				e.Library != "aaaa" || !e.At.Equal(fixedNow()) {
				t.Fatalf("entry %q is %+v, the true time %v", op.Key(), e, trueTime(op))
			}
		}
	}
	p, err := table.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	if whole, searched := p.InterceptMS(); whole != milliseconds(d.overhead) || searched != 0 {
		t.Errorf("intercepts are %v and %v ms, the true overhead %v", whole, searched, d.overhead)
	}
}

func TestFill_CompleteTableMeasuresNothing(t *testing.T) {
	d := newFake()
	path := filepath.Join(t.TempDir(), "table.jsonl")
	fill(t, path, d, quick())
	before, runs := readFile(t, path), d.runs
	fill(t, path, d, quick())
	if d.runs != runs || !bytes.Equal(before, readFile(t, path)) {
		t.Errorf("%d more runs, the file changed: %v", d.runs-runs, !bytes.Equal(before, readFile(t, path)))
	}
}

func TestFill_CutAtAnyLineEndsEqual(t *testing.T) {
	dir := t.TempDir()
	full := filepath.Join(dir, "full.jsonl")
	want := fill(t, full, newFake(), quick()).Entries()
	data := readFile(t, full)
	lines := bytes.SplitAfter(data, []byte("\n"))
	kept := 0
	for i, line := range lines {
		for _, torn := range []int{0, len(line) / 2, len(line) - 1} {
			if torn < 0 {
				continue
			}
			path := filepath.Join(dir, "cut.jsonl")
			if err := os.WriteFile(path, data[:kept+torn], 0o644); err != nil {
				t.Fatal(err)
			}
			fill(t, path, newFake(), quick())
			if !bytes.HasPrefix(readFile(t, path), data[:kept]) {
				t.Fatalf("cut in line %d at %d: a finished line was rewritten", i+1, torn)
			}
			again, err := Open(path, newFake().setup())
			if err != nil {
				t.Fatal(err)
			}
			got := again.Entries()
			if len(got) != len(want) {
				t.Fatalf("cut in line %d at %d: %d entries instead of %d", i+1, torn, len(got), len(want))
			}
			for k := range got {
				if got[k].Op != want[k].Op || got[k].Median != want[k].Median {
					t.Fatalf("cut in line %d at %d: entry %+v instead of %+v", i+1, torn, got[k], want[k])
				}
			}
		}
		kept += len(line)
	}
}

func TestFill_StoppedAtAnyTimeKeepsWholePasses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "table.jsonl")
	passes := 0
	for stop := 50; ; stop += 50 {
		d := newFake()
		d.stopAt = stop
		table, err := Open(path, d.setup())
		if err != nil {
			t.Fatal(err)
		}
		before := len(table.Entries())
		_, err = table.Fill(context.Background(), d, space.Default(), quick())
		if d.open != 0 {
			t.Fatalf("stopped at run %d: %d networks left open", stop, d.open)
		}
		if len(table.Entries()) > before {
			passes++
		}
		if err == nil {
			break
		}
		if !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
	}
	if passes < 2 {
		t.Errorf("the table grew in %d processes; the first to be stopped should have left some of it", passes)
	}
}

func TestFill_CancelledStopsAtOnce(t *testing.T) {
	d := newFake()
	ctx, cancel := context.WithCancel(context.Background())
	opt := quick()
	opt.Progress = func(done, total int, note string) {
		if done > 3 {
			cancel()
		}
	}
	table, err := Open(filepath.Join(t.TempDir(), "table.jsonl"), d.setup())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := table.Fill(ctx, d, space.Default(), opt); !errors.Is(err, context.Canceled) || d.open != 0 {
		t.Errorf("cancelled: %v, %d networks open", err, d.open)
	}
}

func TestFill_OtherLibraryIsStale(t *testing.T) {
	d := newFake()
	path := filepath.Join(t.TempDir(), "table.jsonl")
	entries := len(fill(t, path, d, quick()).Entries())
	d.id.Library = "bbbb"
	table, err := Open(path, d.setup())
	if err != nil {
		t.Fatal(err)
	}
	if missing := table.Missing(space.Default()); len(missing) != entries {
		t.Fatalf("%d of %d entries are stale", len(missing), entries)
	}
	if _, err := table.Predictor(); !misuse.Is(err) {
		t.Errorf("a stale table predicts: %v", err)
	}
	for _, e := range fill(t, path, d, quick()).Entries() {
		if e.Library != "bbbb" {
			t.Errorf("entry %q is of library %s", e.Op, e.Library)
		}
	}
	if other, err := Read(path); err != nil || other.Setup().Identity.Library != "bbbb" || len(other.Entries()) != entries {
		t.Errorf("read without a setup: %v", err)
	}
}

func TestFill_RefusesASecondWriter(t *testing.T) {
	d := newFake()
	path := filepath.Join(t.TempDir(), "table.jsonl")
	late, err := Open(path, d.setup())
	if err != nil {
		t.Fatal(err)
	}
	fill(t, path, d, quick())
	before := readFile(t, path)
	if _, err := late.Fill(context.Background(), d, space.Default(), quick()); err == nil || !bytes.Equal(before, readFile(t, path)) {
		t.Errorf("a second process wrote into the file: %v", err)
	}
}

func TestOpen_RefusesInOneLine(t *testing.T) {
	d := newFake()
	dir := t.TempDir()
	good := filepath.Join(dir, "good.jsonl")
	fill(t, good, d, quick())
	data := readFile(t, good)
	flipped := func(at int) []byte {
		c := bytes.Clone(data)
		c[at] ^= 1
		return c
	}
	end := bytes.IndexByte(data, '\n')
	for _, c := range []struct {
		name   string
		data   []byte
		change func(s *Setup)
		want   string
	}{
		{"other processor", data, func(s *Setup) { s.Identity.CPU = "Other" }, "cpu Fake 9000"},
		{"other instruction set", data, func(s *Setup) { s.Identity.ISA = "scalar" }, "isa avx2"},
		{"other threads", data, func(s *Setup) { s.Identity.Threads = 1 }, "2 threads"},
		{"other size", data, func(s *Setup) { s.H = 100 }, "90x120"},
		{"other batch", data, func(s *Setup) { s.Batch = 8 }, "8 x 90x120"},
		{"other network", data, func(s *Setup) { s.Network.Classes = 11 }, "Classes:19"},
		{"flipped byte in the header", flipped(20), nil, "line 1 is damaged"},
		{"flipped byte in an entry", flipped(end + 30), nil, "line 2 is damaged"},
		{"flipped line end", flipped(end), nil, "line 1 is damaged"},
		{"flipped byte in the last line", flipped(len(data) - 30), nil, "is damaged"},
		{"not a table", []byte("hello"), nil, "not a latency table"},
		{"not a table, lines", []byte("hello\nworld\n"), nil, "line 1 is damaged"},
	} {
		path := filepath.Join(dir, "bad.jsonl")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		setup := d.setup()
		if c.change != nil {
			c.change(&setup)
		}
		_, err := Open(path, setup)
		if !misuse.Is(err) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "none.jsonl")); !misuse.Is(err) {
		t.Errorf("missing file: %v", err)
	}
}

func TestPredict_MissingEntryIsNamed(t *testing.T) {
	d := newFake()
	table, err := Open(filepath.Join(t.TempDir(), "table.jsonl"), d.setup())
	if err != nil {
		t.Fatal(err)
	}
	small := space.Space{Kernels: []uint8{3}, Expands: []uint8{3, 6}, Depths: []uint8{2, 3}}
	if _, err := table.Fill(context.Background(), d, small, quick()); err != nil {
		t.Fatal(err)
	}
	p, err := table.Predictor()
	if err != nil {
		t.Fatal(err)
	}
	a := space.Uniform([3]uint8{2, 2, 2}, space.Block{Kernel: 5, Expand: 3})
	if _, err := p.Predict(a); !misuse.Is(err) || !strings.Contains(err.Error(), " e3 k5 ") {
		t.Errorf("a missing entry: %v", err)
	}
	want, searched := d.trueTotal(space.HandScaled())
	if _, err := p.Predict(space.HandScaled()); !misuse.Is(err) {
		t.Errorf("expand ratio 4 is not in the table: %v", err)
	}
	want, searched = d.trueTotal(space.Baseline())
	ms, err := p.Predict(space.Baseline())
	blocks, err2 := p.PredictSearched(space.Baseline())
	if err != nil || err2 != nil || ms != milliseconds(want) || blocks != milliseconds(searched) {
		t.Errorf("baseline predicted as %v (%v) ms, the truth is %v (%v): %v %v", ms, blocks, want, searched, err, err2)
	}
}

// smallTable is the header, one operation and one network of a real table.
func smallTable(f *testing.F) []byte {
	at := Origin{Library: "aaaa", Canary: time.Millisecond, At: fixedNow()}
	stats := Stats{Median: 5, Q1: 4, Q3: 6, P99: 7, RawMedian: 5, N: 60}
	var data []byte
	for _, v := range []any{
		header{Format: format, Setup: newFake().setup()},
		Entry{Op: "stem 90x120x3-12x15x64", Stats: stats, Origin: at},
		networkLine{Measurement: Measurement{Arch: space.Baseline(), Total: stats, Searched: stats}, Origin: at},
	} {
		line, err := sealed.Line(v)
		if err != nil {
			f.Fatal(err)
		}
		data = append(data, line...)
	}
	return data
}

func FuzzParse(f *testing.F) {
	data := smallTable(f)
	f.Add(data, true)
	f.Add(data[:len(data)-5], false)
	f.Add([]byte(`{"format":"segnas-latency-1","h":0`), true)
	f.Fuzz(func(t *testing.T, data []byte, seals bool) {
		if seals { // let the fuzzer past the checksums
			var lines []byte
			for line := range bytes.SplitSeq(data, []byte("\n")) {
				if text, ok := sealed.OpenLine(line); ok {
					line = text
				}
				if len(line) > 0 {
					lines = append(lines, sealed.LineOf(line)...)
				}
			}
			data = lines
		}
		table, err := parse("fuzz", data)
		if err != nil {
			if !misuse.Is(err) {
				t.Fatalf("damaged input is not misuse: %v", err)
			}
			return
		}
		if table.whole > int64(len(data)) {
			t.Fatal("more whole lines than bytes")
		}
		if table.whole > 0 {
			if p, err := table.Predictor(); err == nil {
				p.Predict(space.Baseline())
			}
		}
	})
}
