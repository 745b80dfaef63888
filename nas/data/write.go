package data

import (
	"bufio"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
)

// WriteFolder writes a dataset as a Folder: its TrainAll as training pictures, its Val as val, pictures and label pictures as
// PNG. It shows the layout, and lets other programs read the drawn scenes. progress may be nil.
func WriteFolder(dir string, s Splits, progress func(done, total int)) error {
	classes := s.TrainAll.Classes()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, classFile), []byte(classList(classes)), 0o644); err != nil {
		return err
	}
	done, total := 0, s.TrainAll.Len()+s.Val.Len()
	for _, part := range []struct {
		name string
		ds   Dataset
	}{{"train", s.TrainAll}, {"val", s.Val}} {
		for _, kind := range []string{imageDir, labelDir} {
			if err := os.MkdirAll(filepath.Join(dir, kind, part.name), 0o755); err != nil {
				return err
			}
		}
		for i := 0; i < part.ds.Len(); i++ {
			if err := writeSample(dir, part.name, part.ds, i, classes); err != nil {
				return err
			}
			if done++; progress != nil {
				progress(done, total)
			}
		}
	}
	return nil
}

func writeSample(dir, part string, ds Dataset, i int, classes Classes) error {
	s, err := ds.Read(i)
	if err != nil {
		return err
	}
	label, err := LabelPicture(s.Label, s.H, s.W, classes)
	if err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if err := WritePNG(filepath.Join(dir, imageDir, part, s.Name+".png"), s.Picture()); err != nil {
		return err
	}
	return WritePNG(filepath.Join(dir, labelDir, part, s.Name+".png"), label)
}

// classList is the classes in the format that Folder reads.
func classList(classes Classes) string {
	var text strings.Builder
	text.WriteString("# value name #rrggbb: what label pictures hold, what it stands for, how it is drawn\n")
	for c, name := range classes.Names {
		rgb := classes.Colors[c]
		fmt.Fprintf(&text, "%d %s #%02x%02x%02x\n", classes.Value(c), name, rgb[0], rgb[1], rgb[2])
	}
	fmt.Fprintf(&text, "%d void #000000\n", Ignore)
	return text.String()
}

// WritePNG writes a picture file.
func WritePNG(path string, img image.Image) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriter(f)
	if err := png.Encode(w, img); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return w.Flush()
}
