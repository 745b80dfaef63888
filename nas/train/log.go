package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
)

// Record is one line of a training's metrics log: a step, or an evaluation after a step.
type Record struct {
	Step int `json:"step"` // finished steps
	// Of a step:
	Loss              float64 `json:"loss,omitempty"`
	LR                float64 `json:"learning_rate,omitempty"`
	PicturesPerSecond float64 `json:"pictures_per_second,omitempty"` // whole step, data included
	// Of an evaluation: the mean IoU, from 0 to 1, and that of each class, nil where it occurs neither in truth nor in prediction.
	MIoU     *float64   `json:"miou,omitempty"`
	ClassIoU []*float64 `json:"class_iou,omitempty"`
	// Random holds the mean IoU of sub-networks drawn at random, in a supernet's training; they are the same ones every time.
	Random []float64 `json:"random_miou,omitempty"`
}

// Log appends records to a JSON-lines file. It is not safe for concurrent use.
type Log struct{ file *os.File }

// OpenLog opens or makes the log at path and drops what a resumed training will write again: records after the given step, and
// a last line cut short by a kill.
func OpenLog(path string, step int) (*Log, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	if err := cut(file, step); err != nil {
		file.Close()
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	return &Log{file}, nil
}

// cut shortens a log to its lines of at most the given step, which come first, and leaves the file at its end.
func cut(file *os.File, step int) error {
	content, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	var size int64
	for r, line := range records(content) {
		if r.Step > step {
			break
		}
		size += int64(len(line))
	}
	if err := file.Truncate(size); err != nil {
		return err
	}
	_, err = file.Seek(size, io.SeekStart)
	return err
}

// records yields a log's records with their lines, up to one that is not whole.
func records(content []byte) iter.Seq2[Record, []byte] {
	return func(yield func(Record, []byte) bool) {
		for line := range bytes.Lines(content) {
			var r Record
			if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &r) != nil || !yield(r, line) {
				return
			}
		}
	}
}

// Write appends a record. Its numbers must be finite: JSON has no NaN.
func (l *Log) Write(r Record) error {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return nil
}

// Close closes the file.
func (l *Log) Close() error { return l.file.Close() }

// ReadLog returns a log's records; none when there is no file. It stops at a line that is not whole.
func ReadLog(path string) ([]Record, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	var list []Record
	for r := range records(content) {
		list = append(list, r)
	}
	return list, nil
}
