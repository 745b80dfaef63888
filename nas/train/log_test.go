package train

import (
	"math"
	"os"
	"path/filepath"
	"testing"
)

func TestOpenLog_DropsWhatResumeWritesAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	write := func(after int, steps ...int) {
		t.Helper()
		log, err := OpenLog(path, after)
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
	log, err := OpenLog(path, 5)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if log.Write(Record{Loss: math.NaN()}) == nil {
		t.Error("NaN was logged")
	}
}
