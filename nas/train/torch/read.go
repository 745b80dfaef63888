package torch

import (
	"archive/zip"
	"bytes"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// ReadState reads a state_dict from a safetensors file or from what torch.save wrote (a zip archive, as since PyTorch 1.6). Of the latter's pickle
// only what tensors are made of is understood: nothing in it is run, and all else is refused. Numbers of 16, 32 and 64 bits become
// float32. A missing, damaged or foreign file is misuse that names it. Metadata is that of a safetensors file.
func ReadState(path string) (state []safetensors.Tensor, metadata map[string]string, err error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, misuse.Errorf("%w", err)
	}
	f, err := parseState(file)
	if err != nil {
		return nil, nil, misuse.Errorf("%s: %w", path, err)
	}
	return f.Tensors, f.Metadata, nil
}

func parseState(file []byte) (f safetensors.File, err error) {
	if bytes.HasPrefix(file, []byte("PK\x03\x04")) {
		f.Tensors, err = parseArchive(file)
		return f, err
	}
	return safetensors.UnmarshalForeign(file, Skipped)
}

// pickleName ends the name of the archive's pickle; the tensors' numbers lie beside it in data/KEY.
const pickleName = "/data.pkl"

func parseArchive(file []byte) ([]safetensors.Tensor, error) {
	archive, err := zip.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return nil, misuse.Errorf("the archive is damaged (%w)", err)
	}
	i := slices.IndexFunc(archive.File, func(f *zip.File) bool { return strings.HasSuffix(f.Name, pickleName) })
	if i < 0 {
		return nil, misuse.Errorf("an archive without data.pkl; a file that torch.save wrote is needed")
	}
	folder := strings.TrimSuffix(archive.File[i].Name, pickleName)
	if order, err := stored(archive, folder+"/byteorder"); err == nil && string(order) != "little" {
		return nil, misuse.Errorf("its numbers are %.10s-endian; little is read", order)
	}
	pickle, err := stored(archive, folder+pickleName)
	if err != nil {
		return nil, err
	}
	top, err := unpickle(pickle)
	if err != nil {
		return nil, err
	}
	return tensorsOf(top, func(key string) ([]byte, error) { return stored(archive, folder+"/data/"+key) })
}

// stored reads a member of the archive. torch.save compresses nothing, so what is compressed is refused: a small file never becomes a large one.
func stored(archive *zip.Reader, name string) ([]byte, error) {
	i := slices.IndexFunc(archive.File, func(f *zip.File) bool { return f.Name == name })
	if i < 0 {
		return nil, misuse.Errorf("the archive lacks %.100q: %w", name, fs.ErrNotExist)
	}
	if archive.File[i].Method != zip.Store {
		return nil, misuse.Errorf("%.100q is compressed in the archive, which torch.save does not", name)
	}
	r, err := archive.File[i].Open()
	if err != nil {
		return nil, misuse.Errorf("%.100q: %w", name, err)
	}
	defer r.Close()
	content, err := io.ReadAll(r) // its checksum is checked at the end
	if err != nil {
		return nil, misuse.Errorf("%.100q: the archive is damaged (%w)", name, err)
	}
	return content, nil
}

// tensorsOf takes the tensors out of an unpickled state_dict, or of a dict that holds one as "state_dict".
func tensorsOf(top any, read func(key string) ([]byte, error)) ([]safetensors.Tensor, error) {
	entries, ok := top.(*dict)
	if !ok {
		return nil, misuse.Errorf("the file holds no state_dict")
	}
	if i := slices.Index(entries.keys, any("state_dict")); i >= 0 {
		if inner, ok := entries.values[i].(*dict); ok {
			entries = inner
		}
	}
	numbers := map[string][]float32{} // by storage key: tensors may share one
	var state []safetensors.Tensor
	for i, key := range entries.keys {
		name, isText := key.(string)
		if !isText {
			return nil, misuse.Errorf("the state_dict has a key that is no name")
		}
		if Skipped(name) {
			continue
		}
		t, ok := entries.values[i].(*tensor)
		if !ok {
			return nil, misuse.Errorf("entry %.100q is no tensor; save model.state_dict() alone", name)
		}
		if numbers[t.storage.key] == nil {
			raw, err := read(t.storage.key)
			if err != nil {
				return nil, misuse.Errorf("tensor %.100q: %w", name, err)
			}
			values, ok := safetensors.Convert(t.storage.dtype, raw)
			if !ok {
				return nil, misuse.Errorf("tensor %.100q is of type %s; F32, F16, BF16 and F64 are read", name, t.storage.dtype)
			}
			numbers[t.storage.key] = values
		}
		values, err := t.gather(numbers[t.storage.key])
		if err != nil {
			return nil, misuse.Errorf("tensor %.100q: %w", name, err)
		}
		state = append(state, safetensors.Tensor{Name: name, Shape: t.shape, Data: values})
	}
	return state, nil
}

// gather returns the tensor's values in the order of its axes, whatever its strides, such as those of channels_last.
func (t *tensor) gather(numbers []float32) ([]float32, error) {
	count, last := 1, t.offset
	for i, d := range t.shape {
		if d < 0 || t.stride[i] < 0 || d > len(numbers) || t.stride[i] > len(numbers) || count > len(numbers) {
			return nil, misuse.Errorf("shape %v with strides %v lies outside of its %d numbers", t.shape, t.stride, len(numbers))
		}
		count *= d
		last += max(0, d-1) * t.stride[i]
	}
	if count == 0 {
		return []float32{}, nil
	}
	if t.offset < 0 || last >= len(numbers) || count > len(numbers) {
		return nil, misuse.Errorf("shape %v with strides %v from %d lies outside of its %d numbers", t.shape, t.stride, t.offset, len(numbers))
	}
	values := make([]float32, 0, count)
	index := make([]int, len(t.shape))
	for at := t.offset; len(values) < count; {
		values = append(values, numbers[at])
		for axis := len(index) - 1; axis >= 0; axis-- {
			index[axis]++
			at += t.stride[axis]
			if index[axis] < t.shape[axis] {
				break
			}
			at -= index[axis] * t.stride[axis]
			index[axis] = 0
		}
	}
	return values, nil
}
