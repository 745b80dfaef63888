package data

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg" // registers the decoder
	"image/png"
	"io/fs"
	"os"

	"github.com/segnas/segnas/nas/misuse"
)

// maxSide bounds the sides of a picture, so that a damaged header cannot ask for all memory.
const maxSide = 1 << 14

// pngMagic is how every PNG file starts.
const pngMagic = "\x89PNG\r\n\x1a\n"

// readFile reads a whole file; the user named it or its folder, so that failing is misuse.
func readFile(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			err = pe.Err // the path is named already
		}
		return nil, misuse.Errorf("%s: %w", path, err)
	}
	if len(raw) == 0 {
		return nil, misuse.Errorf("%s: the file is empty; a picture is wanted", path)
	}
	return raw, nil
}

// checkHeader looks at the size before anything is allocated for it.
func checkHeader(path string, raw []byte) error {
	cfg, _, err := image.DecodeConfig(bytes.NewReader(raw))
	if err != nil {
		return damaged(path, raw, err)
	}
	if cfg.Width < 1 || cfg.Height < 1 || cfg.Width > maxSide || cfg.Height > maxSide {
		return misuse.Errorf("%s: %d x %d pixels; pictures of up to %d a side can be read", path, cfg.Height, cfg.Width, maxSide)
	}
	return nil
}

// damaged explains why a picture cannot be decoded.
func damaged(path string, raw []byte, err error) error {
	isPNG, isJPEG := bytes.HasPrefix(raw, []byte(pngMagic)), bytes.HasPrefix(raw, []byte("\xff\xd8"))
	switch {
	case isPNG && !bytes.Contains(raw, []byte("IEND")), isJPEG && !bytes.Contains(raw, []byte("\xff\xd9")):
		return misuse.Errorf("%s: the file is cut off before the end of the picture; copy it again", path)
	case errors.Is(err, image.ErrFormat):
		return misuse.Errorf("%s: neither a PNG nor a JPEG picture", path)
	}
	return misuse.Errorf("%s: damaged picture: %w", path, err)
}

// ReadPicture reads a PNG or JPEG file as rows of interleaved R,G,B bytes. Transparent parts come out on black.
func ReadPicture(path string) (pixels []byte, h, w int, err error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, 0, 0, err
	}
	return decodePicture(path, raw)
}

func decodePicture(path string, raw []byte) (pixels []byte, h, w int, err error) {
	if err := checkHeader(path, raw); err != nil {
		return nil, 0, 0, err
	}
	img, _, err := image.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, 0, 0, damaged(path, raw, err)
	}
	h, w = img.Bounds().Dy(), img.Bounds().Dx()
	pixels = make([]byte, h*w*3)
	if yuv, ok := img.(*image.YCbCr); ok {
		fromYCbCr(pixels, yuv)
		return pixels, h, w, nil
	}
	rgba, ok := img.(*image.RGBA)
	if !ok {
		rgba = image.NewRGBA(image.Rect(0, 0, w, h))
		draw.Draw(rgba, rgba.Bounds(), img, img.Bounds().Min, draw.Src)
	}
	for y := range h {
		to, from := pixels[3*w*y:3*w*(y+1)], rgba.Pix[y*rgba.Stride:][:4*w]
		for len(to) >= 3 && len(from) >= 4 {
			to[0], to[1], to[2] = from[0], from[1], from[2]
			to, from = to[3:], from[4:]
		}
	}
	return pixels, h, w, nil
}

// fromYCbCr converts what the JPEG decoder hands out, straight to three channels.
func fromYCbCr(pixels []byte, img *image.YCbCr) {
	b := img.Bounds()
	o := 0
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := img.COffset(x, y)
			pixels[o], pixels[o+1], pixels[o+2] = color.YCbCrToRGB(img.Y[img.YOffset(x, y)], img.Cb[c], img.Cr[c])
			o += 3
		}
	}
}

// readLabels reads a label picture and maps its values to classes.
func readLabels(path string, table *labelTable) (label []byte, h, w int, err error) {
	raw, err := readFile(path)
	if err != nil {
		return nil, 0, 0, err
	}
	label, h, w, err = decodeLabels(path, raw)
	if err != nil {
		return nil, 0, 0, err
	}
	return label, h, w, table.apply(path, label, w)
}

// ReadLabels reads a label picture that holds the values of the classes, or 255 for none, as classes and Ignore.
func ReadLabels(path string, classes Classes) (label []byte, h, w int, err error) {
	table := &labelTable{list: "the list of classes"}
	table.known[Ignore], table.class[Ignore] = true, Ignore
	for c := range classes.Len() {
		table.known[classes.Value(c)], table.class[classes.Value(c)] = true, byte(c)
	}
	return readLabels(path, table)
}

// decodeLabels decodes a PNG whose pixels are indices: a palette picture (its colours do not matter) or a grey one of up to 8
// bits, whose values are taken as they are stored.
func decodeLabels(path string, raw []byte) (values []byte, h, w int, err error) {
	if !bytes.HasPrefix(raw, []byte(pngMagic)) {
		return nil, 0, 0, misuse.Errorf("%s: label pictures must be PNG, as lossy formats change the indices", path)
	}
	if err := checkHeader(path, raw); err != nil {
		return nil, 0, 0, err
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		return nil, 0, 0, damaged(path, raw, err)
	}
	h, w = img.Bounds().Dy(), img.Bounds().Dx()
	var pix []byte
	var stride int
	divisor := byte(1)
	switch m := img.(type) {
	case *image.Paletted:
		pix, stride = m.Pix, m.Stride
	case *image.Gray:
		pix, stride = m.Pix, m.Stride
		// The decoder spreads 1, 2 and 4 bits over 0-255; undo it. Byte 24 of a PNG is the bit depth.
		divisor = byte(255 / (1<<raw[24] - 1))
	default:
		return nil, 0, 0, misuse.Errorf("%s: label pictures must hold a class index a pixel: palette or 8-bit grey PNG, not %s", path, kindOf(img))
	}
	values = make([]byte, h*w)
	for y := 0; y < h; y++ {
		copy(values[y*w:(y+1)*w], pix[y*stride:])
	}
	if divisor > 1 {
		for i := range values {
			values[i] /= divisor
		}
	}
	return values, h, w, nil
}

// kindOf names what a decoded picture holds.
func kindOf(img image.Image) string {
	switch img.(type) {
	case *image.Gray16:
		return "16-bit grey"
	case *image.RGBA, *image.RGBA64:
		return "colours"
	}
	return "colours or grey with transparency"
}

// labelTable maps the values of label pictures to classes.
type labelTable struct {
	class [256]byte
	known [256]bool
	list  string // names the class list in messages
}

// apply maps values to classes in place; w is the picture's width.
func (t *labelTable) apply(path string, values []byte, w int) error {
	for i, v := range values {
		if !t.known[v] {
			return misuse.Errorf("%s: label value %d at row %d, column %d is not in %s (allowed: %s)", path, v, i/w, i%w, t.list, allowed(&t.known))
		}
		values[i] = t.class[v]
	}
	return nil
}
