package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/train"
)

// readBack lists the files of a run folder that a run reads back, each with the function that reads it. What it gives for a shortened file of lines,
// as a kill in the middle of writing leaves it, is a part of what it gives for the whole one.
func readBack() []struct {
	name  []string
	lines bool
	read  func(path string) (any, error)
} {
	json := func(v any) func(string) (any, error) {
		return func(path string) (any, error) {
			v := reflect.New(reflect.TypeOf(v)).Interface()
			return v, readJSON(path, v)
		}
	}
	return []struct {
		name  []string
		lines bool
		read  func(path string) (any, error)
	}{
		{[]string{supernetName, train.CheckpointFile}, false, func(path string) (any, error) { return train.LoadFile(path) }},
		{[]string{winnerModel}, false, func(path string) (any, error) { return train.LoadFile(path) }},
		{[]string{traceFile}, true, func(path string) (any, error) { _, all, err := search.ReadTrace(path); return all, err }},
		{[]string{tableFile}, true, func(path string) (any, error) {
			table, err := latency.Read(path)
			if err != nil {
				return nil, err
			}
			return table.Entries(), nil
		}},
		{[]string{winnerName, train.MetricsFile}, true, func(path string) (any, error) { return train.ReadLog(path) }},
		{[]string{configFile}, false, json(planned{})},
		{[]string{timesFile}, false, json(account{})},
		{[]string{measuredFile}, false, json(measured{})},
		{[]string{winnerName, resultFile}, false, json(finalNetwork{})},
		{[]string{"finalist-1", resultFile}, false, json(finalist{})},
		{[]string{resultFile}, false, json(Result{})},
	}
}

// requireNamed fails unless an error is one line of misuse that names the file.
func requireNamed(t *testing.T, damage, path string, err error) {
	t.Helper()
	if !misuse.Is(err) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v", damage, err)
	}
}

func TestDamage_OfEveryFileIsNamedOrAPartIsRead(t *testing.T) {
	run, _ := reference(t)
	for _, f := range readBack() {
		t.Run(filepath.Join(f.name...), func(t *testing.T) {
			whole, err := os.ReadFile(filepath.Join(append([]string{run}, f.name...)...))
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), f.name[len(f.name)-1])
			read := func(content []byte) (any, error) {
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				return f.read(path)
			}
			want, err := read(whole)
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range []int{0, 1, 2, 7, len(whole) / 4, len(whole) / 2, len(whole) - 2, len(whole) - 1} {
				got, err := read(whole[:n])
				if err == nil && f.lines && partOf(want, got) {
					continue
				}
				requireNamed(t, fmt.Sprintf("cut to %d bytes", n), path, err)
			}
			flips := 300
			if len(whole) > 1<<16 || testing.Short() {
				flips = 20 // reading takes longer; nas/train/safetensors flips every byte of a small one
			}
			for at := 0; at < len(whole); at += 1 + len(whole)/flips {
				damaged := bytes.Clone(whole)
				damaged[at] ^= 1 << (at % 7)
				got, err := read(damaged)
				if err == nil && f.lines && partOf(want, got) && bytes.IndexByte(whole[at:], '\n') == len(whole)-at-1 {
					continue // of the last line, which then counts as being written
				}
				requireNamed(t, fmt.Sprintf("byte %d of %d flipped", at, len(whole)), path, err)
			}
			_, err = read(append(bytes.Clone(whole), "{}\n"...))
			requireNamed(t, "with more at its end", path, err)
		})
	}
}

// partOf reports whether a list holds elements of another alone, and no more of them. A table's last lines are of whole networks, not entries.
func partOf(whole, part any) bool {
	w, p := reflect.ValueOf(whole), reflect.ValueOf(part)
	for i := range p.Len() {
		found := false
		for j := range w.Len() {
			found = found || reflect.DeepEqual(p.Index(i).Interface(), w.Index(j).Interface())
		}
		if !found {
			return false
		}
	}
	return p.Len() <= w.Len()
}

func TestDamage_WhatIsNoFileOrMayNotBeReadIsNamed(t *testing.T) {
	run, _ := reference(t)
	for _, f := range readBack() {
		path := filepath.Join(t.TempDir(), f.name[len(f.name)-1])
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := f.read(path)
		requireNamed(t, "a folder in its place", path, err)
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if os.Getuid() == 0 {
			continue
		}
		content, err := os.ReadFile(filepath.Join(append([]string{run}, f.name...)...))
		if err == nil {
			err = os.WriteFile(path, content, 0)
		}
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.read(path)
		requireNamed(t, "without the right to read it", path, err)
	}
	if os.Getuid() == 0 {
		t.Log("not tried: files without the right to read them; root may read all")
	}
}

// filesIn returns all files of a folder.
func filesIn(t *testing.T, folder string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, folder)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// The whole command over a finished run in which one file is damaged: it names the file with exit code 2 and leaves it, and everything that is not
// derived from others, as it was; or it ends as it would have.
func TestDamage_ARunNamesItOrEndsTheSame(t *testing.T) {
	if testing.Short() {
		t.Skip("a run for every file and damage takes half a minute")
	}
	want, table := reference(t)
	names := [][]string{{accuraciesFile}} // whose damaged lines are left out, in words
	for _, f := range readBack() {
		names = append(names, f.name)
	}
	for _, name := range names {
		for damage, change := range map[string]func(content []byte) []byte{
			"empty":   func([]byte) []byte { return nil },
			"cut":     func(content []byte) []byte { return content[:len(content)/2] },
			"flipped": func(content []byte) []byte { content[len(content)/3] ^= 2; return content },
		} {
			t.Run(filepath.Join(name...)+" "+damage, func(t *testing.T) {
				folder := t.TempDir()
				if err := os.CopyFS(folder, os.DirFS(want)); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(append([]string{folder}, name...)...)
				content, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, change(content), 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				before := filesIn(t, folder)
				var stderr bytes.Buffer
				code := Exit(Search(context.Background(), tiny("--out", folder, "--table", table), Streams{io.Discard, &stderr}), &stderr)
				if code == ExitDone {
					requireSameEnd(t, folder, want)
					return
				}
				line := stderr.String()[strings.LastIndex(strings.TrimSpace(stderr.String()), "\n")+1:]
				if code != ExitMisuse || !strings.HasPrefix(line, "error: ") || !strings.Contains(line, path) {
					t.Errorf("code %d, %q; want 2 and one line with %s", code, line, path)
				}
				for name, now := range filesIn(t, folder) {
					derived := strings.HasSuffix(name, timesFile) || strings.HasSuffix(name, train.CurvesFile) || strings.Contains(name, "tfevents")
					if was, found := before[name]; now != was && !derived || !found && !derived {
						t.Errorf("%s was changed", name)
					}
				}
			})
		}
	}
}

// Curves are derived: whatever became of them, a training goes on and they are whole again.
func TestDamage_CurvesAreMadeAnew(t *testing.T) {
	want, table := reference(t)
	folder := t.TempDir()
	if err := os.CopyFS(folder, os.DirFS(want)); err != nil {
		t.Fatal(err)
	}
	csv := filepath.Join(folder, winnerName, train.CurvesFile)
	whole, err := os.ReadFile(csv)
	if err != nil {
		t.Fatal(err)
	}
	events, err := filepath.Glob(filepath.Join(folder, winnerName, "events.out.tfevents.*"))
	if err != nil || len(events) != 1 {
		t.Fatalf("%v, %v", events, err)
	}
	if err := os.WriteFile(csv, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	size := requireSize(t, events[0])
	if err := os.Truncate(events[0], 21); err != nil {
		t.Fatal(err)
	}
	if err := Search(context.Background(), tiny("--out", folder, "--table", table), Streams{io.Discard, io.Discard}); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(csv); err != nil || !bytes.Equal(now, whole) {
		t.Errorf("%s is %q, should be %q, %v", csv, now, whole, err)
	}
	events, err = filepath.Glob(filepath.Join(folder, winnerName, "events.out.tfevents.*"))
	if err != nil || len(events) != 1 || requireSize(t, events[0]) != size {
		t.Errorf("%v, %v; one of %d bytes is wanted", events, err, size)
	}
}

func requireSize(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}
