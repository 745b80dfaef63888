package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"math"

	xdraw "golang.org/x/image/draw"
)

// parts is what a section and the whole report both have, as the templates show it.
type parts struct {
	Curves     []curve
	Drawings   []drawing
	Kernels    []int
	Swatches   []swatch
	IoUHeader  []string
	IoURows    []iouRow
	SceneHeads []string
	SceneRows  []sceneRow
}

type curve struct {
	Title string
	Plot  template.HTML
	Wide  bool
}

type drawing struct {
	Name, Arch string
	SVG        template.HTML
}

type swatch struct {
	Name  string
	Style template.CSS
}

type iouRow struct {
	Class swatch
	Cells []iouCell
}

type iouCell struct {
	Text  string
	Style template.CSS
	Best  bool
}

type sceneRow struct {
	Name     string
	Pictures []template.URL
}

func newParts(figures []Figure, networks []Network, classes []Class, ious []ClassIoU, scenes []Scene) (parts, error) {
	var p parts
	if err := p.addCurves(figures); err != nil {
		return p, err
	}
	p.addNetworks(networks)
	p.addClasses(classes, ious)
	return p, p.addScenes(scenes)
}

func (p *parts) addCurves(figures []Figure) error {
	for i := range figures {
		if len(figures[i].Series) == 0 {
			continue
		}
		plot, err := figures[i].curves()
		if err != nil {
			return err
		}
		p.Curves = append(p.Curves, curve{figures[i].Title, plot, figures[i].wide()})
	}
	return nil
}

func (p *parts) addNetworks(networks []Network) {
	var used [10]bool
	for _, n := range networks {
		p.Drawings = append(p.Drawings, drawing{n.Name, n.Arch.String(), template.HTML(archSVG(n.Arch))})
		for s := range n.Arch.Blocks {
			for _, b := range n.Arch.Blocks[s][:n.Arch.Depth[s]] {
				used[b.Kernel] = true
			}
		}
	}
	for k, is := range used {
		if is {
			p.Kernels = append(p.Kernels, k)
		}
	}
}

func (p *parts) addClasses(classes []Class, ious []ClassIoU) {
	for _, c := range classes {
		p.Swatches = append(p.Swatches, swatch{c.Name, template.CSS("background:" + hex(c.Color))})
	}
	if len(ious) == 0 {
		return
	}
	for _, n := range ious {
		p.IoUHeader = append(p.IoUHeader, n.Name)
	}
	for i, s := range p.Swatches {
		row := iouRow{Class: s}
		best := 0.0
		for _, n := range ious {
			if i < len(n.IoU) && !math.IsNaN(n.IoU[i]) {
				best = max(best, n.IoU[i])
			}
		}
		for _, n := range ious {
			cell := iouCell{Text: unknown}
			if i < len(n.IoU) && !math.IsNaN(n.IoU[i]) {
				cell.Text = fmt.Sprintf("%.1f", 100*n.IoU[i])
				cell.Style = template.CSS(fmt.Sprintf("--share:%.1f%%", 100*n.IoU[i]))
				cell.Best = len(ious) > 1 && n.IoU[i] == best && best > 0
			}
			row.Cells = append(row.Cells, cell)
		}
		p.IoURows = append(p.IoURows, row)
	}
}

func hex(c color.Color) string {
	rgb := color.NRGBAModel.Convert(c).(color.NRGBA)
	return fmt.Sprintf("#%02x%02x%02x", rgb.R, rgb.G, rgb.B)
}

// addScenes gives every network a column, in the order in which they first occur.
func (p *parts) addScenes(scenes []Scene) error {
	column := map[string]int{}
	for _, s := range scenes {
		for _, prediction := range s.Predictions {
			if _, known := column[prediction.Name]; !known {
				column[prediction.Name] = len(column)
				p.SceneHeads = append(p.SceneHeads, prediction.Name)
			}
		}
	}
	for _, s := range scenes {
		pictures := make([]image.Image, 2+len(column))
		pictures[0], pictures[1] = s.Input, s.Truth
		for _, prediction := range s.Predictions {
			pictures[2+column[prediction.Name]] = prediction.Image
		}
		row := sceneRow{Name: s.Name, Pictures: make([]template.URL, len(pictures))}
		for i, picture := range pictures {
			if picture == nil {
				continue
			}
			url, err := dataURL(picture, i > 0)
			if err != nil {
				return fmt.Errorf("scene %s: %w", s.Name, err)
			}
			row.Pictures[i] = url
		}
		p.SceneRows = append(p.SceneRows, row)
	}
	return nil
}

const pictureWidth = 512 // pixels at most in the page

// dataURL turns a picture into a data URL. Wide ones shrink: label pictures by picking pixels, since colours between classes
// would be classes that are not there.
func dataURL(picture image.Image, labels bool) (template.URL, error) {
	if size := picture.Bounds().Size(); size.X > pictureWidth {
		small := image.NewRGBA(image.Rect(0, 0, pictureWidth, max(1, size.Y*pictureWidth/size.X)))
		scaler := xdraw.Interpolator(xdraw.CatmullRom)
		if labels {
			scaler = xdraw.NearestNeighbor
		}
		scaler.Scale(small, small.Bounds(), picture, picture.Bounds(), xdraw.Src, nil)
		picture = small
	}
	var file bytes.Buffer
	encoder := png.Encoder{CompressionLevel: png.BestCompression}
	if err := encoder.Encode(&file, picture); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(file.Bytes())), nil
}
