// Package durable replaces files at once: whatever happens meanwhile, a kill, a full disk or a power failure, a reader finds the old
// content or the new one, whole.
package durable

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// tempSuffix ends the name under which a file is written. A kill may leave one behind; the next writing takes its place.
const tempSuffix = ".tmp"

// Replace makes content that of the file at path. Errors name the path; after one, the file is as it was.
func Replace(path string, content []byte) error { return ReplaceAfter(path, content, nil) }

// ReplaceAfter is Replace that calls between, unless nil, once the content is safely on the disk under the name temp and before it takes its
// own: what between does is not done in vain. Its error ends the replacing.
func ReplaceAfter(path string, content []byte, between func(temp string) error) error {
	temp := path + tempSuffix
	err := writeSynced(temp, content)
	if err == nil && between != nil {
		err = between(temp)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil {
		err = syncFolder(filepath.Dir(path))
	} else {
		os.Remove(temp) // not worth its place on what may be a full disk
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func writeSynced(path string, content []byte) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// syncFolder makes a renaming outlast a power failure.
func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
