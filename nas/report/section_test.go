package report

import (
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/space"
)

// exampleSections has every part in its first section, long names in its second, many names in its third, words alone in its last.
func exampleSections() Report {
	scene := exampleReport()
	sharing := Section{
		Name: "sharing", Title: "Does sharing weights rank networks as training each does?",
		Lead: "Twelve random networks, each trained on its own for 20 epochs with three seeds, beside their scores with the supernet's weights.",
		Tables: []Table{
			{Title: "Rank correlation (Kendall)", Header: []string{"", "shared", "alone", "alone, half"}, Note: "The diagonal: between seeds.",
				Rows:   [][]string{{"shared", "0.93", "0.71", "0.69"}, {"alone", "0.71", "0.88", "0.86"}, {"alone, half", "0.69", "0.86", "–"}},
				Strong: [][2]int{{0, 1}, {1, 2}, {2, 3}}},
			{Title: "The settings", Header: []string{"setting", "mIoU %", "minutes", "what differs", "kept"},
				Rows: [][]string{{"as it is", "68.3 ± 0.4", "12", "nothing: the recipe with all that it has", "yes"},
					{"no transforms", "67.1 ± 0.6", "11.5", "smaller kernels are the centres of larger ones", "no"}, {"failed", "–"}}},
		},
		Notes:    []string{"Shared weights rank about as well as training for half as long.", "Drawn scenes, 128x256 pixels, three seeds; two cores."},
		Networks: []Network{{"best with shared weights", winner}, {"best trained alone", space.HandScaled()}},
		Classes:  scene.Classes, ClassIoU: scene.ClassIoU, Scenes: scene.Scenes[:2],
	}
	alone := Series{Name: "alone, over shared weights", Dots: true}
	for i := range 12 {
		alone.X, alone.Y = append(alone.X, 50+float64(i*7%12)), append(alone.Y, 60+0.8*float64(i*7%12)+float64(i%3))
		alone.Error = append(alone.Error, 0.3+0.1*float64(i%4))
	}
	sharing.Figures = []Figure{
		{Title: "Alone against shared", XLabel: "mIoU with shared weights (%)", YLabel: "mIoU trained alone (%)", Series: []Series{alone}},
		{Title: "The phases", YLabel: "mIoU (%)", Ticks: []string{"largest", "elastic kernel", "elastic depth"},
			Series: []Series{{Name: "small", X: []float64{0, 1, 2}, Y: []float64{55, 58, 61}, Error: []float64{1, 0.5, 0.7}},
				{Name: "large", X: []float64{0, 1, 2}, Y: []float64{66, 65.5, 65}, Error: []float64{0.4, 0.6, 0.7}}}},
	}
	long := Figure{Title: "What each option changes", YLabel: "mIoU (%)",
		Ticks: []string{"as it is", "no class weights", "class weights without a cap", "no auxiliary head on the detail branch", "colour jitter", "half the learning rate"}}
	long.Series = []Series{{X: []float64{0, 1, 2, 3, 4, 5}, Y: []float64{68.3, 66.1, 67.8, 67.2, 68.5, 66.9}, Error: []float64{0.4, 0.6, 0.3, 0.5, 0.8, 0.2}}}
	many := Figure{Title: "Every network", YLabel: "mIoU (%)", Series: []Series{{Name: "mean of three seeds"}, {Name: "one seed"}}}
	for i := range 24 {
		x, y := float64(i), 60+10*math.Sin(float64(i))
		many.Ticks = append(many.Ticks, fmt.Sprintf("k3e6.k5e4_k3e3_%d", i))
		many.Series[0].X, many.Series[0].Y = append(many.Series[0].X, x), append(many.Series[0].Y, y)
		many.Series[0].Error = append(many.Series[0].Error, 1+math.Cos(x))
		many.Series[1].X, many.Series[1].Y = append(many.Series[1].X, x), append(many.Series[1].Y, y+2)
	}
	return Report{Title: "What the parts are worth", Subtitle: "ablations", Highlights: scene.Highlights[:2], Sections: []Section{sharing,
		{Name: "recipe", Title: "What each option of the recipe changes", Figures: []Figure{long}},
		{Name: "networks", Title: "Every network", Figures: []Figure{many}},
		{Name: "words", Title: "Words alone", Lead: "There is nothing to see."},
	}, Conditions: scene.Conditions}
}

func TestSections_StandInOrderWithAllTheirParts(t *testing.T) {
	text := write(t, exampleSections())
	if *keep != "" {
		if err := os.WriteFile(filepath.Join(filepath.Dir(*keep), "sections-"+filepath.Base(*keep)), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	at := 0
	for _, want := range []string{
		`href="#sharing"`, `href="#recipe"`, `href="#networks"`, `href="#words"`, `id="highlights"`,
		`id="sharing"`, "<h2>Does sharing", "Twelve random", "Rank correlation", "The diagonal", "The settings", "Shared weights rank", "Alone against", "The phases",
		"best with shared weights", winner.String(), "best trained alone", "Intersection over union", "95.1", "Scenes", "data:image/png;base64,",
		`id="recipe"`, `id="networks"`, `id="words"`, "nothing to see", `id="conditions"`,
	} {
		next := strings.Index(text[at:], want)
		if next < 0 {
			t.Fatalf("%q is not there, or too early", want)
		}
		at += next
	}
	if drawings, pictures := strings.Count(text, "<svg "), strings.Count(text, "<img "); drawings != 6 || pictures != 8 {
		t.Errorf("%d drawings and %d pictures instead of 6 and 8", drawings, pictures)
	}
}

func TestSections_LeaveOutWhatIsEmpty(t *testing.T) {
	text := write(t, Report{Sections: []Section{{Name: "bare", Title: "Bare", Tables: []Table{{Title: "void", Header: []string{"a"}}}, Figures: []Figure{{Title: "void"}}}}})
	_, section, found := strings.Cut(text, `<section class="question" id="bare">`)
	section, _, _ = strings.Cut(section, "</section>")
	if strings.TrimSpace(section) != "<h2>Bare</h2>" || !found {
		t.Errorf("an empty section shows %q", section)
	}
	if strings.Contains(text, "href=") {
		t.Error("one section has a list of links")
	}
	for _, id := range sections {
		if strings.Contains(text, `id="`+id+`"`) {
			t.Errorf("a report of one section has a part %s", id)
		}
	}
	if strings.Contains(write(t, exampleReport()), "question") {
		t.Error("a report without sections speaks of them")
	}
}

func TestSections_AreSelfContainedAndEscaped(t *testing.T) {
	const evil = `</text><script>alert("x")</script>`
	r := exampleSections()
	text := write(t, r)
	for _, link := range regexp.MustCompile(`(?:src|href)="([^"]{0,40})`).FindAllStringSubmatch(text, -1) {
		if id, inside := strings.CutPrefix(link[1], "#"); !strings.HasPrefix(link[1], "data:image/png;base64,") && !(inside && strings.Contains(text, `id="`+id+`"`)) {
			t.Errorf("the report refers to %q", link[1])
		}
	}
	for _, outside := range []string{"http:", "https:", "ZgotmplZ"} {
		if strings.Contains(text, outside) {
			t.Errorf("the report has %q in it", outside)
		}
	}
	if left := regexp.MustCompile(`(?:fill|stroke):#[0-9A-Fa-f]+`).FindString(text); left != "" {
		t.Errorf("a drawing has the fixed colour %s, unfit for one of light and dark", left)
	}
	s := &r.Sections[0]
	s.Name, s.Title, s.Lead, s.Notes[0] = evil, evil, evil, evil
	s.Tables[0].Title, s.Tables[0].Header[1], s.Tables[0].Rows[0][1], s.Tables[0].Note = evil, evil, evil, evil
	s.Networks[0].Name, s.Scenes[0].Name, s.Classes[0].Name, s.ClassIoU[0].Name = evil, evil, evil, evil
	s.Figures[1].Title, s.Figures[1].Ticks[0], s.Figures[1].Ticks[1], s.Figures[1].Series[0].Name = evil, evil, strings.Repeat(evil, 3), evil
	if strings.Contains(write(t, r), "<script") {
		t.Error("a text became markup")
	}
}

func TestTable_AlignsFiguresRightAndMarksStrongCells(t *testing.T) {
	table := Table{
		Header: []string{"name", "mIoU", "change", "what", "unknown", "mostly"},
		Rows:   [][]string{{"1", "68.3 ± 0.4", "−0.4", "a word", "–", "12"}, {"2", "failed", "(+1.2 %)", "3 words", ""}, {"3", "< 9", "", "yes", "–", "7 ms"}},
		Strong: [][2]int{{0, 0}, {1, 3}, {9, 9}},
	}
	s := table.sheet()
	for _, line := range append([][]sheetCell{s.Head}, s.Lines...) {
		for column, cell := range line {
			if text := strings.HasPrefix(cell.Class, "text"); text != (column == 3) {
				t.Errorf("column %s: %+v", table.Header[column], cell)
			}
		}
		if len(line) != 6 {
			t.Errorf("a line of %d cells", len(line))
		}
	}
	html := write(t, Report{Sections: []Section{{Name: "t", Tables: []Table{table}}}})
	for _, want := range []string{`<td class="strong">1</td>`, `<td class="text strong">3 words</td>`, `<th class="text">what</th>`, `<th>mIoU</th>`, `<td>failed</td>`} {
		if !strings.Contains(html, want) {
			t.Errorf("no %s", want)
		}
	}
	if strong := regexp.MustCompile(`class="[a-z ]*strong"`).FindAllString(html, -1); len(strong) != 2 {
		t.Errorf("%d strong cells instead of 2", len(strong))
	}
}

func drawn(t *testing.T, f Figure) string {
	t.Helper()
	svg, err := f.curves()
	if err != nil {
		t.Fatal(err)
	}
	return string(svg)
}

// strokes are the open paths that are drawn in a colour: lines, error bars and their caps.
func strokes(svg, colour string) (lines []string) {
	for _, path := range regexp.MustCompile(`<path [^>]*>`).FindAllString(svg, -1) {
		if strings.Contains(path, "stroke:var(--"+colour+")") {
			lines = append(lines, path)
		}
	}
	return lines
}

func TestFigure_ErrorBarsAreDrawnInTheSeriesColour(t *testing.T) {
	nan := math.NaN()
	f := Figure{Title: "bars", Ticks: []string{"a", "b", "c", "d", "e"}, Series: []Series{
		{X: []float64{0, 1}, Y: []float64{1, 2}},
		{X: []float64{0, 1, 2, 3, 4}, Y: []float64{1, 2, 3, nan, 5}, Error: []float64{0.5, 0, nan, 1}},
		{X: []float64{0, 1}, Y: []float64{1, 40}, Error: []float64{0.1, 60}},
	}}
	svg := drawn(t, f)
	// A bar is a line and two caps. Of the second series one point has a finite height; the third's bars reach to -20 and 100.
	for i, want := range []int{0, 3, 6} {
		if got := len(strokes(svg, fmt.Sprintf("s%d", i+1))); got != want {
			t.Errorf("series %d has %d strokes instead of %d", i+1, got, want)
		}
	}
	for _, want := range []string{">100</text>", ">-20</text>"} {
		if !strings.Contains(svg, want) {
			t.Errorf("the axis leaves out %s, where a bar ends", want)
		}
	}
	if fills := strings.Count(svg, "fill:var(--s2)"); fills != 4 {
		t.Errorf("%d dots instead of the 4 finite ones", fills)
	}
}

func TestFigure_SeriesOfOnePlaceDoNotHideEachOther(t *testing.T) {
	same := Series{X: []float64{0, 1}, Y: []float64{3, 4}, Error: []float64{1, 1}}
	svg := drawn(t, Figure{Ticks: []string{"a", "b"}, Series: []Series{same, same}})
	path := regexp.MustCompile(` d="[^"]*"`)
	below := strokes(svg, "s1")
	for i, above := range strokes(svg, "s2") {
		if bar := path.FindString(above); bar == "" || bar == path.FindString(below[i]) {
			t.Errorf("an error bar lies on another: %s", above)
		}
	}
}

func TestFigure_DotsHaveNoLineAndAreNotThinned(t *testing.T) {
	s := Series{Name: "many"}
	for i := range 2 * curvePoints {
		s.X, s.Y = append(s.X, float64(i)), append(s.Y, float64(i%7))
	}
	if lines := strokes(drawn(t, Figure{Series: []Series{s}}), "s1"); len(lines) == 0 {
		t.Error("a curve has no line")
	}
	s.Dots = true
	svg := drawn(t, Figure{Series: []Series{s}})
	if lines := strokes(svg, "s1"); len(lines) != 0 {
		t.Errorf("dots are joined by %d lines", len(lines))
	}
	if dots := strings.Count(svg, "fill:var(--s1)"); dots < len(s.X) {
		t.Errorf("%d dots of %d", dots, len(s.X))
	}
}

// Each name must be in the drawing, whole, in one piece or in lines, and short ones lie level.
func TestFigure_PlacesAreNamed(t *testing.T) {
	texts := regexp.MustCompile(`<text [^>]*>([^<]*)</text>`)
	for _, f := range []Figure{exampleSections().Sections[0].Figures[1], exampleSections().Sections[1].Figures[0], exampleSections().Sections[2].Figures[0]} {
		svg := drawn(t, f)
		var written []string
		for _, m := range texts.FindAllStringSubmatch(svg, -1) {
			written = append(written, m[1])
		}
		all := strings.Join(strings.Fields(strings.Join(written, " ")), " ")
		for _, name := range f.Ticks {
			if !strings.Contains(all, name) {
				t.Errorf("%s: no %q among %q", f.Title, name, all)
			}
		}
		if slanted := strings.Contains(svg, "rotate(-45)"); slanted != (len(f.Ticks) > 20) {
			t.Errorf("%s: slanted is %t", f.Title, slanted)
		}
	}
}

func TestSections_SurviveThinData(t *testing.T) {
	nan := math.NaN()
	write(t, Report{Sections: []Section{{}, {}, {Tables: []Table{{Rows: [][]string{{}, nil}}, {Header: []string{"a", "b"}, Rows: [][]string{{"1"}}}},
		Figures: []Figure{{Ticks: []string{""}, Series: []Series{{}}}, {Ticks: []string{"a"}, Series: []Series{{X: []float64{7}, Y: []float64{nan}, Error: []float64{1}}}},
			{Series: []Series{{X: []float64{1}, Y: []float64{2}, Error: []float64{math.Inf(1), 3}, Dots: true}}}},
		Networks: []Network{{}}, Classes: []Class{{"a", color.Black}}, ClassIoU: []ClassIoU{{"short", nil}}}}})
}

func TestSectionParts_ReadBackFromJSON(t *testing.T) {
	type kept struct {
		Tables   []Table   `json:"tables"`
		Figures  []Figure  `json:"figures"`
		Networks []Network `json:"networks"`
	}
	s := exampleSections().Sections[0]
	before := kept{s.Tables, s.Figures, s.Networks}
	text, err := json.Marshal(before)
	if err != nil {
		t.Fatal(err)
	}
	var after kept
	if err := json.Unmarshal(text, &after); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(before, after) {
		t.Errorf("read back as %+v", after)
	}
	for _, want := range []string{`"x_label":`, `"dots":true`, `"error":[`, `"strong":[[0,1]`, `"arch":"` + winner.String() + `"`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if bare, _ := json.Marshal(Table{}); string(bare) != `{"rows":null}` {
		t.Errorf("an empty table is %s", bare)
	}
}
