package run

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/train"
)

// smallDisk mounts a disk in memory and returns its folder and what changes its size, in bytes.
func smallDisk(t *testing.T) (folder string, resize func(bytes int)) {
	t.Helper()
	folder = t.TempDir()
	mount := func(bytes int, flags uintptr) error {
		return syscall.Mount("tmpfs", folder, "tmpfs", flags, fmt.Sprintf("size=%d", bytes))
	}
	if err := mount(1<<14, 0); err != nil {
		t.Skipf("a full disk is played by a small one in memory, which only root may mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(folder, syscall.MNT_DETACH) })
	return folder, func(bytes int) {
		t.Helper()
		if err := mount(bytes, syscall.MS_REMOUNT); err != nil {
			t.Fatal(err)
		}
	}
}

// A run on a disk that is full again and again says so, with nothing damaged, and ends as on a large one.
func TestFullDisk_IsNamedAndTheRunGoesOnWithMoreRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("some twenty runs, each on a larger disk, take ten seconds")
	}
	want, table := reference(t)
	disk, resize := smallDisk(t)
	folder := filepath.Join(disk, "run")
	args := tiny("--out", folder, "--table", table)
	full := 0
	for room := 1 << 14; ; room = room * 3 / 2 {
		resize(room)
		var stderr bytes.Buffer
		code := Exit(Search(context.Background(), args, Streams{io.Discard, &stderr}), &stderr)
		if code == ExitDone {
			break
		}
		full++
		line := stderr.String()[strings.LastIndex(strings.TrimSpace(stderr.String()), "\n")+1:]
		if code != ExitMisuse || !strings.Contains(line, "no space left on device; make room") || !strings.Contains(line, disk) || room > 1<<28 {
			t.Fatalf("with %d bytes: code %d, %q", room, code, line)
		}
		requireWhole(t, folder)
	}
	if full < 3 {
		t.Errorf("the disk was full only %d times", full)
	}
	t.Logf("full %d times", full)
	requireSameEnd(t, folder, want)
}

// requireWhole fails unless everything that a run left in its folder can be read.
func requireWhole(t *testing.T, folder string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		switch name := entry.Name(); {
		case strings.HasSuffix(name, ".tmp"):
			t.Errorf("%s was left behind", path)
		case strings.HasSuffix(name, ".safetensors"):
			_, err = train.LoadFile(path)
		case name == train.MetricsFile:
			_, err = train.ReadLog(path)
		case name == traceFile:
			if info, statErr := entry.Info(); statErr == nil && info.Size() > 1<<10 { // else even its first line may be torn
				_, _, err = search.ReadTrace(path)
			}
		case strings.HasSuffix(name, ".json"):
			var any map[string]any
			err = readJSON(path, &any)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
