package sealed

import (
	"bytes"
	"encoding/json"
	"testing"
)

type example struct {
	Name  string    `json:"name"`
	Crc   float64   `json:"x"`
	Inner []example `json:"inner,omitempty"`
}

var ways = map[string]struct {
	seal func(any) ([]byte, error)
	open func([]byte) ([]byte, bool)
}{
	"line": {Line, func(line []byte) ([]byte, bool) { return OpenLine(bytes.TrimSuffix(line, []byte("\n"))) }},
	"file": {File, OpenFile},
}

func TestOpen_InvertsSealAndAnyJSONReaderReadsIt(t *testing.T) {
	want := example{"a}\"\n", 0.1, []example{{Name: "b"}}}
	for name, way := range ways {
		text, err := way.seal(want)
		if err != nil {
			t.Fatal(err)
		}
		body, ok := way.open(text)
		for _, read := range [][]byte{body, text} {
			var got example
			if err := json.Unmarshal(read, &got); err != nil || !ok || got.Name != want.Name || got.Crc != want.Crc || len(got.Inner) != 1 {
				t.Errorf("%s: %s gives %+v, %v, %v", name, read, got, ok, err)
			}
		}
	}
}

func TestOpen_FindsEveryFlippedBitAndEveryCut(t *testing.T) {
	for name, way := range ways {
		text, err := way.seal(example{Name: "road", Crc: 12.5})
		if err != nil {
			t.Fatal(err)
		}
		for i := range text {
			if name == "line" && i == len(text)-1 {
				continue // the line end is what lines are told apart by
			}
			for bit := range 8 {
				damaged := bytes.Clone(text)
				damaged[i] ^= 1 << bit
				if _, ok := way.open(damaged); ok {
					t.Fatalf("%s: %q was taken for %q", name, damaged, text)
				}
			}
			if _, ok := way.open(text[:i]); ok {
				t.Fatalf("%s: %q was taken for whole", name, text[:i])
			}
		}
	}
}

func FuzzOpenLine(f *testing.F) {
	line, err := Line(example{Name: "road"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(line[:len(line)-1])
	f.Add([]byte(`{"crc":"00000000"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if body, ok := OpenLine(line); ok && !bytes.HasPrefix(line, body[:len(body)-1]) {
			t.Errorf("%q opened to %q", line, body)
		}
	})
}
