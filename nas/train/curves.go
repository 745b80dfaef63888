package train

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/segnas/segnas/nas/train/events"
)

// CurvesFile is the metrics log as a table for spreadsheets, in a training's folder: RFC 4180, a header, a row a record.
const CurvesFile = "metrics.csv"

// curves are the metrics log in forms that other programs plot: a table, and TensorBoard's events.
type curves struct {
	classes []string
	table   *os.File
	events  *events.Writer
}

// openCurves makes the folder's curves from a log's records and leaves them open for more.
func openCurves(folder string, classes []string, list []Record) (c *curves, err error) {
	c = &curves{classes: classes}
	all := make([]events.Event, len(list))
	for i, r := range list {
		all[i] = c.event(r)
	}
	if c.events, err = events.Replace(folder, all); err != nil {
		return nil, err
	}
	if c.table, err = c.replaceTable(filepath.Join(folder, CurvesFile), list); err != nil {
		c.events.Close()
		return nil, err
	}
	return c, nil
}

// replaceTable writes a new table under another name and gives it its own once it is whole.
func (c *curves) replaceTable(path string, list []Record) (*os.File, error) {
	temp := path + ".tmp"
	file, err := os.Create(temp)
	if err != nil {
		return nil, err
	}
	buffer := bufio.NewWriter(file)
	w := csv.NewWriter(buffer)
	w.UseCRLF = true
	w.Write(c.header())
	for _, r := range list {
		w.Write(c.row(r))
	}
	w.Flush()
	if err = errors.Join(w.Error(), buffer.Flush()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		file.Close()
		os.Remove(temp)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return file, nil
}

// write appends a record to both.
func (c *curves) write(r Record) error {
	w := csv.NewWriter(c.table)
	w.UseCRLF = true
	w.Write(c.row(r))
	w.Flush()
	return errors.Join(w.Error(), c.events.Write(c.event(r)))
}

func (c *curves) close() error { return errors.Join(c.table.Close(), c.events.Close()) }

func (c *curves) header() []string {
	head := []string{"step", "time", "loss", "learning_rate", "pictures_per_second", "miou", "random_miou_mean", "random_miou_min", "random_miou_max"}
	for _, name := range c.classes {
		head = append(head, "iou "+name)
	}
	return head
}

// row returns a record's cells; what it does not have is empty.
func (c *curves) row(r Record) []string {
	row := make([]string, 2, 9+len(c.classes))
	row[0] = strconv.Itoa(r.Step)
	if !r.Time.IsZero() {
		row[1] = r.Time.Format(time.RFC3339Nano)
	}
	number := func(v float64) { row = append(row, strconv.FormatFloat(v, 'g', -1, 64)) }
	if r.MIoU == nil {
		number(r.Loss)
		number(r.LR)
		number(r.PicturesPerSecond)
		row = append(row, "")
	} else {
		row = append(row, "", "", "")
		number(*r.MIoU)
	}
	if len(r.Random) > 0 {
		number(mean(r.Random))
		number(slices.Min(r.Random))
		number(slices.Max(r.Random))
	} else {
		row = append(row, "", "", "")
	}
	for i := range c.classes {
		if i < len(r.ClassIoU) && r.ClassIoU[i] != nil {
			number(*r.ClassIoU[i])
		} else {
			row = append(row, "")
		}
	}
	return row
}

// event returns a record's scalars.
func (c *curves) event(r Record) events.Event {
	e := events.Event{Step: r.Step, Time: r.Time}
	add := func(tag string, v float64) { e.Scalars = append(e.Scalars, events.Scalar{Tag: tag, Value: v}) }
	if r.MIoU == nil {
		add("training/loss", r.Loss)
		add("training/learning_rate", r.LR)
		add("training/pictures_per_second", r.PicturesPerSecond)
	} else {
		add("evaluation/miou", *r.MIoU)
	}
	for i, iou := range r.ClassIoU {
		if iou != nil && i < len(c.classes) {
			add("class_iou/"+c.classes[i], *iou)
		}
	}
	if len(r.Random) > 0 {
		add("random_miou/mean", mean(r.Random))
		add("random_miou/min", slices.Min(r.Random))
		add("random_miou/max", slices.Max(r.Random))
	}
	return e
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}
