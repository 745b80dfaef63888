// Package sealed writes JSON objects whose last field, "crc", is the CRC-32 (Castagnoli) of all bytes before it, in eight hex digits: programs
// read them as any JSON, and a byte that was flipped anywhere is found when they are read back.
package sealed

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/crc32"
)

var polynomial = crc32.MakeTable(crc32.Castagnoli)

// The end of a line and of an indented file; what stands before it is the object without its closing brace.
const (
	lineEnd = `,"crc":"%08x"}` + "\n"
	fileEnd = ",\n  \"crc\": \"%08x\"\n}\n"
)

// Line returns v, whose JSON must be an object of at least one field, as a sealed line with its line end.
func Line(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return LineOf(text), nil
}

// LineOf is Line for an object that is JSON text already.
func LineOf(object []byte) []byte { return seal(bytes.TrimSuffix(object, []byte("}")), lineEnd) }

// OpenLine returns the JSON of a line without its line end, and whether it is as Line wrote it.
func OpenLine(line []byte) (body []byte, ok bool) {
	return open(append(bytes.Clone(line), '\n'), lineEnd)
}

// File returns v, whose JSON must be an object of at least one field, as an indented, sealed file.
func File(v any) ([]byte, error) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	return seal(bytes.TrimSuffix(text, []byte("\n}")), fileEnd), nil
}

// OpenFile returns the JSON of a file, and whether it is as File wrote it.
func OpenFile(text []byte) (body []byte, ok bool) { return open(text, fileEnd) }

// Claims reports whether text has the field of a seal: where it does not open, it is damaged, and not of a version that sealed nothing.
func Claims(text []byte) bool { return bytes.Contains(text, []byte(`"crc":`)) }

// seal completes an object that lacks its closing brace, in memory of its own.
func seal(open []byte, end string) []byte {
	return fmt.Appendf(bytes.Clone(open), end, crc32.Checksum(open, polynomial))
}

func open(text []byte, end string) (body []byte, ok bool) {
	n := len(text) - len(fmt.Sprintf(end, 0))
	if n < 1 || !bytes.Equal(seal(text[:n], end), text) {
		return nil, false
	}
	return append(bytes.Clone(text[:n]), '}'), true
}
