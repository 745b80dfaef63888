package search

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// accuraciesName is the format of a file of scores: JSON lines, a header and then an Accuracy a line, each with its checksum as in a trace.
const accuraciesName = "segnas accuracies 1"

type accuraciesHeader struct {
	Accuracies string `json:"accuracies"` // the format's name and version
}

// Accuracy is a score, and what it depends on beside the network.
type Accuracy struct {
	// Fingerprint names the weights and the pictures, never the device that networks are searched for.
	Fingerprint string `json:"fingerprint"`
	// Arithmetic is what decides a score's last bits, such as an instruction set.
	Arithmetic string     `json:"arithmetic"`
	Arch       space.Arch `json:"arch"`
	Score
	Seconds float64 `json:"seconds"` // that the evaluation took
}

func (a Accuracy) validate() error {
	if a.Fingerprint == "" || a.Arithmetic == "" {
		return errors.New("a fingerprint and an arithmetic are needed")
	}
	if !(a.MIoU >= 0 && a.MIoU <= 1) {
		return fmt.Errorf("an mIoU of %v; it is a share", a.MIoU)
	}
	return a.Arch.Validate()
}

// Accuracies is a file of scores that outlives a search: one for another device, or with other limits, finds them there. Several searches,
// in several processes, may share it at the same time. It is not synced line by line: what a power failure loses is evaluated again.
type Accuracies struct {
	path  string
	file  *os.File
	known map[scored][]Accuracy // by rising line, one for each arithmetic
}

type scored struct {
	fingerprint string
	arch        space.Arch
}

// OpenAccuracies opens or creates a file of scores. A last line that a killed process left unfinished is cut off; a damaged one is left out,
// and a notice names it. A file of something else is misuse and stays untouched.
func OpenAccuracies(path string) (c *Accuracies, notices []string, err error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, misuse.Errorf("accuracies: %w", err)
	}
	c = &Accuracies{path: path, file: file, known: map[scored][]Accuracy{}}
	if err = c.locked(func() error { notices, err = c.read(); return err }); err != nil {
		file.Close()
		return nil, nil, err
	}
	return c, notices, nil
}

// Close syncs and closes the file.
func (c *Accuracies) Close() error { return errors.Join(c.file.Sync(), c.file.Close()) }

// Path returns the file's name.
func (c *Accuracies) Path() string { return c.path }

// locked has the file to itself while do runs. The lock ends with the process, however that ends.
func (c *Accuracies) locked(do func() error) error {
	if err := syscall.Flock(int(c.file.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", c.path, err)
	}
	defer syscall.Flock(int(c.file.Fd()), syscall.LOCK_UN)
	return do()
}

func (c *Accuracies) read() (notices []string, err error) {
	first, err := sign(accuraciesHeader{accuraciesName})
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(c.file)
	if err != nil {
		return nil, misuse.Errorf("accuracies: %w", err)
	}
	if len(text) < len(first) && bytes.HasPrefix(first, text) { // new, or killed in its first line
		if err = c.file.Truncate(0); err == nil {
			_, err = c.file.Write(first)
		}
		return nil, err
	}
	lines, size, notices, err := parseAccuracies(c.path, text)
	if err != nil {
		return nil, err
	}
	for _, line := range lines {
		c.keep(line)
	}
	return notices, c.file.Truncate(int64(size))
}

// parseAccuracies returns what complete lines hold, how many bytes they take, and which are damaged.
func parseAccuracies(path string, text []byte) (lines []Accuracy, size int, notices []string, err error) {
	for number := 1; ; number++ {
		line, _, complete := bytes.Cut(text[size:], []byte("\n"))
		if !complete && number > 1 {
			return lines, size, notices, nil
		}
		body, ok := unsign(line)
		var h accuraciesHeader
		var a Accuracy
		switch {
		case number == 1 && (!complete || !ok || decode(body, &h) != nil || h.Accuracies != accuraciesName):
			return nil, 0, nil, misuse.Errorf("%s: line 1 is not the start of %q; give another file with --accuracies", path, accuraciesName)
		case number == 1:
		case !ok:
			notices = append(notices, fmt.Sprintf("%s: line %d is damaged, its checksum does not fit; it is left out, and its network is evaluated again", path, number))
		default:
			if err = decode(body, &a); err == nil {
				err = a.validate()
			}
			if err != nil {
				return nil, 0, nil, misuse.Errorf("%s: line %d is not a score: %w", path, number, err)
			}
			lines = append(lines, a)
		}
		size += len(line) + 1
	}
}

// keep takes up a score unless there is one of the same arithmetic already.
func (c *Accuracies) keep(a Accuracy) bool {
	key := scored{a.Fingerprint, a.Arch}
	for _, known := range c.known[key] {
		if known.Arithmetic == a.Arithmetic {
			return false
		}
	}
	c.known[key] = append(c.known[key], a)
	return true
}

// Find returns the score of a network under the arithmetic; failing that, and if any will do, the first one under another.
func (c *Accuracies) Find(fingerprint, arithmetic string, a space.Arch, any bool) (Accuracy, bool) {
	list := c.known[scored{fingerprint, a}]
	for _, known := range list {
		if known.Arithmetic == arithmetic {
			return known, true
		}
	}
	if any && len(list) > 0 {
		return list[0], true
	}
	return Accuracy{}, false
}

// Of returns the scores of a fingerprint, one a network, those under the arithmetic before others, in the order of the networks' texts.
func (c *Accuracies) Of(fingerprint, arithmetic string) []Accuracy {
	var list []Accuracy
	for key := range c.known {
		if key.fingerprint == fingerprint {
			a, _ := c.Find(fingerprint, arithmetic, key.arch, true)
			list = append(list, a)
		}
	}
	slices.SortFunc(list, func(a, b Accuracy) int { return strings.Compare(a.Arch.String(), b.Arch.String()) })
	return list
}

// Add appends a score, unless it is known.
func (c *Accuracies) Add(a Accuracy) error {
	if err := a.validate(); err != nil {
		return fmt.Errorf("%s: %w", c.path, err)
	}
	if !c.keep(a) {
		return nil
	}
	line, err := sign(a)
	if err != nil {
		return err
	}
	return c.locked(func() error {
		// Another process may have been killed in the middle of a line: it must not swallow this one.
		size, err := c.file.Seek(0, io.SeekEnd)
		if err != nil {
			return fmt.Errorf("%s: %w", c.path, err)
		}
		last := []byte{'\n'}
		if size > 0 {
			if _, err := c.file.ReadAt(last, size-1); err != nil {
				return fmt.Errorf("%s: %w", c.path, err)
			}
		}
		if last[0] != '\n' {
			line = append([]byte{'\n'}, line...)
		}
		if _, err := c.file.Write(line); err != nil {
			return fmt.Errorf("%s: %w", c.path, err)
		}
		return nil
	})
}

// Cached is an Evaluator that asks a file of scores first, and adds to it what it evaluates.
type Cached struct {
	Evaluator
	Accuracies  *Accuracies
	Fingerprint string
	Arithmetic  string
	// Any takes scores of another arithmetic too, which differ in the last bits: accuracies are the supernet's, whatever the device.
	Any bool

	Evaluated int // networks that were not in the file
	Found     int // networks that were
	Foreign   int // of Found, those of another arithmetic
}

// Evaluate implements Evaluator.
func (c *Cached) Evaluate(ctx context.Context, a space.Arch) (Score, error) {
	if known, found := c.Accuracies.Find(c.Fingerprint, c.Arithmetic, a, c.Any); found {
		c.Found++
		if known.Arithmetic != c.Arithmetic {
			c.Foreign++
		}
		return known.Score, nil
	}
	start := time.Now()
	score, err := c.Evaluator.Evaluate(ctx, a)
	if err != nil {
		return score, err
	}
	c.Evaluated++
	return score, c.Accuracies.Add(Accuracy{
		Fingerprint: c.Fingerprint, Arithmetic: c.Arithmetic, Arch: a, Score: score, Seconds: time.Since(start).Seconds(),
	})
}
