package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func example() File {
	return File{
		Metadata: map[string]string{"step": "12", "config": "{\"a\":\"<b>\"}"},
		Tensors: []Tensor{
			{Name: "w", Shape: []int{2, 3}, Data: []float32{1, 2, 3, 4, 5, float32(math.Inf(-1))}},
			{Name: "a/empty", Shape: []int{0, 4}, Data: []float32{}},
			{Name: "b", Shape: []int{}, Data: []float32{math.Pi}},
		},
	}
}

func marshalled(t testing.TB, f File) []byte {
	t.Helper()
	file, err := Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestUnmarshal_InvertsMarshal(t *testing.T) {
	got, err := Unmarshal(marshalled(t, example()))
	if err != nil || !reflect.DeepEqual(got, example()) {
		t.Errorf("read back %+v, %v", got, err)
	}
}

func TestMarshal_LayoutIsTheFormats(t *testing.T) {
	file := marshalled(t, example())
	length := binary.LittleEndian.Uint64(file)
	if (8+length)%8 != 0 {
		t.Errorf("data begins at %d, not a multiple of 8", 8+length)
	}
	var header map[string]struct {
		Dtype   string
		Shape   []int
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(file[8:8+length], &header); err != nil {
		t.Fatal(err)
	}
	if w := header["w"]; w.Dtype != "F32" || w.Offsets != [2]int{0, 24} || !reflect.DeepEqual(w.Shape, []int{2, 3}) {
		t.Errorf("entry of w: %+v", w)
	}
	if v := math.Float32frombits(binary.LittleEndian.Uint32(file[8+length+4:])); v != 2 {
		t.Errorf("second value is %v", v)
	}
}

func TestMarshal_RefusesWhatCannotBeRead(t *testing.T) {
	for name, f := range map[string]File{
		"shape":    {Tensors: []Tensor{{Name: "w", Shape: []int{2}, Data: make([]float32, 3)}}},
		"twice":    {Tensors: []Tensor{{Name: "w"}, {Name: "w", Data: make([]float32, 1), Shape: []int{}}}},
		"metadata": {Metadata: map[string]string{"sha256": "x"}},
	} {
		if _, err := Marshal(f); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestUnmarshal_FindsEveryFlippedByteAndTruncation(t *testing.T) {
	file := marshalled(t, example())
	for i := range file {
		for _, bit := range []byte{1, 0x80} {
			damaged := bytes.Clone(file)
			damaged[i] ^= bit
			if _, err := Unmarshal(damaged); !misuse.Is(err) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("byte %d flipped: %v", i, err)
			}
		}
		if _, err := Unmarshal(file[:i]); !misuse.Is(err) {
			t.Fatalf("cut to %d bytes: %v", i, err)
		}
	}
	if _, err := Unmarshal(file[:len(file)-4]); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("cut data: %v", err)
	}
	if _, err := Unmarshal(append(file, 0)); !misuse.Is(err) {
		t.Errorf("one byte more: %v", err)
	}
}

// resealed returns the file with a changed header and a right checksum, so that the parser behind it is reached.
func resealed(t testing.TB, file []byte, old, replacement string) []byte {
	t.Helper()
	if len(old) != len(replacement) || !bytes.Contains(file, []byte(old)) {
		t.Fatalf("cannot replace %q by %q", old, replacement)
	}
	file = bytes.Replace(file, []byte(old), []byte(replacement), 1)
	copy(file[digestStart:digestEnd], digest(file))
	return file
}

func TestUnmarshal_NamesWhatIsWrong(t *testing.T) {
	file := marshalled(t, example())
	for _, c := range []struct{ old, replacement, want string }{
		{`[0,24]`, `[4,24]`, "claims bytes 4 to 24"},
		{`[2,3]`, `[2,4]`, "claims bytes"},
		{`[2,3]`, `[-2,`, "damaged"},
		{`"F32","shape":[2`, `"F16","shape":[2`, `of type "F16"`},
		{`"step":"12"`, `"step":1234`, "not a set of texts"},
	} {
		if len(c.old) > len(c.replacement) {
			c.replacement += strings.Repeat(" ", len(c.old)-len(c.replacement))
		}
		if _, err := Unmarshal(resealed(t, file, c.old, c.replacement)); !misuse.Is(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: %v, want %q", c.replacement, c.old, err, c.want)
		}
	}
}

func FuzzUnmarshal(f *testing.F) {
	f.Add(marshalled(f, example())[8:], false)
	f.Add([]byte(`{"__metadata__":{"sha256":"`), true)
	f.Fuzz(func(t *testing.T, tail []byte, whole bool) {
		file := tail
		if !whole { // a header as long as can be, and a right checksum, so that the parser behind it is reached
			file = append(make([]byte, 8), tail...)
			end := bytes.LastIndexByte(tail, '}') + 1
			binary.LittleEndian.PutUint64(file, uint64(end))
			if len(file) >= digestEnd {
				copy(file[digestStart:digestEnd], digest(file))
			}
		}
		got, err := Unmarshal(file)
		if err != nil {
			if !misuse.Is(err) {
				t.Fatalf("not misuse: %v", err)
			}
			return
		}
		again, err := Unmarshal(marshalled(t, got))
		if err != nil || len(again.Tensors) != len(got.Tensors) {
			t.Fatalf("%d tensors, read back %d, %v", len(got.Tensors), len(again.Tensors), err)
		}
	})
}

func TestWriteFile_KeepsThePreviousOne(t *testing.T) {
	folder := t.TempDir()
	path, previous := filepath.Join(folder, "ckpt.safetensors"), filepath.Join(folder, "ckpt.prev.safetensors")
	for step := range 3 {
		f := File{Metadata: map[string]string{"step": string(rune('0' + step))}}
		if err := WriteFile(path, previous, f); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]string{path: "2", previous: "1"} {
		if f, err := ReadFile(file); err != nil || f.Metadata["step"] != want {
			t.Errorf("%s: %v, %v", file, f.Metadata, err)
		}
	}
	if files, _ := os.ReadDir(folder); len(files) != 2 {
		t.Errorf("left behind: %v", files)
	}
	if _, err := ReadFile(filepath.Join(folder, "none")); !misuse.Is(err) {
		t.Errorf("missing file: %v", err)
	}
}
