package data

import (
	"fmt"
	"image"
	"image/color"
)

// ColourLabels draws a label map of h rows and w columns in the colours of its classes; ignored pixels are black.
func ColourLabels(label []byte, h, w int, classes Classes) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	for i, l := range label[:h*w] {
		c := classColour(l, classes)
		copy(img.Pix[4*i:4*i+4], []byte{c[0], c[1], c[2], 255})
	}
	return img
}

// DrawOverlay blends the colours of a label map over its picture (H*W*3 bytes): opacity 0 is the picture, 1 the labels.
// Ignored pixels show the picture alone.
func DrawOverlay(picture, label []byte, h, w int, classes Classes, opacity float64) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, w, h))
	a := int(min(max(opacity, 0), 1)*256 + 0.5)
	for i, l := range label[:h*w] {
		src, dst := picture[3*i:3*i+3], img.Pix[4*i:4*i+4]
		dst[3] = 255
		if int(l) >= classes.Len() {
			copy(dst, src)
			continue
		}
		for k, c := range classes.Colors[l] {
			dst[k] = byte((int(src[k])*(256-a) + int(c)*a + 128) >> 8)
		}
	}
	return img
}

// Picture is the sample's picture as an image.
func (s *Sample) Picture() *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, s.W, s.H))
	for i := 0; i < s.H*s.W; i++ {
		copy(img.Pix[4*i:4*i+3], s.Image[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	return img
}

// LabelPicture is a label map as a palette picture whose indices are the classes' values and whose colours are the classes'
// colours; it reads back through Folder. Ignored pixels have the index 255.
func LabelPicture(label []byte, h, w int, classes Classes) (*image.Paletted, error) {
	palette := make(color.Palette, 256)
	for i := range palette {
		palette[i] = color.RGBA{A: 255}
	}
	var value [256]byte
	for i := range value {
		value[i] = Ignore
	}
	for c, rgb := range classes.Colors {
		value[c] = classes.Value(c)
		palette[value[c]] = color.RGBA{rgb[0], rgb[1], rgb[2], 255}
	}
	img := image.NewPaletted(image.Rect(0, 0, w, h), palette)
	for i, l := range label[:h*w] {
		if l != Ignore && int(l) >= classes.Len() {
			return nil, fmt.Errorf("label %d at row %d, column %d: there are %d classes", l, i/w, i%w, classes.Len())
		}
		img.Pix[i] = value[l]
	}
	return img, nil
}

// classColour is the colour of a label, black where it is no class.
func classColour(l byte, classes Classes) [3]byte {
	if int(l) < classes.Len() {
		return classes.Colors[l]
	}
	return [3]byte{}
}
