package train

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/sealed"
)

// MetricsFile is the name of the metrics log in a training's folder.
const MetricsFile = "metrics.jsonl"

// Record is one line of a training's metrics log: a step, or an evaluation after a step.
type Record struct {
	Step int `json:"step"` // finished steps
	// Time is when the record was written; logs of older versions lack it.
	Time time.Time `json:"time,omitzero"`
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

// Log appends records to a training's metrics log, a file of sealed JSON lines, and to the curves that are derived from it. The log alone
// counts: the curves are made anew from it whenever it is opened. It is not safe for concurrent use.
type Log struct {
	file   *os.File
	curves *curves
}

// OpenLog opens or makes the log of a training in a folder and drops what a resumed training will write again: records after the given
// step, and a last line cut short by a kill. The folder's curves are made from what is left. classes names the classes of
// Record.ClassIoU. A log that is damaged elsewhere is misuse and stays as it was.
func OpenLog(folder string, step int, classes []string) (*Log, error) {
	path := filepath.Join(folder, MetricsFile)
	list, sizes, err := readLog(path)
	if err != nil {
		return nil, err
	}
	var size int64
	kept := 0
	for kept < len(list) && list[kept].Step <= step {
		size += int64(sizes[kept])
		kept++
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, misuse.Errorf("metrics log: %w", err)
	}
	l := &Log{file: file}
	if err = file.Truncate(size); err == nil {
		l.curves, err = openCurves(folder, classes, list[:kept])
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("metrics log: %w", err)
	}
	return l, nil
}

// Write appends a record and tells it the time. Its numbers must be finite: JSON has no NaN.
func (l *Log) Write(r Record) error {
	r.Time = time.Now().UTC().Truncate(time.Millisecond)
	line, err := sealed.Line(r)
	if err == nil {
		_, err = l.file.Write(line)
	}
	if err == nil {
		err = l.curves.write(r)
	}
	if err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return nil
}

// Sync waits until the disk has all records: a checkpoint saved afterwards is never ahead of the log.
func (l *Log) Sync() error {
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("metrics log: %w", err)
	}
	return nil
}

// Close closes the files.
func (l *Log) Close() error { return errors.Join(l.file.Close(), l.curves.close()) }

// ReadLog returns a log's records; none when there is no file. A last line without its end, left by a kill or being written, is left out;
// other damage is misuse that names the line.
func ReadLog(path string) ([]Record, error) {
	list, _, err := readLog(path)
	return list, err
}

// readLog is ReadLog with the records' sizes in bytes.
func readLog(path string) (list []Record, sizes []int, err error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, misuse.Errorf("metrics log: %w", err)
	}
	return parseLog(path, content)
}

func parseLog(path string, content []byte) (list []Record, sizes []int, err error) {
	for line := range bytes.Lines(content) {
		text, whole := bytes.CutSuffix(line, []byte("\n"))
		if !whole {
			break
		}
		r, err := parseRecord(text)
		if err == nil && len(list) > 0 && r.Step < list[len(list)-1].Step {
			err = fmt.Errorf("step %d follows step %d", r.Step, list[len(list)-1].Step)
		}
		if err != nil {
			return nil, nil, misuse.Errorf("%s: line %d is damaged (%w); restore the file, or remove it to go on without its curves", path, len(list)+1, err)
		}
		list, sizes = append(list, r), append(sizes, len(line))
	}
	return list, sizes, nil
}

// parseRecord reads a line. Older versions did not seal it: then it must hold known fields alone, so that a damaged seal is no old line.
func parseRecord(text []byte) (r Record, err error) {
	if body, ok := sealed.OpenLine(text); ok {
		return r, json.Unmarshal(body, &r)
	}
	if sealed.Claims(text) {
		return r, errors.New("its checksum does not hold")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err = d.Decode(&r); err == nil && d.More() {
		err = errors.New("more than one record")
	}
	return r, err
}
