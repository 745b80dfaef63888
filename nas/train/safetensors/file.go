package safetensors

import (
	"errors"
	"io/fs"
	"os"

	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/misuse"
)

// ReadFile reads the container at path. A missing or damaged file is misuse that names it.
func ReadFile(path string) (File, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return File{}, misuse.Errorf("%s: there is no such checkpoint: %w", path, fs.ErrNotExist)
		}
		return File{}, misuse.Errorf("%w", err)
	}
	f, err := Unmarshal(bytes)
	if err != nil {
		return File{}, misuse.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// WriteFile replaces path by the container at once: whatever happens meanwhile, a reader finds the old file or the new one.
// With previous not empty, the file that path held before is kept under that name; path itself is never missing in between.
func WriteFile(path, previous string, f File) error {
	bytes, err := Marshal(f)
	if err != nil {
		return err
	}
	return durable.ReplaceAfter(path, bytes, func(string) error {
		if previous == "" {
			return nil
		}
		return keep(path, previous)
	})
}

// keep makes previous another name of path's file. A second hard link, renamed over the last previous one, leaves path in place.
func keep(path, previous string) error {
	temp := previous + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	err := os.Link(path, temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil { // a file system without hard links: for a moment only previous exists, which readers fall back to
		temp = path
	}
	return os.Rename(temp, previous)
}
