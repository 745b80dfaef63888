//go:build !segnas_system

package gobind

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/csrc"
)

func TestCheckStamp_NoticesAnEdit(t *testing.T) {
	dir := t.TempDir()
	if err := checkTree(dir); err != nil {
		t.Errorf("without a source tree: %v", err)
	}
	if err := os.CopyFS(dir, csrc.Sources); err != nil {
		t.Fatal(err)
	}
	if err := checkTree(dir); err != nil {
		t.Error(err)
	}
	edited := filepath.Join(dir, "core", "view.cc")
	if err := os.WriteFile(edited, []byte("// edited\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := checkTree(dir); err == nil || !strings.Contains(err.Error(), "core/view.cc") || !strings.Contains(err.Error(), "build it again") {
		t.Errorf("after an edit: %v", err)
	}
}

// TestUnity_CompilesEverySource holds the C++ files here to the tree: each C++ file of the library is included by exactly one.
func TestUnity_CompilesEverySource(t *testing.T) {
	included := map[string]int{}
	files, err := filepath.Glob("*.cc")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), `#include "../csrc/`); ok {
				included[strings.TrimSuffix(path, `"`)]++
			}
		}
	}
	for _, pattern := range []string{"core/*.cc", "isa/*.cc", "model/*.cc", "ops/*/*.cc", "train/*.cc"} {
		sources, err := filepath.Glob("../csrc/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range sources {
			path := strings.TrimPrefix(filepath.ToSlash(source), "../csrc/")
			if included[path] != 1 {
				t.Errorf("%s is included %d times, want 1", path, included[path])
			}
			delete(included, path)
		}
	}
	for path := range included {
		t.Errorf("%s is included but not there", path)
	}
}
