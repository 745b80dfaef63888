// Package events writes the event files that TensorBoard shows: scalars over a training's steps.
//
// A file is records of TFRecord framing: the data's length (uint64, little endian), the masked CRC-32C of these 8 bytes (uint32, little
// endian), the data, and the data's masked CRC-32C; masked is the checksum turned right by 15 bits plus 0xa282ead8. The data of
// each is an Event message of TensorFlow's event.proto: a time, a step, and a summary of scalars.
package events

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Scalar is a value under a name; TensorBoard groups names by what stands before their first slash. It is kept in float32.
type Scalar struct {
	Tag   string
	Value float64
}

// Event is what was known after a step.
type Event struct {
	Time    time.Time // zero: not known
	Step    int
	Scalars []Scalar
}

// Writer appends events to a file. It is not safe for concurrent use.
type Writer struct{ file *os.File }

const (
	namePrefix = "events.out.tfevents."
	nameSuffix = ".segnas"
	tempName   = "events.tmp" // not what TensorBoard looks for
)

// Replace puts one new file that begins with the given events into a folder, in place of those that this package wrote there before, and
// leaves it open for more. A TensorBoard that watches the folder takes the new file for what it is, a restart from the first step on: so its
// name is always a new one, and later in order.
func Replace(folder string, list []Event) (*Writer, error) {
	temp := filepath.Join(folder, tempName)
	file, err := os.Create(temp)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	text := append(record(fileVersion(now)), record(restart(now))...)
	for _, e := range list {
		text = append(text, record(e.marshal())...)
	}
	if _, err = file.Write(text); err == nil {
		err = rename(temp, folder, now)
	}
	if err != nil {
		file.Close()
		os.Remove(temp)
		return nil, fmt.Errorf("event file: %w", err)
	}
	return &Writer{file}, nil
}

// rename removes the older files before it gives the new one its name: in between there are none, but never two with the same events.
func rename(temp, folder string, now time.Time) error {
	old, err := filepath.Glob(filepath.Join(escaped(folder), namePrefix+"*"+nameSuffix))
	if err != nil {
		return err
	}
	second := now.Unix()
	for _, path := range old {
		var was int64
		if n, _ := fmt.Sscanf(strings.TrimPrefix(filepath.Base(path), namePrefix), "%d.", &was); n == 1 && was < math.MaxInt32 {
			second = max(second, was+1)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	host, err := os.Hostname()
	if err != nil || strings.ContainsAny(host, "/\x00") {
		host = "localhost"
	}
	return os.Rename(temp, filepath.Join(folder, fmt.Sprintf("%s%010d.%s%s", namePrefix, second, host, nameSuffix)))
}

// escaped returns a pattern that matches the path alone.
func escaped(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// Write appends an event.
func (w *Writer) Write(e Event) error {
	if _, err := w.file.Write(record(e.marshal())); err != nil {
		return fmt.Errorf("event file: %w", err)
	}
	return nil
}

// Close closes the file.
func (w *Writer) Close() error { return w.file.Close() }

var polynomial = crc32.MakeTable(crc32.Castagnoli)

const maskDelta = 0xa282ead8

func masked(data []byte) uint32 {
	sum := crc32.Checksum(data, polynomial)
	return (sum>>15 | sum<<17) + maskDelta
}

// record frames data.
func record(data []byte) []byte {
	out := binary.LittleEndian.AppendUint64(make([]byte, 0, len(data)+16), uint64(len(data)))
	out = binary.LittleEndian.AppendUint32(out, masked(out))
	out = append(out, data...)
	return binary.LittleEndian.AppendUint32(out, masked(data))
}

// The numbers of the fields, as event.proto and summary.proto give them.
const (
	eventTime    protowire.Number = 1 // double, seconds since 1970
	eventStep    protowire.Number = 2
	eventVersion protowire.Number = 3
	eventSummary protowire.Number = 5
	eventSession protowire.Number = 7

	sessionStatus protowire.Number = 1
	sessionStart                   = 1

	summaryValue protowire.Number = 1
	valueTag     protowire.Number = 1
	valueScalar  protowire.Number = 2 // float
)

func at(t time.Time) []byte {
	var seconds float64
	if !t.IsZero() {
		seconds = float64(t.UnixMicro()) / 1e6
	}
	return protowire.AppendFixed64(protowire.AppendTag(nil, eventTime, protowire.Fixed64Type), math.Float64bits(seconds))
}

// fileVersion is every file's first event.
func fileVersion(t time.Time) []byte {
	return protowire.AppendString(protowire.AppendTag(at(t), eventVersion, protowire.BytesType), "brain.Event:2")
}

// restart tells a reader to forget what it read of other files from step 0 on.
func restart(t time.Time) []byte {
	session := protowire.AppendVarint(protowire.AppendTag(nil, sessionStatus, protowire.VarintType), sessionStart)
	return protowire.AppendBytes(protowire.AppendTag(at(t), eventSession, protowire.BytesType), session)
}

func (e Event) marshal() []byte {
	var summary []byte
	for _, s := range e.Scalars {
		value := protowire.AppendString(protowire.AppendTag(nil, valueTag, protowire.BytesType), s.Tag)
		value = protowire.AppendFixed32(protowire.AppendTag(value, valueScalar, protowire.Fixed32Type), math.Float32bits(float32(s.Value)))
		summary = protowire.AppendBytes(protowire.AppendTag(summary, summaryValue, protowire.BytesType), value)
	}
	out := protowire.AppendVarint(protowire.AppendTag(at(e.Time), eventStep, protowire.VarintType), uint64(e.Step))
	return protowire.AppendBytes(protowire.AppendTag(out, eventSummary, protowire.BytesType), summary)
}
