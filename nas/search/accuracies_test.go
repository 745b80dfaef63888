package search

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

func openAccuracies(t testing.TB, path string) (*Accuracies, []string) {
	t.Helper()
	c, notices, err := OpenAccuracies(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, notices
}

func someAccuracy(i int) Accuracy {
	return Accuracy{Fingerprint: "weights 1", Arithmetic: "avx512", Arch: randomArch(uint64(i)), Score: Score{MIoU: float64(i) / 100}, Seconds: 1.5}
}

// kept returns a file of n scores.
func kept(t testing.TB, n int) (path string, text []byte) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "accuracies.jsonl")
	c, _ := openAccuracies(t, path)
	for i := range n {
		if err := c.Add(someAccuracy(i)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return path, text
}

func TestAccuracies_AreFoundByWeightsPicturesAndNetwork(t *testing.T) {
	path, _ := kept(t, 5)
	c, notices := openAccuracies(t, path)
	if len(notices) > 0 {
		t.Errorf("notices %q", notices)
	}
	for i := range 5 {
		want := someAccuracy(i)
		if got, found := c.Find("weights 1", "avx512", want.Arch, false); !found || got != want {
			t.Errorf("%d: %+v, %v", i, got, found)
		}
		if _, found := c.Find("weights 2", "avx512", want.Arch, true); found {
			t.Error("a score of other weights was found")
		}
		if _, found := c.Find("weights 1", "avx2", want.Arch, false); found {
			t.Error("a score of another arithmetic was found unasked")
		}
		if got, found := c.Find("weights 1", "avx2", want.Arch, true); !found || got != want {
			t.Errorf("asked for, a score of another arithmetic was not found: %+v", got)
		}
	}
	if _, found := c.Find("weights 1", "avx512", randomArch(99), true); found {
		t.Error("a network that was never scored was found")
	}
	own := someAccuracy(3)
	own.Arithmetic, own.MIoU = "avx2", 0.5
	if err := c.Add(own); err != nil {
		t.Fatal(err)
	}
	if got, _ := c.Find("weights 1", "avx2", own.Arch, true); got != own {
		t.Errorf("a score of another arithmetic goes before one's own: %+v", got)
	}
}

func TestAccuracies_KilledAnywhereLoseAtMostTheLastLine(t *testing.T) {
	path, text := kept(t, 2)
	for cut := range len(text) {
		if err := os.WriteFile(path, text[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		c, notices := openAccuracies(t, path)
		whole := max(0, bytes.Count(text[:cut], []byte("\n"))-1)
		for i := range 2 {
			if got, found := c.Find("weights 1", "avx512", randomArch(uint64(i)), false); found != (i < whole) || found && got != someAccuracy(i) {
				t.Fatalf("cut at %d: score %d is %+v, %v", cut, i, got, found)
			}
		}
		for i := range 2 {
			if err := c.Add(someAccuracy(i)); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, text) || len(notices) > 0 {
			t.Fatalf("cut at %d and completed: %q, notices %q, %v", cut, now, notices, err)
		}
	}
}

func TestAccuracies_AFlippedByteIsNeverAWrongScore(t *testing.T) {
	path, text := kept(t, 3)
	header := bytes.IndexByte(text, '\n')
	for i := range text {
		damaged := bytes.Clone(text)
		damaged[i] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		c, notices, err := OpenAccuracies(path)
		if i <= header {
			if !misuse.Is(err) || !strings.HasPrefix(err.Error(), path+": line 1 ") {
				t.Fatalf("byte %d: %v", i, err)
			}
			if now, _ := os.ReadFile(path); !bytes.Equal(now, damaged) {
				t.Fatalf("byte %d: a refused file was changed", i)
			}
			continue
		}
		if err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
		lost := 0
		for k := range 3 {
			got, found := c.Find("weights 1", "avx512", randomArch(uint64(k)), true)
			if found && got != someAccuracy(k) {
				t.Fatalf("byte %d: score %d became %+v", i, k, got)
			}
			if !found {
				lost++
			}
		}
		// The last line's end is its only byte whose loss looks like a process that was killed.
		if lost == 0 || lost > 2 || len(notices) != 1 && i != len(text)-1 || len(notices) == 1 && !strings.Contains(notices[0], "is damaged") {
			t.Fatalf("byte %d: %d scores lost, notices %q", i, lost, notices)
		}
		c.Close()
	}
}

func TestAccuracies_SeveralWritersShareAFile(t *testing.T) {
	path, _ := kept(t, 0)
	var all sync.WaitGroup
	for w := range 4 {
		c, _ := openAccuracies(t, path)
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range 25 {
				if err := c.Add(someAccuracy(25*w + i)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	// A writer that was killed in the middle of a line takes no other's line with it.
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := openAccuracies(t, path)
	if _, err := fmt.Fprint(file, `{"fingerprint":"wei`); err != nil || file.Close() != nil {
		t.Fatal(err)
	}
	late := someAccuracy(0)
	late.Fingerprint = "weights 2"
	if err := other.Add(late); err != nil {
		t.Fatal(err)
	}
	c, notices := openAccuracies(t, path)
	if len(notices) != 1 || !strings.Contains(notices[0], "line 102 is damaged") {
		t.Errorf("notices %q", notices)
	}
	for i := range 100 {
		if got, _ := c.Find("weights 1", "avx512", randomArch(uint64(i)), false); got != someAccuracy(i) {
			t.Errorf("score %d is %+v", i, got)
		}
	}
	if got, _ := c.Find("weights 2", "avx512", late.Arch, false); got != late {
		t.Errorf("the line behind a torn one is %+v", got)
	}
}

func TestAccuracies_ForeignFilesAreRefusedAndStayUntouched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notes")
	header, err := sign(accuraciesHeader{accuraciesName})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"precious notes", "precious notes\n", "{}\n", string(header) + string(signBody([]byte(`{"arch":"k3e6_k3e6_k3e6"}`)))} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := OpenAccuracies(path); !misuse.Is(err) || !strings.HasPrefix(err.Error(), path+": line ") {
			t.Errorf("%q: %v", text, err)
		}
		if now, err := os.ReadFile(path); err != nil || string(now) != text {
			t.Errorf("%q became %q", text, now)
		}
	}
	if _, _, err := OpenAccuracies(t.TempDir()); !misuse.Is(err) {
		t.Errorf("a folder: %v", err)
	}
}

func TestCached_SearchesEndAlikeWithoutEvaluatingAgain(t *testing.T) {
	path, _ := kept(t, 0)
	want := timeless(mustRun(t, small(3), space.Default(), newOracle(randomArch(8)), macs(40)))
	for _, c := range []struct {
		limit     float64
		all, none bool // networks in the file
	}{{40, false, true}, {40, true, false}, {32, false, false}, {32, true, false}} {
		accuracies, _ := openAccuracies(t, path)
		o := newOracle(randomArch(8))
		cached := &Cached{Evaluator: o, Accuracies: accuracies, Fingerprint: "weights", Arithmetic: "avx2"}
		got := timeless(mustRun(t, small(3), space.Default(), cached, macs(c.limit)))
		if c.limit == 40 && !reflect.DeepEqual(got, want) {
			t.Error("the file of scores changed the search")
		}
		if cached.Evaluated != len(o.seen) || cached.Found+cached.Evaluated != len(got.All) || cached.Foreign != 0 {
			t.Errorf("%d found, %d evaluated, %d of %d asked of the evaluator", cached.Found, cached.Evaluated, len(o.seen), len(got.All))
		}
		if c.all != (cached.Evaluated == 0) || c.none != (cached.Found == 0) {
			t.Errorf("limit %v: %d found, %d evaluated", c.limit, cached.Found, cached.Evaluated)
		}
		accuracies.Close()
	}
}

func FuzzParseAccuracies(f *testing.F) {
	_, text := kept(f, 2)
	header := text[:bytes.IndexByte(text, '\n')+1]
	f.Add(text, false)
	f.Add(bytes.TrimSuffix(header, []byte("\n")), false)
	f.Add([]byte(`{"fingerprint":"w","arithmetic":"a","arch":"k3e6_k3e6_k3e6","miou":0.5,"seconds":0}`), true)
	f.Add([]byte(`{"miou":2}`), true)
	f.Fuzz(func(t *testing.T, data []byte, signed bool) {
		if signed {
			if len(data) < 2 {
				return
			}
			data = append(bytes.Clone(header), signBody(data)...)
		}
		lines, size, notices, err := parseAccuracies("file", data)
		if err != nil {
			if !misuse.Is(err) || lines != nil || size != 0 || notices != nil {
				t.Fatalf("%v with %v, %d, %q", err, lines, size, notices)
			}
			return
		}
		if size > len(data) || bytes.IndexByte(data[size:], '\n') >= 0 || len(lines)+len(notices)+1 != bytes.Count(data[:size], []byte("\n")) {
			t.Fatalf("%d of %d bytes, %d lines, %d notices", size, len(data), len(lines), len(notices))
		}
		for _, a := range lines {
			if a.validate() != nil {
				t.Fatalf("%+v", a)
			}
		}
	})
}
