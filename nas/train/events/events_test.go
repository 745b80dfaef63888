package events

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// read returns the scalar events of a folder's only event file, after checking its framing, its first event, and that the second restarts.
func read(t *testing.T, folder string) []Event {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*tfevents*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, %v", files, err)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var list []Event
	for number := 0; len(text) > 0; number++ {
		data, rest, err := unframe(text)
		if err != nil {
			t.Fatalf("record %d: %v", number, err)
		}
		text = rest
		e, version, restarts, err := parse(data)
		switch {
		case err != nil:
			t.Fatalf("record %d: %v", number, err)
		case (number == 0) != (version == "brain.Event:2") || (number == 1) != restarts:
			t.Fatalf("record %d has version %q, restart %v", number, version, restarts)
		case number > 1:
			list = append(list, e)
		}
	}
	return list
}

func unframe(text []byte) (data, rest []byte, err error) {
	unmasked := func(at []byte) uint32 {
		sum := binary.LittleEndian.Uint32(at) - 0xa282ead8
		return sum>>17 | sum<<15
	}
	table := crc32.MakeTable(crc32.Castagnoli)
	if len(text) < 16 || unmasked(text[8:]) != crc32.Checksum(text[:8], table) {
		return nil, nil, fmt.Errorf("its length's checksum does not hold")
	}
	n := binary.LittleEndian.Uint64(text)
	if n > uint64(len(text)-16) || unmasked(text[12+n:]) != crc32.Checksum(text[12:12+n], table) {
		return nil, nil, fmt.Errorf("its data's checksum does not hold")
	}
	return text[12 : 12+n], text[16+n:], nil
}

// each visits a message's fields; text is of length-delimited ones, number the rest's bits.
func each(data []byte, visit func(field protowire.Number, number uint64, text []byte) error) error {
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return protowire.ParseError(n)
		}
		data = data[n:]
		var number uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			number, n = protowire.ConsumeVarint(data)
		case protowire.Fixed64Type:
			number, n = protowire.ConsumeFixed64(data)
		case protowire.Fixed32Type:
			var bits uint32
			bits, n = protowire.ConsumeFixed32(data)
			number = uint64(bits)
		default:
			text, n = protowire.ConsumeBytes(data)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		if err := visit(field, number, text); err != nil {
			return err
		}
		data = data[n:]
	}
	return nil
}

func parse(data []byte) (e Event, version string, restarts bool, err error) {
	err = each(data, func(field protowire.Number, number uint64, text []byte) error {
		switch field {
		case 1:
			if seconds := math.Float64frombits(number); seconds != 0 {
				e.Time = time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
			}
		case 2:
			e.Step = int(number)
		case 3:
			version = string(text)
		case 5:
			return each(text, func(_ protowire.Number, _ uint64, value []byte) error {
				var s Scalar
				err := each(value, func(field protowire.Number, number uint64, text []byte) error {
					if field == 1 {
						s.Tag = string(text)
					} else {
						s.Value = float64(math.Float32frombits(uint32(number)))
					}
					return nil
				})
				e.Scalars = append(e.Scalars, s)
				return err
			})
		case 7:
			return each(text, func(_ protowire.Number, number uint64, _ []byte) error { restarts = number == 1; return nil })
		}
		return nil
	})
	return e, version, restarts, err
}

func examples() []Event {
	return []Event{
		{Time: time.Date(2026, 1, 2, 3, 4, 5, 6000000, time.UTC), Step: 1, Scalars: []Scalar{{"training/loss", 0.5}, {"class_iou/Straße", -2}}},
		{Step: 300, Scalars: []Scalar{{"training/loss", 0.25}}},
	}
}

func TestWriter_WhatIsGivenAndAppendedIsRead(t *testing.T) {
	folder := t.TempDir()
	w, err := Replace(folder, examples()[:1])
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Write(examples()[1]); err != nil {
		t.Fatal(err)
	}
	if got := read(t, folder); !reflect.DeepEqual(got, examples()) { // while the file is open: a training is watched
		t.Errorf("read %+v", got)
	}
}

func TestReplace_LeavesOneFileOfALaterNameAndOthersAlone(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a[1]*")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	last := ""
	for n := range 3 {
		w, err := Replace(folder, examples()[:1+n%2])
		if err != nil {
			t.Fatal(err)
		}
		w.Close()
		if got := read(t, escaped(folder)); len(got) != 1+n%2 {
			t.Errorf("round %d left %d events", n, len(got))
		}
		files, err := os.ReadDir(folder)
		if err != nil || len(files) != 1 || files[0].Name() <= last || !strings.HasPrefix(files[0].Name(), "events.out.tfevents.") {
			t.Fatalf("round %d: %v after %q, %v", n, files, last, err)
		}
		last = files[0].Name()
	}
	foreign := filepath.Join(folder, "events.out.tfevents.1.elsewhere")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Replace(folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
	if _, err := os.Stat(foreign); err != nil {
		t.Errorf("another program's file: %v", err)
	}
}
