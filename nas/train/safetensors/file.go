package safetensors

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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
	temp := path + ".tmp"
	if err := writeSynced(temp, bytes); err != nil {
		return err
	}
	if previous != "" {
		if err := keep(path, previous); err != nil {
			return err
		}
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return syncFolder(filepath.Dir(path))
}

func writeSynced(path string, bytes []byte) error {
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	_, err = file.Write(bytes)
	if err == nil {
		err = file.Sync()
	}
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// keep makes previous another name of path's file. A second hard link, renamed over the last previous one, leaves path in place.
func keep(path, previous string) error {
	temp := previous + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("checkpoint: %w", err)
	}
	err := os.Link(path, temp)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil { // a file system without hard links: for a moment only previous exists, which readers fall back to
		temp = path
	}
	if err := os.Rename(temp, previous); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
