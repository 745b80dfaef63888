package search

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"strconv"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// The trace is a text file of JSON lines: a Header, then one Evaluation per line as they were made. Each line ends in a field
// "crc", the CRC-32 (IEEE) of the same object without that field, in eight hex digits.
const traceName = "segnas search trace 1"

// Header is the first line of a trace: all that shaped the search.
type Header struct {
	Trace  string        `json:"trace"` // the format's name and version
	Config Config        `json:"config"`
	Space  space.Space   `json:"space"`
	Limits []LimitRecord `json:"limits"`
}

// LimitRecord is the part of a Limit that a trace can hold.
type LimitRecord struct {
	Name string  `json:"name"`
	Unit string  `json:"unit"`
	Max  float64 `json:"max"`
}

func newHeader(cfg Config, sp space.Space, limits []Limit) Header {
	h := Header{Trace: traceName, Config: cfg, Space: sp, Limits: []LimitRecord{}}
	for _, l := range limits {
		h.Limits = append(h.Limits, LimitRecord{l.Name, l.Unit, l.Max})
	}
	return h
}

// ReadTrace reads a trace, also one that is still being written: a last line without its end is left out. Damage is a misuse
// error that names the file and the line.
func ReadTrace(path string) (Header, []Evaluation, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Header{}, nil, misuse.Errorf("search trace: %w", err)
	}
	h, evaluations, _, err := parseTrace(path, data)
	if err == nil && h == nil {
		err = misuse.Errorf("%s: holds no complete line; a search trace starts with its settings", path)
	}
	if err != nil {
		return Header{}, nil, err
	}
	return *h, evaluations, nil
}

// parseTrace returns what complete lines hold, and how many bytes they take. The header is nil without a complete line.
func parseTrace(path string, data []byte) (h *Header, evaluations []Evaluation, size int, err error) {
	for number := 1; ; number++ {
		line, _, complete := bytes.Cut(data[size:], []byte("\n"))
		if !complete {
			return h, evaluations, size, nil
		}
		body, ok := unsign(line)
		if !ok {
			return nil, nil, 0, misuse.Errorf("%s: line %d is damaged: its checksum does not fit; remove the file to search afresh", path, number)
		}
		if number == 1 {
			h = &Header{}
			if err := decode(body, h); err != nil || h.Trace != traceName {
				return nil, nil, 0, misuse.Errorf("%s: line 1 is not the start of a %q", path, traceName)
			}
		} else {
			var e Evaluation
			err := decode(body, &e)
			if err == nil {
				err = e.Arch.Validate()
			}
			if err != nil {
				return nil, nil, 0, misuse.Errorf("%s: line %d is not an evaluation: %w", path, number, err)
			}
			evaluations = append(evaluations, e)
		}
		size += len(line) + 1
	}
}

const (
	crcField = `,"crc":"`
	crcTail  = len(crcField) + 8 + len(`"}`)
)

// decode reads an object into v, and refuses fields that v lacks: they are from another version.
func decode(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// sign marshals v, an object, to a line with its checksum.
func sign(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return signBody(body), nil
}

func signBody(body []byte) []byte {
	return fmt.Appendf(nil, "%s%s%08x\"}\n", body[:len(body)-1], crcField, crc32.ChecksumIEEE(body))
}

// unsign returns the object that was signed, or false if the line (without its newline) is not as signed.
func unsign(line []byte) (body []byte, ok bool) {
	cut := len(line) - crcTail
	if cut < 1 {
		return nil, false
	}
	body = append(bytes.Clone(line[:cut]), '}')
	return body, bytes.Equal(line, bytes.TrimSuffix(signBody(body), []byte("\n")))
}

// traceFile is a trace that a search goes on writing. Each line is one write, so a killed search leaves at most the last one
// torn. It is not synced line by line: what a power failure loses is evaluated again, with the same end.
type traceFile struct {
	path string
	file *os.File
}

// openTrace opens or creates the trace for a search with the given header, and returns what it holds. A torn last line is cut
// off. A damaged trace, a trace of another search, and a file that is no trace are misuse errors and stay untouched.
func openTrace(path string, want Header) (*traceFile, []Evaluation, error) {
	first, err := sign(want)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, misuse.Errorf("search trace: %w", err)
	}
	have, evaluations, size, err := parseTrace(path, data)
	switch {
	case err != nil:
		return nil, nil, err
	case have == nil && !bytes.HasPrefix(first, data):
		return nil, nil, misuse.Errorf("%s: is not the trace of this search, nor its torn beginning; give another path or remove the file", path)
	case have != nil:
		if err := sameSearch(path, *have, want); err != nil {
			return nil, nil, err
		}
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return nil, nil, misuse.Errorf("search trace: %w", err)
	}
	t := &traceFile{path, file}
	err = file.Truncate(int64(size))
	if err == nil {
		_, err = file.Seek(int64(size), io.SeekStart)
	}
	if err == nil && have == nil {
		_, err = file.Write(first)
	}
	if err != nil {
		file.Close()
		return nil, nil, fmt.Errorf("search trace: %w", err)
	}
	return t, evaluations, nil
}

// append writes one evaluation.
func (t *traceFile) append(e Evaluation) error {
	line, err := sign(e)
	if err == nil {
		_, err = t.file.Write(line)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", t.path, err)
	}
	return nil
}

// sameSearch returns a misuse error that names the first difference between two searches.
func sameSearch(path string, have, want Header) error {
	h, w := have.settings(), want.settings()
	for i := range max(len(h), len(w)) {
		was, is := setting{"limit", "none"}, setting{"limit", "none"}
		if i < len(h) {
			was = h[i]
		}
		if i < len(w) {
			is = w[i]
		}
		if was != is {
			return misuse.Errorf("%s: was made with %s %s, this search has %s %s; search with the same, or give another path",
				path, was.name, was.value, is.name, is.value)
		}
	}
	return nil
}

type setting struct{ name, value string }

// settings lists all that shaped the search, in words, the limits last.
func (h Header) settings() []setting {
	c := h.Config
	list := []setting{
		{"space", h.Space.String()},
		{"seed", fmt.Sprint(c.Seed)},
		{"population", fmt.Sprint(c.Population)},
		{"pool", fmt.Sprint(c.Pool)},
		{"mutants", fmt.Sprint(c.Mutants)},
		{"crosses", fmt.Sprint(c.Crosses)},
		{"generations", fmt.Sprint(c.Generations)},
		{"mutation probability", fmt.Sprint(c.MutateProb)},
		{"tries", fmt.Sprint(c.MaxTries)},
		{"random search", fmt.Sprint(c.Random)},
		{"given networks", fmt.Sprint(c.Given)},
		{"known scores", strconv.Quote(c.KnownSum)},
		{"front", fmt.Sprint(c.Front)},
		{"children for a place", fmt.Sprint(c.Screen)},
		{"rank correlation to screen from", fmt.Sprint(c.ScreenSpearman)},
		{"share of the limits to use", fmt.Sprint(c.Spend)},
		{"fingerprint", strconv.Quote(c.Fingerprint)},
	}
	for _, l := range h.Limits {
		list = append(list, setting{"limit", fmt.Sprintf("%s <= %v %s", l.Name, l.Max, l.Unit)})
	}
	return list
}
