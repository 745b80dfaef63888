package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// copied is a copy of the finished run, so that tests may add to its file of scores.
func copied(t *testing.T) string {
	t.Helper()
	done, _ := reference(t)
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(done)); err != nil {
		t.Fatal(err)
	}
	return folder
}

// secondDevice is the instruction set next below this processor's best: another device with other times and other last bits.
func secondDevice(t *testing.T) string {
	t.Helper()
	all := gobind.AvailableISAs()
	if len(all) < 2 {
		t.Skip("this processor has a single instruction set to build a second device from")
	}
	return all[len(all)-2]
}

func stageOf(t *testing.T, folder, name string) stageTime {
	t.Helper()
	var r Result
	if err := readJSON(filepath.Join(folder, resultFile), &r); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Stages {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no stage %s in %+v", name, r.Stages)
	return stageTime{}
}

func scoresIn(t *testing.T, folder string) []search.Evaluation {
	t.Helper()
	_, all, err := search.ReadTrace(filepath.Join(folder, traceFile))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestFrom_ASecondDeviceBeginsWithWhatTheFirstFound(t *testing.T) {
	isa, first, second := secondDevice(t), copied(t), t.TempDir()
	before, err := os.ReadFile(filepath.Join(first, accuraciesFile))
	if err != nil {
		t.Fatal(err)
	}
	stdout, stderr := output(t, Search, tiny("--from", first, "--isa", isa, "--out", second)...)
	scores := map[space.Arch]float64{}
	for _, e := range scoresIn(t, first) {
		scores[e.Arch] = e.MIoU
	}
	best, known := 0.0, 0
	for _, e := range scoresIn(t, second) {
		best = max(best, e.MIoU)
		if score, found := scores[e.Arch]; found {
			known++
			if e.MIoU != score {
				t.Errorf("%v has %v here and %v on the first device", e.Arch, e.MIoU, score)
			}
		}
	}
	for a, score := range scores {
		if score > best {
			t.Errorf("the limits are the same, and %v with %v is better than all that the second device knows", a, score)
		}
	}
	want := fmt.Sprintf("7 networks: %d evaluated, %d scores known (%d under another arithmetic)", 7-known, known, known)
	if got := stageOf(t, second, "search").Detail; got != want || known == 0 {
		t.Errorf("the search says %q, want %q", got, want)
	}
	after, err := os.ReadFile(filepath.Join(first, accuraciesFile))
	if err != nil || !bytes.HasPrefix(after, before) || bytes.Count(after[len(before):], []byte("\n")) != 7-known {
		t.Errorf("the file of scores went from\n%s to\n%s, %v", before, after, err)
	}
	for _, name := range []string{supernetName, baselineName, controlName, handName} {
		a, err := os.ReadFile(filepath.Join(first, name, train.CheckpointFile))
		b, err2 := os.ReadFile(filepath.Join(second, name, train.CheckpointFile))
		if err != nil || err2 != nil || !bytes.Equal(a, b) {
			t.Errorf("the checkpoint of %s differs: %v, %v", name, err, err2)
		}
	}
	table, err := latency.Read(filepath.Join(second, tableFile))
	if err != nil || table.Setup().Identity.ISA != isa {
		t.Errorf("the table is of %+v: %v", table.Setup().Identity, err)
	}
	for _, line := range []string{"latency table", "supernet", "search", "finalists", baselineName, winnerName, "measuring"} {
		if !strings.Contains(stdout, "\n"+line+" ") {
			t.Errorf("stdout has no time of %s:\n%s", line, stdout)
		}
	}
	if !strings.Contains(stderr, "was trained as "+filepath.Join(first, handName)) {
		t.Errorf("stderr does not say where the hand-scaled network comes from:\n%s", stderr)
	}
	if again, _ := output(t, Search, tiny("--from", first, "--isa", isa, "--out", second)...); !strings.Contains(again, want) {
		t.Errorf("repeated, it prints\n%s", again)
	}
}

func TestFrom_OtherLimitsEvaluateOnlyWhatIsNew(t *testing.T) {
	isa, first, other := secondDevice(t), copied(t), copied(t)
	args := func(first, out string) []string {
		return tiny("--from", first, "--isa", isa, "--limit-macs", "7M", "--seed", "1", "--generations", "5", "--out", out)
	}
	second := t.TempDir()
	output(t, Search, args(first, second)...)
	var evaluated, known int
	if _, err := fmt.Sscanf(stageOf(t, second, "search").Detail, "11 networks: %d evaluated, %d scores known", &evaluated, &known); err != nil && evaluated != 11 {
		t.Fatalf("%q: %v", stageOf(t, second, "search").Detail, err)
	}
	if evaluated == 0 || evaluated+known != 11 {
		t.Errorf("%d evaluated and %d known of 11", evaluated, known)
	}
	// A third run from the same, cancelled in its search and repeated, ends as the second: what it added to the file changes nothing.
	third := t.TempDir()
	third2 := append(args(other, third), "--table", filepath.Join(second, tableFile))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for lines(filepath.Join(third, traceFile)) < 4 && ctx.Err() == nil {
			time.Sleep(200 * time.Microsecond)
		}
		cancel()
	}()
	if err := Search(ctx, third2, Streams{io.Discard, io.Discard}); err != nil && Exit(err, io.Discard) != ExitInterrupted {
		t.Fatal(err)
	}
	output(t, Search, third2...)
	requireSameEnd(t, third, second)
}

func TestFrom_AnOlderRunsTraceIsItsFileOfScores(t *testing.T) {
	first, second := copied(t), t.TempDir()
	if err := os.Remove(filepath.Join(first, accuraciesFile)); err != nil {
		t.Fatal(err)
	}
	_, stderr := output(t, Search, tiny("--from", first, "--out", second)...)
	if !strings.Contains(stderr, "7 scores taken from "+filepath.Join(first, traceFile)) {
		t.Errorf("stderr:\n%s", stderr)
	}
	if got := stageOf(t, second, "search").Detail; !strings.HasSuffix(got, " scores known") {
		t.Errorf("the search says %q", got)
	}
	// This is the same device: its table was taken over, too.
	a, err := os.ReadFile(filepath.Join(first, tableFile))
	b, err2 := os.ReadFile(filepath.Join(second, tableFile))
	if err != nil || err2 != nil || !bytes.Equal(a, b) {
		t.Errorf("the table was measured again: %v, %v", err, err2)
	}
}

func TestFrom_RefusesWhatWouldNotFit(t *testing.T) {
	first := copied(t)
	untrained := t.TempDir()
	if err := os.CopyFS(untrained, os.DirFS(first)); err != nil {
		t.Fatal(err)
	}
	var plan planned
	if err := readJSON(filepath.Join(untrained, configFile), &plan); err != nil {
		t.Fatal(err)
	}
	plan.Config.Shrinking = plan.Config.Shrinking.Scaled(2)
	if err := writeJSON(filepath.Join(untrained, configFile), plan); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"has batch 2, not 3":      tiny("--from", first, "--out", t.TempDir(), "--batch", "3"),
		"has seed 1, not 2":       tiny("--from", first, "--out", t.TempDir(), "--seed", "2"),
		"has retrain [":           tiny("--from", first, "--out", t.TempDir(), "--retrain-steps", "5"),
		"trainings are as long":   tiny("--from", first, "--out", t.TempDir(), "--budget", "1h"),
		"a folder with --out":     {"--from", first},
		"leave out --config":      {"--from", first, "--config", "x.toml"},
		"has preset \"scenes-":    {"--from", first, "--preset", "camvid", "--out", t.TempDir()},
		"is the folder that":      {"--from", first, "--out", first},
		"there is no config.json": {"--from", t.TempDir(), "--out", t.TempDir()},
		"has made 6 of 12 steps":  {"--from", untrained, "--out", t.TempDir()},
		"a supernet of its own":   tiny("--from", first, "--out", copied(t)),
		"not the start of":        tiny("--out", t.TempDir(), "--accuracies", filepath.Join(first, configFile)),
	} {
		requireMisuse(t, Search, args, want)
	}
}

func TestConfig_OwnSettingsAreSettings(t *testing.T) {
	c, err := NewConfig("scenes-quick", ScenesData)
	if err != nil {
		t.Fatal(err)
	}
	c.TrainPrecision, c.Pareto = "f16", 1 // those that are left out where they are zero
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	for _, name := range ownSettings {
		if _, found := all[name]; !found {
			t.Errorf("there is no setting %s", name)
		}
	}
}
