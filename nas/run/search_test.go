package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// childVariable makes this test binary the tool search, to be killed by a test.
const childVariable = "SEGNAS_TEST_SEARCH"

func TestMain(m *testing.M) {
	if args := os.Getenv(childVariable); args != "" {
		os.Exit(Exit(Search(context.Background(), strings.Split(args, "\n"), Streams{os.Stdout, os.Stderr}), os.Stderr))
	}
	if os.Getenv(deviceVariable) == "" { // the tests' expectations are the CPU's; device_test.go names other devices itself
		os.Setenv(deviceVariable, cpuDevice)
	}
	code := m.Run()
	if folder, err := uninterrupted(); err == nil {
		os.RemoveAll(folder)
	}
	os.Exit(code)
}

// tiny makes a whole run take about a second. Its limit that binds is one of multiply-adds: times of a table of one round on a busy
// machine may leave a single network within the default limit.
func tiny(more ...string) []string {
	return append([]string{
		"--threads", "2", "--size", "32x64", "--batch", "2", "--supernet-steps", "6", "--scratch-steps", "4", "--retrain-steps", "3", "--trial-steps", "2",
		"--train-scenes", "8", "--search-scenes", "3", "--test-scenes", "3", "--recalibration-batches", "1", "--checks", "1",
		"--population", "3", "--pool", "2", "--mutants", "1", "--crosses", "1", "--generations", "3",
		"--table-rounds", "1", "--final-rounds", "1", "--verify-networks", "0",
		"--limit-ms", "1000", "--limit-macs", "10M",
	}, more...)
}

// uninterrupted is a finished run, made once for all tests, and its table, with which other runs end alike.
var uninterrupted = sync.OnceValues(func() (folder string, err error) {
	folder, err = os.MkdirTemp("", "segnas-run-")
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := Search(context.Background(), tiny("--out", folder), Streams{&out, io.Discard}); err != nil {
		return "", err
	}
	return folder, os.WriteFile(filepath.Join(folder, "stdout.txt"), out.Bytes(), 0o600)
})

func reference(t *testing.T) (folder, table string) {
	t.Helper()
	folder, err := uninterrupted()
	if err != nil {
		t.Fatal(err)
	}
	return folder, filepath.Join(folder, tableFile)
}

// seconds is what differs between two traces of the same search.
var seconds = regexp.MustCompile(`"seconds":[0-9.e+-]+|"(crc|sum|check)[a-z0-9]*":"[0-9a-f]+"`)

// requireSameEnd compares all that a run's end consists of but for measured times: weights with momentum of all models, the
// search's trace, and the winner.
func requireSameEnd(t *testing.T, folder, want string) {
	t.Helper()
	read := func(folder string, name ...string) string {
		content, err := os.ReadFile(filepath.Join(append([]string{folder}, name...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for _, name := range []string{supernetName, "finalist-1", baselineName, controlName, handName, winnerName} {
		if read(folder, name, train.CheckpointFile) != read(want, name, train.CheckpointFile) {
			t.Errorf("the checkpoint of %s differs", name)
		}
	}
	for _, name := range []string{winnerModel, winnerText, tableFile} {
		if read(folder, name) != read(want, name) {
			t.Errorf("%s differs", name)
		}
	}
	if a, b := seconds.ReplaceAllString(read(folder, traceFile), ""), seconds.ReplaceAllString(read(want, traceFile), ""); a != b {
		t.Errorf("the trace differs:\n%s\n%s", a, b)
	}
}

func TestSearch_LeavesBehindWhatItPromises(t *testing.T) {
	folder, _ := reference(t)
	for _, name := range []string{configFile, tableFile, traceFile, winnerText, winnerJSON, winnerModel, resultFile, reportFile, measuredFile,
		filepath.Join(supernetName, train.MetricsFile), filepath.Join(winnerName, train.MetricsFile)} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	var r Result
	if err := readJSON(filepath.Join(folder, resultFile), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Networks) != 4 || r.Networks[3].Arch != r.Winner.String() || r.Evaluated != 7 {
		t.Errorf("result %+v", r)
	}
	if predicted := r.Networks[3].PredictedMS; predicted > r.LimitMS {
		t.Errorf("the winner is predicted to take %v ms, the limit is %v", predicted, r.LimitMS)
	}
	for _, row := range r.Networks {
		if row.MIoU <= 0 || row.MeasuredMS <= 0 || row.FPS <= 0 || row.MACs <= 0 || row.Params <= 0 {
			t.Errorf("row %+v", row)
		}
	}
	stdout, err := os.ReadFile(filepath.Join(folder, "stdout.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{baselineName, controlName, handName, winnerName, r.Winner.String(), "go run ./tools/segment --model "} {
		if !strings.Contains(string(stdout), want) {
			t.Errorf("stdout lacks %q:\n%s", want, stdout)
		}
	}
}

func TestSearch_SameSeedAndTableSameEnd(t *testing.T) {
	want, table := reference(t)
	folder := t.TempDir()
	var out bytes.Buffer
	if err := Search(context.Background(), tiny("--out", folder, "--table", table, "--json"), Streams{&out, io.Discard}); err != nil {
		t.Fatal(err)
	}
	requireSameEnd(t, folder, want)
	var r Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Folder != folder {
		t.Errorf("--json printed %s (%v)", out.String(), err)
	}
}

// lines counts a file's lines; 0 when there is no file.
func lines(path string) int {
	content, _ := os.ReadFile(path)
	return bytes.Count(content, []byte("\n"))
}

// TestSearch_CancelledInEachStageEndsTheSame stops a run in each of its stages, at a moment that differs from time to time, and
// repeats the command.
func TestSearch_CancelledInEachStageEndsTheSame(t *testing.T) {
	want, table := reference(t)
	metrics := func(name string, n int) func(string) bool {
		return func(folder string) bool { return lines(filepath.Join(folder, name, train.MetricsFile)) >= n }
	}
	exists := func(name string) func(string) bool {
		return func(folder string) bool { return lines(filepath.Join(folder, name)) > 0 }
	}
	for _, c := range []struct {
		stage string
		there func(folder string) bool
	}{
		{"table", exists(configFile)},
		{"supernet", metrics(supernetName, 2)},
		{"search", func(folder string) bool { return lines(filepath.Join(folder, traceFile)) >= 3 }},
		{"finalists", metrics("finalist-2", 1)},
		{"baseline", metrics(baselineName, 2)},
		{"winner", metrics(winnerName, 1)},
		{"measuring", exists(filepath.Join(winnerName, resultFile))},
	} {
		t.Run(c.stage, func(t *testing.T) {
			folder := t.TempDir()
			args := tiny("--out", folder, "--table", table)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				for !c.there(folder) && ctx.Err() == nil {
					time.Sleep(200 * time.Microsecond)
				}
				cancel()
			}()
			err := Search(ctx, args, Streams{io.Discard, io.Discard})
			if err != nil && (Exit(err, io.Discard) != ExitInterrupted || !strings.Contains(err.Error(), "same command goes on")) {
				t.Fatalf("interrupted: %v", err)
			}
			if err := Search(context.Background(), args, Streams{io.Discard, io.Discard}); err != nil {
				t.Fatal(err)
			}
			requireSameEnd(t, folder, want)
		})
	}
}

func TestSearch_KilledAgainAndAgainEndsTheSame(t *testing.T) {
	want, table := reference(t)
	folder := t.TempDir()
	rng := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0)) // any moment will do
	patience := 400 * time.Millisecond
	for kills := 0; ; kills++ {
		var out bytes.Buffer
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childVariable+"="+strings.Join(tiny("--out", folder, "--table", table), "\n"))
		child.Stdout, child.Stderr = &out, &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- child.Wait() }()
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("after %d kills: %v\n%s", kills, err, out.String())
			}
			requireSameEnd(t, folder, want)
			t.Logf("%d kills", kills)
			return
		case <-time.After(time.Duration(float64(patience) * (0.5 + rng.Float64()))):
			child.Process.Kill() // SIGKILL
			<-ended
			patience = patience * 5 / 4 // in the end long enough for any machine
		}
	}
}

func TestSearch_RefusesToGoOnWithOtherSettings(t *testing.T) {
	folder, _ := reference(t)
	for want, args := range map[string][]string{
		"batch 2, not 3":       tiny("--out", folder, "--batch", "3"),
		"budget of no limit":   tiny("--out", folder, "--budget", "1h"),
		"instruction set":      tiny("--out", folder, "--isa", "scalar"),
		"seed 1, not 2":        tiny("--out", folder, "--seed", "2"),
		"cannot be met":        tiny("--out", t.TempDir(), "--limit-ms", "0.0001", "--table", filepath.Join(folder, tableFile)),
		"the least of all":     tiny("--out", t.TempDir(), "--limit-params", "1k", "--table", filepath.Join(folder, tableFile)),
		"2 threads":            tiny("--out", t.TempDir(), "--threads", "1", "--table", filepath.Join(folder, tableFile)),
		"at least":             tiny("--out", t.TempDir(), "--budget", "1s"),
		"no such file":         tiny("--out", t.TempDir(), "--table", filepath.Join(folder, "none")),
		"pool of 9":            tiny("--out", t.TempDir(), "--pool", "9"),
		"unknown flag: --bach": tiny("--bach", "2"),
		"such as 360x480":      tiny("--size", "360"),
		"such as 5.5G":         tiny("--limit-macs", "-2G"),
		"not expected":         tiny("camvid"),
		"there are camvid, scenes-quick, thesis-cityscapes": {"--preset", "big"},
		"is not known; there":                               {"--data", folder, "--format", "coco"},
		"neither train.txt":                                 {"--data", t.TempDir()},
		"no such file or dir":                               {"--data", filepath.Join(folder, "none")},
	} {
		requireMisuse(t, Search, args, want)
	}
	lock, err := openFolder(folder)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.close()
	requireMisuse(t, Search, tiny("--out", folder), "in use by another process")
}

// requireMisuse runs a tool that must end with code 2 and one line that holds want.
func requireMisuse(t *testing.T, tool Tool, args []string, want string) {
	t.Helper()
	var line bytes.Buffer
	code := Exit(tool(context.Background(), args, Streams{io.Discard, io.Discard}), &line)
	if code != ExitMisuse || strings.Count(line.String(), "\n") != 1 || !strings.Contains(line.String(), want) {
		t.Errorf("%v: code %d, %q; want 2 and one line with %q", args, code, line.String(), want)
	}
}

func TestSearch_WinnerIsOfTheSpaceAndTraceHoldsIt(t *testing.T) {
	folder, _ := reference(t)
	text, err := os.ReadFile(filepath.Join(folder, winnerText))
	if err != nil {
		t.Fatal(err)
	}
	a, err := space.Parse(strings.TrimSpace(string(text)))
	if err != nil || !space.Default().Contains(a) {
		t.Errorf("winner.txt holds %q: %v", text, err)
	}
	trace, err := os.ReadFile(filepath.Join(folder, traceFile))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(strings.Split(string(trace), "\n"), func(line string) bool {
		return strings.Contains(line, fmt.Sprintf(`"arch":"%v"`, a))
	}) {
		t.Errorf("%v is not in the trace", a)
	}
}

func TestSearch_DamagedSupernetCheckpointsAreNamed(t *testing.T) {
	want, table := reference(t)
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(want)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder, supernetName, train.CheckpointFile)
	flipByte(t, path)
	if err := os.Remove(filepath.Join(folder, supernetName, train.PreviousFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	requireMisuse(t, Search, tiny("--out", folder, "--table", table), path)
}

func flipByte(t *testing.T, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)/2] ^= 1
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
