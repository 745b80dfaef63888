package report

import (
	"fmt"
	"html"
	"strings"

	"github.com/segnas/segnas/nas/space"
)

// Sizes of an architecture's picture in SVG units.
const (
	barWidth    = 30
	barGap      = 6
	stageGap    = 26
	expandUnit  = 15 // height of one step of the expand ratio
	tallest     = 9  // expand ratio at the top of the scale, unless all blocks stay below 6
	archLeft    = 34
	archTop     = 10
	archBottom  = 24
	stageWidth  = space.MaxDepth*barWidth + (space.MaxDepth-1)*barGap
	archPadding = 8
	bitsLine    = 14 // a line of text more, where there are bit widths
)

// archColours are the colours on their own, for a picture outside the report, whose style sheet overrides them.
var archColours = map[string]string{"k3": "#56b4e9", "k5": "#d55e00", "k7": "#009e73", "ink": "#5b6470", "grid": "#d9dee4"}

func archColour(name string) string { return fmt.Sprintf("var(--%s,%s)", name, archColours[name]) }

// ArchSVG draws an architecture as an SVG document of its own: one bar a block, grouped by stage; the colour, and the figure in the
// bar, is the kernel size, the height the expand ratio. Blocks that the stage leaves out are dotted outlines. Above a quantised block stand the bits of
// its weights and of its activations, as 8/6, and below the stages those of the parts outside the blocks.
func ArchSVG(a space.Arch) string {
	return strings.Replace(archSVG(a), "<svg ", `<svg xmlns="http://www.w3.org/2000/svg" `, 1)
}

// archSVG is ArchSVG as an element of an HTML page, which needs no name space.
func archSVG(a space.Arch) string {
	top := 6
	for s := range a.Blocks {
		for _, b := range a.Blocks[s] {
			if b.Expand > 6 {
				top = tallest
			}
		}
	}
	base := archTop + top*expandUnit
	quantised := 0
	if a.IsQuantised() {
		quantised = bitsLine
	}
	base += quantised
	w := archLeft + space.Stages*stageWidth + (space.Stages-1)*stageGap + archPadding
	h := base + archBottom + quantised
	var svg strings.Builder
	fmt.Fprintf(&svg, `<svg viewBox="0 0 %d %d" role="img" aria-label="architecture %s" font-family="Arial, Helvetica, sans-serif" font-size="11">`,
		w, h, html.EscapeString(a.String()))
	for e := 0; e <= top; e += 2 {
		y := base - e*expandUnit
		fmt.Fprintf(&svg, `<path d="M%d,%dH%d" stroke="%s"/>`, archLeft-4, y, w-archPadding, archColour("grid"))
		fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="end" fill="%s">%d</text>`, archLeft-8, y+4, archColour("ink"), e)
	}
	fmt.Fprintf(&svg, `<text transform="translate(10,%d) rotate(-90)" text-anchor="middle" fill="%s">expand ratio</text>`,
		base-top*expandUnit/2, archColour("ink"))
	for s := range a.Blocks {
		x := archLeft + s*(stageWidth+stageGap)
		for i := range a.Blocks[s] {
			writeBar(&svg, x+i*(barWidth+barGap), base, a.Blocks[s][i])
		}
		fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="middle" fill="%s">stage %d</text>`, x+stageWidth/2, base+16, archColour("ink"), s+1)
	}
	if a.IsQuantised() {
		fmt.Fprintf(&svg, `<text x="%d" y="%d" text-anchor="middle" fill="%s">%s</text>`, (archLeft+w)/2, base+16+bitsLine, archColour("ink"), outerBits(a))
	}
	svg.WriteString("</svg>")
	return svg.String()
}

func writeBar(svg *strings.Builder, x, base int, b space.Block) {
	if b == (space.Block{}) {
		fmt.Fprintf(svg, `<rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="none" stroke="%s" stroke-opacity="0.6" stroke-dasharray="2 3"/>`,
			x, base-2*expandUnit, barWidth, 2*expandUnit, archColour("ink"))
		return
	}
	height := int(b.Expand) * expandUnit
	fmt.Fprintf(svg, `<rect x="%d" y="%d" width="%d" height="%d" rx="2" fill="%s"><title>kernel %dx%d, expand ratio %d</title></rect>`,
		x, base-height, barWidth, height, archColour(fmt.Sprintf("k%d", b.Kernel)), b.Kernel, b.Kernel, b.Expand)
	fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="middle" font-weight="bold" fill="#10151b">%d</text>`, x+barWidth/2, base-6, b.Kernel)
	if b.Bits != (space.Bits{}) {
		fmt.Fprintf(svg, `<text x="%d" y="%d" text-anchor="middle" fill="%s">%d/%d</text>`, x+barWidth/2, base-height-4, archColour("ink"), b.Bits.W, b.Bits.A)
	}
}

// outerBits lists the bit widths outside the blocks.
func outerBits(a space.Arch) string {
	names := [space.OuterParts]string{"stem", "detail", "head", "", "classifier"} // the head has two parts
	text := "weights/activations:"
	for i, b := range a.Outer {
		text += fmt.Sprintf(" %s %d/%d", names[i], b.W, b.A)
	}
	return strings.ReplaceAll(text, "  ", ", ")
}
