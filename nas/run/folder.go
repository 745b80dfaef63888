package run

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/sealed"
)

// The files of a run folder. Each training has a folder of its own in it, with its checkpoints and metrics.
const (
	configFile   = "config.json"
	tableFile    = "table.jsonl"
	traceFile    = "trace.jsonl"
	resultFile   = "result.json"
	winnerText   = "winner.txt"
	winnerJSON   = "winner.json"
	winnerModel  = "winner.safetensors"
	reportFile   = "report.html"
	lockFile     = "lock"
	measuredFile = "measured.json"
	timesFile    = "times.json"
)

// folder is a run folder that this process alone uses.
type folder struct {
	path string
	lock *os.File
}

// errInUse is of a folder that another process works in.
var errInUse = errors.New("is in use by another process")

// openFolder makes the folder where needed and locks it; the lock ends with the process, however that ends.
func openFolder(path string) (*folder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, misuse.Errorf("run folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, misuse.Errorf("run folder: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, misuse.Errorf("%s %w; wait for it, or give another folder with --out", path, errInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &folder{path, lock}, nil
}

func (f *folder) close() error { return f.lock.Close() }

// file returns the path of a file in the folder.
func (f *folder) file(name ...string) string {
	return filepath.Join(append([]string{f.path}, name...)...)
}

// has reports whether the folder holds the file.
func (f *folder) has(name ...string) bool {
	_, err := os.Stat(f.file(name...))
	return err == nil
}

// sub makes a folder inside and returns its path.
func (f *folder) sub(name string) (string, error) {
	path := f.file(name)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", fmt.Errorf("run folder: %w", err)
	}
	return path, nil
}

// readJSON reads a file written by writeJSON. A file that is not there is fs.ErrNotExist, one that is no such JSON, or a damaged one, is misuse.
func readJSON(path string, v any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil {
		err = openJSON(text, v)
	}
	if err != nil {
		return misuse.Errorf("%s: %w; remove it to make it anew", path, err)
	}
	return nil
}

// openJSON reads a sealed file. Older versions did not seal files: then one must hold known fields alone, so that a damaged seal is no old file.
func openJSON(text []byte, v any) error {
	if body, ok := sealed.OpenFile(text); ok {
		return json.Unmarshal(body, v)
	}
	if sealed.Claims(text) {
		return errors.New("the file is damaged: its checksum does not hold")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil && len(bytes.TrimSpace(text[d.InputOffset():])) > 0 {
		err = errors.New("more follows its JSON")
	}
	if err != nil {
		return fmt.Errorf("the file is damaged or of another version (%w)", err)
	}
	return nil
}

// writeJSON replaces a file by v as sealed JSON, at once and durably.
func writeJSON(path string, v any) error {
	text, err := jsonText(v)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return durable.Replace(path, text)
}

// jsonText is what writeJSON writes.
func jsonText(v any) ([]byte, error) { return sealed.File(v) }

// finished reads what a finished stage left behind; false when it is not finished.
func finished(path string, v any) (bool, error) {
	err := readJSON(path, v)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// fingerprint names the contents of a file and a configuration, shortly.
func fingerprint(path, config string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", fmt.Errorf("fingerprint: %w", err)
	}
	return config + "-" + hex.EncodeToString(h.Sum(nil)[:8]), nil
}
