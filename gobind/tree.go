package gobind

import (
	"os"
	"path/filepath"
	"runtime"
)

// sourceTree returns the folder that this program was built from, where it is at hand; else "". A program built with -trimpath, or moved
// to another machine, has none.
func sourceTree() string {
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		return ""
	}
	tree := filepath.Dir(filepath.Dir(file))
	if _, err := os.Stat(filepath.Join(tree, "csrc", "include", "segnas", "segnas.h")); err != nil {
		return ""
	}
	return tree
}

// pluginDir is where the library looks for plug-ins first. It knows what lies beside the program, but under go run that is Go's cache:
// where nothing else is said, the source tree's build folder is looked into, so that make cuda is all there is to do.
func pluginDir(given string) string {
	if given != "" || os.Getenv("SEGNAS_PLUGIN_DIR") != "" {
		return given
	}
	if program, err := os.Executable(); err == nil {
		if beside, _ := filepath.Glob(filepath.Join(filepath.Dir(program), "libsegnas_*.so")); len(beside) > 0 {
			return ""
		}
	}
	tree := sourceTree()
	if tree == "" {
		return ""
	}
	return filepath.Join(tree, "build", "lib")
}
