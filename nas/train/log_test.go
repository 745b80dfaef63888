package train

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func TestOpenLog_DropsWhatResumeWritesAgain(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, MetricsFile)
	write := func(after int, steps ...int) {
		t.Helper()
		log, err := OpenLog(folder, after, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range steps {
			if err := log.Write(Record{Step: s, Loss: float64(after)}); err != nil {
				t.Fatal(err)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	write(0, 1, 2, 3, 4)
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	file.WriteString(`{"step":5,"lo`) // a kill's trace
	file.Close()
	write(2, 3, 4, 5)
	records, err := ReadLog(path)
	if err != nil || len(records) != 5 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i, r := range records {
		if r.Step != i+1 || (r.Loss == 2) != (r.Step > 2) {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	log, err := OpenLog(folder, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if log.Write(Record{Loss: math.NaN()}) == nil {
		t.Error("NaN was logged")
	}
}

// exampleRecords are a step and an evaluation with all that records can hold.
func exampleRecords() []Record {
	iou := []float64{0.5, 0.25}
	return []Record{
		{Step: 1, Loss: 2.5, LR: 0.1, PicturesPerSecond: 12},
		{Step: 1, MIoU: &iou[0], ClassIoU: []*float64{&iou[1], nil}, Random: []float64{0.2, 0.4, 0.9}},
	}
}

// writeLog makes a log of records in a folder.
func writeLog(t *testing.T, folder string, list ...Record) {
	t.Helper()
	log, err := OpenLog(folder, 0, []string{"road", "side, \"walk\""})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range list {
		if err := log.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestReadLog_NamesTheDamagedLineAndLeavesTheFileAlone(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, MetricsFile)
	writeLog(t, folder, exampleRecords()...)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		damaged := bytes.Clone(whole)
		damaged[i] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := ReadLog(path)
		if i == len(whole)-1 { // without its end, the last line counts as being written
			if err != nil || len(list) != 1 {
				t.Errorf("last line end flipped: %d records, %v", len(list), err)
			}
			continue
		}
		line := 1 + bytes.Count(whole[:i], []byte("\n"))
		if want := fmt.Sprintf("%s: line %d is damaged", path, line); !misuse.Is(err) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Fatalf("byte %d flipped: %v", i, err)
		}
		if _, err := OpenLog(folder, 0, nil); !misuse.Is(err) {
			t.Fatalf("byte %d flipped, the log was opened: %v", i, err)
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, damaged) {
			t.Fatalf("byte %d flipped, and the log was changed", i)
		}
	}
}

func TestReadLog_ReadsWhatOlderVersionsWrote(t *testing.T) {
	path := filepath.Join(t.TempDir(), MetricsFile)
	old := `{"step":1,"loss":2.5,"learning_rate":0.1,"pictures_per_second":12}` + "\n" + `{"step":1,"miou":0.5}` + "\n"
	if err := os.WriteFile(path, []byte(old), 0o600); err != nil {
		t.Fatal(err)
	}
	list, err := ReadLog(path)
	if err != nil || len(list) != 2 || list[0].Loss != 2.5 || list[1].MIoU == nil || !list[0].Time.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestLog_TableHasARowARecordAndAColumnAClass(t *testing.T) {
	folder := t.TempDir()
	writeLog(t, folder, exampleRecords()...)
	requireCurvesOfLog(t, folder)
	text, err := os.ReadFile(filepath.Join(folder, CurvesFile))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 3 || bytes.Count(text, []byte("\r\n")) != 3 {
		t.Fatalf("%q, %v", rows, err)
	}
	for i, want := range [][]string{
		{"step", "time", "loss", "learning_rate", "pictures_per_second", "miou", "random_miou_mean", "random_miou_min", "random_miou_max", "iou road", `iou side, "walk"`},
		{"1", rows[1][1], "2.5", "0.1", "12", "", "", "", "", "", ""},
		{"1", rows[2][1], "", "", "", "0.5", "0.5", "0.2", "0.9", "0.25", ""},
	} {
		if !slices.Equal(rows[i], want) {
			t.Errorf("row %d is %q, should be %q", i, rows[i], want)
		}
	}
}

// requireCurvesOfLog fails unless the folder's table has as many rows as the log has records, with the same steps, and there is one event file.
func requireCurvesOfLog(t *testing.T, folder string) {
	t.Helper()
	list, err := ReadLog(filepath.Join(folder, MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(folder, CurvesFile))
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil || len(rows) != 1+len(list) {
		t.Fatalf("%d rows for %d records, %v", len(rows), len(list), err)
	}
	for i, r := range list {
		if rows[i+1][0] != fmt.Sprint(r.Step) {
			t.Errorf("row %d is of step %s, the record of %d", i+1, rows[i+1][0], r.Step)
		}
	}
	files, err := filepath.Glob(filepath.Join(folder, "events.out.tfevents.*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("event files %v, %v", files, err)
	}
	event, err := os.ReadFile(files[0])
	if err != nil || bytes.Count(event, []byte("training/loss"))+bytes.Count(event, []byte("evaluation/miou")) != len(list) {
		t.Errorf("%s does not hold the log's %d records, %v", files[0], len(list), err)
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add([]byte(`{"step":1,"miou":0.5}` + "\n"))
	f.Add([]byte(`{"step":2,"loss":1,"crc":"00000000"}` + "\n{\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		list, sizes, err := parseLog("log", content)
		if err != nil && !misuse.Is(err) {
			t.Fatalf("not misuse: %v", err)
		}
		total := 0
		for _, n := range sizes {
			total += n
		}
		if len(list) != len(sizes) || total > len(content) {
			t.Fatalf("%d records of %d bytes in %d", len(list), total, len(content))
		}
	})
}
