package data

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"testing"
)

// drawn is a dataset of n small samples whose content tells which sample it is: the red channel holds its index.
type drawn struct{ n, h, w int }

func (d drawn) Name() string     { return "drawn" }
func (d drawn) Classes() Classes { return CityscapesClasses() }
func (d drawn) Len() int         { return d.n }

func (d drawn) Read(i int) (*Sample, error) {
	s := &Sample{Image: make([]byte, d.h*d.w*3), Label: make([]byte, d.h*d.w), H: d.h, W: d.w, Name: fmt.Sprint("drawn", i)}
	for p := range s.Label {
		s.Image[3*p], s.Image[3*p+1], s.Image[3*p+2] = byte(i), byte(p/d.w), byte(p%d.w)
		s.Label[p] = byte((p%d.w + i) % 19)
	}
	return s, nil
}

// encodePNG is a picture as a PNG file's bytes.
func encodePNG(t testing.TB, img image.Image) []byte {
	t.Helper()
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// greyLabels is a label picture of one value.
func greyLabels(h, w int, value byte) *image.Gray {
	img := image.NewGray(image.Rect(0, 0, w, h))
	for i := range img.Pix {
		img.Pix[i] = value
	}
	return img
}

// writeFiles puts files into a folder, by path relative to it.
func writeFiles(t testing.TB, dir string, files map[string][]byte) {
	t.Helper()
	for name, raw := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// goodFolder is a minimal folder dataset of n training pictures, 6 x 8 pixels each, of two classes and void.
func goodFolder(t testing.TB, n int) map[string][]byte {
	files := map[string][]byte{classFile: []byte("0 road #804080\n1 sky #4682b4\n255 void\n")}
	for i := 0; i < n; i++ {
		img := image.NewRGBA(image.Rect(0, 0, 8, 6))
		for p := 3; p < len(img.Pix); p += 4 {
			img.Pix[p-3], img.Pix[p] = byte(i), 255
		}
		files[fmt.Sprintf("images/train/p%02d.png", i)] = encodePNG(t, img)
		files[fmt.Sprintf("labels/train/p%02d.png", i)] = encodePNG(t, greyLabels(6, 8, byte(i%2)))
	}
	return files
}

// deepColour is a picture of 16 bits a channel.
func deepColour(h, w int) image.Image {
	img := image.NewRGBA64(image.Rect(0, 0, w, h))
	for i := 0; i < h*w; i++ {
		img.Set(i%w, i/w, color.RGBA64{uint16(i * 700), 0x1234, 0, 0xffff})
	}
	return img
}

// shallowGrey is a 2 x 1 grey PNG of 4 bits a pixel that holds 1 and 15; Go's encoder writes none.
func shallowGrey() []byte {
	out := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(kind string, body []byte) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(body)))
		all := append([]byte(kind), body...)
		out = binary.BigEndian.AppendUint32(append(out, all...), crc32.ChecksumIEEE(all))
	}
	chunk("IHDR", []byte{0, 0, 0, 2, 0, 0, 0, 1, 4, 0, 0, 0, 0})
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	_, _ = w.Write([]byte{0, 0x1f})
	_ = w.Close()
	chunk("IDAT", z.Bytes())
	chunk("IEND", nil)
	return out
}
