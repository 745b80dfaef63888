package csrc

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// TestSources_HoldEverySource would notice a folder or a kind of file that the patterns miss, whose edits Go would then not see.
func TestSources_HoldEverySource(t *testing.T) {
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() {
			if path == "test" {
				return fs.SkipDir
			}
			return nil
		}
		inside := strings.ContainsRune(filepath.ToSlash(path), '/')
		forTests := name == "ref.h" || name == "cases.inc"
		source := strings.HasSuffix(name, ".cc") || strings.HasSuffix(name, ".h") || strings.HasSuffix(name, ".inc")
		_, missing := fs.Stat(Sources, filepath.ToSlash(path))
		if want := inside && source && !forTests; want != (missing == nil) {
			t.Errorf("%s is embedded: %v, want %v", path, missing == nil, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
