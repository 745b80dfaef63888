//go:build !segnas_system

package gobind

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/segnas/segnas/csrc"
)

// Stamp names the C++ sources that this program was built from: the first 12 hex digits of a SHA-256 over their paths and contents.
func Stamp() string { return stamp() }

var stamp = sync.OnceValue(func() string {
	hash := sha256.New()
	eachSource(func(path string, content []byte) error {
		fmt.Fprintf(hash, "%s %d\n", path, len(content))
		hash.Write(content)
		return nil
	})
	return hex.EncodeToString(hash.Sum(nil))[:12]
})

// CheckStamp returns an error when the program's source tree is at hand and its C++ sources are not those that the program was built
// from, as after a git pull without a new go build. Without the tree there is nothing to check.
func CheckStamp() error {
	tree := sourceTree()
	if tree == "" {
		return nil
	}
	return checkTree(filepath.Join(tree, "csrc"))
}

func checkTree(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "include", "segnas", "segnas.h")); err != nil {
		return nil
	}
	return eachSource(func(path string, content []byte) error {
		now, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err == nil && bytes.Equal(now, content) {
			return nil
		}
		return fmt.Errorf("this program was built from another %s than %s holds now: build it again", path, dir)
	})
}

// eachSource visits the embedded sources in the order of their paths, until visit fails.
func eachSource(visit func(path string, content []byte) error) error {
	return fs.WalkDir(csrc.Sources, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := csrc.Sources.ReadFile(path)
		if err != nil {
			return err
		}
		return visit(path, content)
	})
}
