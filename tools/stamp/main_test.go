package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStampHeader_IsCurrent(t *testing.T) {
	if err := run("../..", true); err != nil {
		t.Error(err)
	}
}

func TestStampHeader_FollowsTheInterface(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"csrc/include/segnas", "gobind"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, "csrc/include/segnas", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("segnas.h", "a")
	if run(root, false) == nil {
		t.Error("no error without backend.h")
	}
	write("backend.h", "b")
	if run(root, true) == nil {
		t.Error("a missing stamp.h is current")
	}
	if err := run(root, false); err != nil {
		t.Fatal(err)
	}
	if err := run(root, true); err != nil {
		t.Error(err)
	}
	write("backend.h", "c")
	if run(root, true) == nil {
		t.Error("the stamp of another interface is current")
	}
}
