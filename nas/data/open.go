package data

import (
	"os"
	"path/filepath"

	"github.com/segnas/segnas/nas/misuse"
)

// Open reads the dataset in a folder, whichever of the layouts known here it has.
func Open(dir string) (Splits, error) {
	if !isDir(dir) {
		return Splits{}, misuse.Errorf("%s: no such folder", dir)
	}
	has := func(name string) bool {
		_, err := os.Stat(filepath.Join(dir, name))
		return err == nil
	}
	switch {
	case has(classFile):
		return Folder(dir)
	case has("train.txt") && has("trainannot"):
		return CamVid(dir)
	}
	return Splits{}, misuse.Errorf("%s: no dataset here: neither %s with %s and %s (pictures of your own) nor train.txt with trainannot (CamVid)",
		dir, classFile, imageDir, labelDir)
}
