package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// onlyFile fails unless the folder holds the file alone.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	if files, err := os.ReadDir(filepath.Dir(path)); err != nil || len(files) != 1 {
		t.Errorf("the folder holds %v, %v", files, err)
	}
}

func TestReplace_LeavesTheNewContentAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	for _, content := range []string{"one", "", "three"} {
		if err := Replace(path, []byte(content)); err != nil || read(t, path) != content {
			t.Errorf("%q: %v", content, err)
		}
	}
	onlyFile(t, path)
}

// A device that is always full stands for a full disk.
func TestReplace_OnAFullDiskLeavesTheOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := Replace(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/full", path+tempSuffix); err != nil {
		t.Fatal(err)
	}
	err := Replace(path, []byte("new"))
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) || strings.Contains(err.Error(), "\n") || read(t, path) != "old" {
		t.Errorf("%v; the file holds %q", err, read(t, path))
	}
	onlyFile(t, path)
}

func TestReplaceAfter_StopsWhereWhatComesBetweenFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	if err := Replace(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	wanted := errors.New("no")
	err := ReplaceAfter(path, []byte("new"), func(temp string) error {
		if read(t, path) != "old" || read(t, temp) != "new" {
			t.Error("between, the old content and the new one should be there")
		}
		return wanted
	})
	if !errors.Is(err, wanted) || read(t, path) != "old" {
		t.Errorf("%v; the file holds %q", err, read(t, path))
	}
	onlyFile(t, path)
	if err := Replace(filepath.Join(path, "b"), nil); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("a file as folder: %v", err)
	}
}
