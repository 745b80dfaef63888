// Package safetensors reads and writes named float32 tensors in the safetensors container, which Python and Rust read too:
// 8 bytes of header length (little endian), a JSON header, then the tensors' data, little endian and without gaps.
//
// Files written here carry a SHA-256 in the header's metadata, over the whole file with the digest's own 64 characters read
// as zeros, so that a flipped byte anywhere, the header included, is found. Unmarshal takes only such files, UnmarshalForeign those of
// other writers. All errors about a file's contents are misuse.
package safetensors

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"github.com/segnas/segnas/nas/misuse"
)

const (
	lengthBytes = 8
	// prefix starts every header written here, so that the digest has a fixed place.
	prefix      = `{"__metadata__":{"sha256":"`
	digestStart = lengthBytes + len(prefix)
	digestEnd   = digestStart + 2*sha256.Size
	maxHeader   = 16 << 20
	alignment   = 8 // of the data's first byte, as the format asks for
	dtype       = "F32"
	bytesPer    = 4
)

// Tensor is a dense array, row-major. An empty Shape is a scalar.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// File is a container's content. Metadata must not use the key sha256; tensor names are distinct and not __metadata__.
type File struct {
	Metadata map[string]string
	Tensors  []Tensor // in the order of their data
}

type entry struct {
	Dtype   string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// Marshal returns the file's bytes. It fails when a tensor's data does not fill its shape or a name is used twice.
func Marshal(f File) ([]byte, error) {
	header, dataBytes, err := marshalHeader(f)
	if err != nil {
		return nil, err
	}
	out := make([]byte, lengthBytes, lengthBytes+len(header)+int(dataBytes))
	binary.LittleEndian.PutUint64(out, uint64(len(header)))
	out = append(out, header...)
	for _, t := range f.Tensors {
		for _, v := range t.Data {
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	copy(out[digestStart:digestEnd], digest(out))
	return out, nil
}

func marshalHeader(f File) (header []byte, dataBytes int64, err error) {
	var b bytes.Buffer
	b.WriteString(prefix)
	b.Write(zeros[:])
	b.WriteByte('"')
	keys := make([]string, 0, len(f.Metadata))
	for k := range f.Metadata {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if k == "sha256" {
			return nil, 0, fmt.Errorf("safetensors: the metadata key sha256 is the container's own")
		}
		fmt.Fprintf(&b, ",%s:%s", quote(k), quote(f.Metadata[k]))
	}
	b.WriteByte('}')
	seen := map[string]bool{"__metadata__": true}
	for _, t := range f.Tensors {
		n, err := elements(t.Shape)
		if err != nil || n != int64(len(t.Data)) {
			return nil, 0, fmt.Errorf("safetensors: tensor %s of shape %v has %d values", t.Name, t.Shape, len(t.Data))
		}
		if seen[t.Name] {
			return nil, 0, fmt.Errorf("safetensors: two tensors are named %s", t.Name)
		}
		seen[t.Name] = true
		e := entry{Dtype: dtype, Shape: append([]int{}, t.Shape...), Offsets: [2]int64{dataBytes, dataBytes + bytesPer*n}}
		text, err := json.Marshal(e)
		if err != nil {
			return nil, 0, fmt.Errorf("safetensors: %w", err)
		}
		fmt.Fprintf(&b, ",%s:%s", quote(t.Name), text)
		dataBytes = e.Offsets[1]
	}
	b.WriteByte('}')
	for (lengthBytes+b.Len())%alignment != 0 {
		b.WriteByte(' ')
	}
	return b.Bytes(), dataBytes, nil
}

// quote cannot fail: invalid UTF-8 becomes U+FFFD.
func quote(s string) []byte {
	text, _ := json.Marshal(s)
	return text
}

var zeros = [2 * sha256.Size]byte(bytes.Repeat([]byte{'0'}, 2*sha256.Size))

// digest returns the hex digest of a file whose own digest reads as zeros.
func digest(file []byte) []byte {
	h := sha256.New()
	h.Write(file[:digestStart])
	h.Write(zeros[:])
	h.Write(file[digestEnd:])
	return hex.AppendEncode(nil, h.Sum(nil))
}

func elements(shape []int) (int64, error) {
	n := int64(1)
	for _, d := range shape {
		if d < 0 || (d > 0 && n > math.MaxInt32*int64(1<<20)/int64(d)) {
			return 0, misuse.Errorf("shape %v is not possible", shape)
		}
		n *= int64(d)
	}
	return n, nil
}

// Unmarshal reads a file's bytes. A shortened file, a flipped byte and a file of another writer are each named in the error.
func Unmarshal(file []byte) (File, error) {
	if len(file) < digestEnd {
		return File{}, misuse.Errorf("%d bytes are too few for a checkpoint; the file is truncated or of another kind", len(file))
	}
	length := binary.LittleEndian.Uint64(file)
	if !bytes.HasPrefix(file[lengthBytes:], []byte(prefix)) {
		return File{}, misuse.Errorf("not a checkpoint of segnas: the header does not begin with its checksum")
	}
	if length > maxHeader || length < uint64(digestEnd-lengthBytes) {
		return File{}, misuse.Errorf("the header claims %d bytes; the file is damaged", length)
	}
	if int64(length) > int64(len(file)-lengthBytes) {
		return File{}, misuse.Errorf("the header claims %d bytes but the file has %d; it is truncated", length, len(file))
	}
	header, data := file[lengthBytes:lengthBytes+length], file[lengthBytes+length:]
	if want := digest(file); !bytes.Equal(want, file[digestStart:digestEnd]) {
		if claimed := claimedBytes(header); claimed > int64(len(data)) {
			return File{}, misuse.Errorf("%d bytes of data where the header claims %d; the file is truncated", len(data), claimed)
		}
		return File{}, misuse.Errorf("the checksum does not match: the file is damaged (stored %.12s..., computed %.12s...)", file[digestStart:digestEnd], want)
	}
	return parse(header, data, func(_, is string) (*conversion, error) {
		if is != dtype {
			return nil, fmt.Errorf("only %s is read", dtype)
		}
		return conversions[dtype], nil
	})
}

// claimedBytes is the end of the last tensor by a header that may be damaged; 0 when it cannot be read.
func claimedBytes(header []byte) int64 {
	_, entries, err := split(header)
	if err != nil {
		return 0
	}
	var end int64
	for _, e := range entries {
		end = max(end, e.Offsets[1])
	}
	return end
}

func split(header []byte) (metadata map[string]string, entries map[string]entry, err error) {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(header, &raw); err != nil {
		return nil, nil, misuse.Errorf("the header is not JSON (%v); the file is damaged", err)
	}
	if text, found := raw["__metadata__"]; found {
		if err := json.Unmarshal(text, &metadata); err != nil {
			return nil, nil, misuse.Errorf("the header's metadata is not a set of texts (%v)", err)
		}
	}
	delete(raw, "__metadata__")
	delete(metadata, "sha256")
	entries = make(map[string]entry, len(raw))
	for name, text := range raw {
		var e entry
		if err := json.Unmarshal(text, &e); err != nil {
			return nil, nil, misuse.Errorf("tensor %.100q has a damaged entry (%v)", name, err)
		}
		entries[name] = e
	}
	return metadata, entries, nil
}

// parse reads the tensors that wanted returns a conversion for; the others' bytes are passed over.
func parse(header, data []byte, wanted func(name, dtype string) (*conversion, error)) (File, error) {
	metadata, entries, err := split(header)
	if err != nil {
		return File{}, err
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	// Empty tensors share an offset with their successor; the second key puts them first, the third makes the order total.
	slices.SortFunc(names, func(a, b string) int {
		x, y := entries[a].Offsets, entries[b].Offsets
		return cmpOr(x[0]-y[0], x[1]-y[1], int64(bytes.Compare([]byte(a), []byte(b))))
	})
	f := File{Metadata: metadata, Tensors: make([]Tensor, 0, len(names))}
	var at int64
	for _, name := range names {
		e := entries[name]
		n, err := elements(e.Shape)
		if err != nil {
			return File{}, misuse.Errorf("tensor %.100q: %w", name, err)
		}
		c, err := wanted(name, e.Dtype)
		if err != nil {
			return File{}, misuse.Errorf("tensor %.100q is of type %.20q; %w", name, e.Dtype, err)
		}
		if e.Offsets[0] != at || e.Offsets[1] < at || e.Offsets[1] > int64(len(data)) || (c != nil && e.Offsets[1]-at != c.bytes*n) {
			return File{}, misuse.Errorf("tensor %.100q of shape %v claims bytes %d to %d of %d", name, e.Shape, e.Offsets[0], e.Offsets[1], len(data))
		}
		if c != nil {
			f.Tensors = append(f.Tensors, Tensor{Name: name, Shape: e.Shape, Data: c.all(data[at:e.Offsets[1]])})
		}
		at = e.Offsets[1]
	}
	if at != int64(len(data)) {
		return File{}, misuse.Errorf("%d bytes follow the last tensor", int64(len(data))-at)
	}
	return f, nil
}

func cmpOr(keys ...int64) int {
	for _, k := range keys {
		if k != 0 {
			return int(max(min(k, 1), -1))
		}
	}
	return 0
}
