package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/space"
)

var (
	update = flag.Bool("update", false, "rewrite the golden files")
	keep   = flag.String("keep", "", "write the example report to this file, to look at")
)

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (-update rewrites it):\n%s", path, got)
	}
}

var winner = func() space.Arch {
	a, err := space.Parse("k3e6.k5e4_k3e3.k5e4.k5e3_k5e6.k3e4.k5e4.k5e3")
	if err != nil {
		panic(err)
	}
	return a
}()

func exampleRows() []Row {
	yes, no := true, false
	return []Row{
		{Name: "baseline", Arch: space.Baseline().String(), MIoU: 0.6831, MIoUSpread: 0.004, MACs: 997_000_000, Params: 1_071_000,
			PredictedMS: 12.34, MeasuredMS: 12.41, Q1MS: 12.3, Q3MS: 12.62, Samples: 60, FPS: 80.6, WithinLimit: &no},
		{Name: "control", Arch: space.Baseline().String(), MIoU: 0.679, MACs: 997_000_000, Params: 1_071_000, PredictedMS: 12.34, WithinLimit: &no},
		{Name: "Fast-SCNN", MIoU: 0.66, MACs: 300_000_000, Params: 1_110_000, MeasuredMS: 9.5, FPS: 105.3},
		{Name: "winner", Arch: winner.String(), MIoU: 0.694, MACs: 812_000_000, Params: 833_000, PredictedMS: 9.87, MeasuredMS: 9.91,
			Q1MS: 9.8, Q3MS: 10.04, P99MS: 11.2, Samples: 60, FPS: 100.9, WithinLimit: &yes, Winner: true},
	}
}

// exampleReport has every part, drawn from a fixed seed.
func exampleReport() Report {
	rng := rand.New(rand.NewPCG(1, 2))
	r := Report{
		Title: "A network for this machine", Subtitle: "scenes, 128x256 pixels, limit 10.3 ms",
		Highlights: []Field{{"winner's mIoU", "69.4 %", "baseline 68.3 %"}, {"measured", "9.91 ms", "limit 10.3 ms"},
			{"against the baseline", "1.25x faster", "12.4 ms"}, {"parameters", "0.833 M", "baseline 1.071 M"}},
		Conditions: []Field{{"processor", "Fake 9000", ""}, {"instruction set", "avx2", "of scalar, avx2"}, {"threads", "2", ""}, {"seed", "1", ""}},
		Plan:       []Field{{"data", "scenes, 19 classes", "256 to train on"}, {"supernet", "3 phases, 40 epochs", ""}, {"search", "10 generations of 100", ""}},
		Rows:       exampleRows(),
		Notes:      []string{"Measured in turns, in one process: the median of 60 accepted runs."},
		Networks:   []Network{{"baseline", space.Baseline()}, {"hand-scaled", space.HandScaled()}, {"winner", winner}},
		Stages: []Stage{{"supernet", 154 * time.Second, "3 phases"}, {"latency table", 9 * time.Second, "37 entries"},
			{"search", 41 * time.Second, "1000 networks"}, {"retraining", 98 * time.Second, "4 networks"}},
		Next: []string{"go run ./tools/segment --model run/winner.segnas street.png", "go run ./tools/profile --verify 50"},
	}
	r.Search = exampleSearch(rng)
	r.Verification = exampleVerification(rng)
	r.Figures = exampleFigures(rng)
	r.Classes = []Class{{"road", color.RGBA{128, 64, 128, 255}}, {"sky", color.RGBA{70, 130, 180, 255}}, {"car", color.RGBA{0, 0, 142, 255}}, {"train", color.RGBA{0, 80, 100, 255}}}
	r.ClassIoU = []ClassIoU{{"baseline", []float64{0.95, 0.91, 0.62, math.NaN()}}, {"winner", []float64{0.951, 0.90, 0.66, math.NaN()}}}
	for i := range 3 {
		r.Scenes = append(r.Scenes, exampleScene(i, r.Classes))
	}
	return r
}

func exampleSearch(rng *rand.Rand) *Search {
	s := &Search{Cost: "predicted latency", Unit: "ms", Limit: 10.28, Marks: []Mark{{"winner", 9.87, 0.641}, {"baseline", 12.34, 0.633}, {"hand-scaled", 8.1, 0.601}}}
	sp := space.Default()
	for g := 1; g <= 10; g++ {
		for range 60 {
			cost := 10.28 - math.Abs(rng.NormFloat64())*(2.5-0.2*float64(g))
			s.Evaluated = append(s.Evaluated, Point{Cost: cost, MIoU: 0.57 + 0.015*math.Log(max(0.5, cost)) + 0.003*float64(g) + 0.012*rng.NormFloat64(), Generation: g, Arch: sp.Sample(rng)})
		}
	}
	return s
}

func exampleVerification(rng *rand.Rand) *latency.Verification {
	v := &latency.Verification{
		Setup: latency.Setup{Identity: latency.Identity{Kind: "cpu", CPU: "Fake 9000", ISA: "avx2", Threads: 2, Library: "aaaa"}, H: 128, W: 256, Batch: 1},
		Whole: latency.Accuracy{MAPE: 0.021, Bias: -0.004, Max: 0.061, Spearman: 0.991, Within5: 0.96, Within10: 1}, Level: 1.02,
		Unscaled:   latency.Accuracy{MAPE: 0.024, Bias: 0.016, Max: 0.083, Spearman: 0.991, Within5: 0.92, Within10: 1},
		Searched:   latency.Accuracy{MAPE: 0.034, Bias: 0.002, Max: 0.09, Spearman: 0.987, Within5: 0.8, Within10: 1},
		Conditions: latency.Conditions{Turns: 1700, Rejected: 113},
	}
	sp := space.Default()
	for range 50 {
		ms := 6 + 7*rng.Float64()
		v.Points = append(v.Points, latency.Point{Arch: sp.Sample(rng), Predicted: ms * (1 + 0.02*rng.NormFloat64()), Measured: ms, Q1: ms * 0.98, Q3: ms * 1.02,
			PredictedSearched: (ms - 3) * (1 + 0.03*rng.NormFloat64()), MeasuredSearched: ms - 3})
	}
	return v
}

func exampleFigures(rng *rand.Rand) []Figure {
	loss := Figure{Title: "Loss", XLabel: "step", YLabel: "loss"}
	miou := Figure{Title: "mIoU on the validation set", XLabel: "epoch", YLabel: "mIoU (%)"}
	for i, name := range []string{"supernet, depth 4", "supernet, depths 3 to 4", "supernet, depths 2 to 4", "baseline", "control", "hand-scaled", "winner"} {
		l, m := Series{Name: name}, Series{Name: name}
		for step := range 900 {
			x := float64(step)
			l.X, l.Y = append(l.X, x), append(l.Y, 0.5+0.1*float64(i)+2*math.Exp(-x/200)+0.1*rng.NormFloat64())
		}
		for epoch := range 12 {
			x := float64(epoch + 1)
			m.X, m.Y = append(m.X, x), append(m.Y, 60+float64(i)-50*math.Exp(-x/4))
		}
		loss.Series, miou.Series = append(loss.Series, l), append(miou.Series, m)
	}
	return []Figure{loss, miou}
}

func exampleScene(i int, classes []Class) Scene {
	label := func(shift int) image.Image {
		img := image.NewRGBA(image.Rect(0, 0, 256, 128))
		for y := range 128 {
			for x := range 256 {
				c := classes[1]
				if y > 60+shift {
					c = classes[0]
				}
				if dx, dy := x-(60+60*i+shift), y-75; dx*dx+2*dy*dy < 900 {
					c = classes[2]
				}
				img.Set(x, y, c.Color)
			}
		}
		return img
	}
	return Scene{Name: "scene " + string(rune('1'+i)), Input: label(0), Truth: label(0),
		Predictions: []Prediction{{"baseline", label(4)}, {"winner", label(2)}}}
}

func write(t *testing.T, r Report) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "report.html")
	if err := Write(path, r); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

var sections = []string{"highlights", "comparison", "search", "architectures", "scenes", "classes", "training", "latency", "conditions", "plan", "stages", "next"}

func TestWrite_FullReportHasEveryPart(t *testing.T) {
	text := write(t, exampleReport())
	for _, id := range sections {
		if !strings.Contains(text, `id="`+id+`"`) {
			t.Errorf("no section %s", id)
		}
	}
	for _, want := range []string{winner.String(), "Pareto front", "generation 1", "limit 10.28 ms", "searched part", "2 min 34 s", "data:image/png;base64,", "69.4", "12.30 – 12.62"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q", want)
		}
	}
	if drawings := strings.Count(text, "<svg "); drawings != 7 || drawings != strings.Count(text, "</svg>") {
		t.Errorf("%d drawings instead of 7", drawings)
	}
	if pictures := strings.Count(text, "<img "); pictures != 12 {
		t.Errorf("%d pictures instead of 12", pictures)
	}
	if *keep != "" {
		if err := os.WriteFile(*keep, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrite_EmptyReportHasNoPart(t *testing.T) {
	for _, r := range []Report{{Title: "nothing"}, {Title: "nothing", Search: &Search{}, Verification: &latency.Verification{}}} {
		text := write(t, r)
		for _, id := range sections {
			if strings.Contains(text, `id="`+id+`"`) {
				t.Errorf("an empty report has a section %s", id)
			}
		}
		if !strings.Contains(text, "<h1>nothing</h1>") {
			t.Error("no title")
		}
	}
}

func TestWrite_IsSelfContained(t *testing.T) {
	text := write(t, exampleReport())
	for _, outside := range []string{"http:", "https:", "<script", "<link", "@import", "url(", "xlink", "<iframe", "ZgotmplZ"} {
		if strings.Contains(text, outside) {
			t.Errorf("the report has %q in it", outside)
		}
	}
	for _, src := range regexp.MustCompile(`(?:src|href)="([^"]{0,40})`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(src[1], "data:image/png;base64,") {
			t.Errorf("the report refers to %q", src[1])
		}
	}
	if left := regexp.MustCompile(`(?:fill|stroke):#[0-9A-Fa-f]+`).FindString(text); left != "" {
		t.Errorf("a drawing has the fixed colour %s, unfit for one of light and dark", left)
	}
}

func TestWrite_SameReportSameBytes(t *testing.T) {
	if write(t, exampleReport()) != write(t, exampleReport()) {
		t.Error("two writes differ")
	}
}

func TestWrite_EscapesNames(t *testing.T) {
	const evil = `</text><script>alert("x")</script>`
	r := exampleReport()
	r.Title, r.Subtitle, r.Rows[0].Name, r.Networks[0].Name, r.Next[0], r.Scenes[0].Name = evil, evil, evil, evil, evil, evil
	r.Search.Marks[0].Name, r.Search.Cost, r.Figures[0].Title, r.Figures[0].XLabel, r.Figures[0].Series[0].Name = evil, evil, evil, evil, evil
	r.Classes[0].Name, r.ClassIoU[0].Name, r.Scenes[0].Predictions[0].Name, r.Stages[0].Detail, r.Conditions[0].Value = evil, evil, evil, evil, evil
	r.Verification.Setup.Identity.CPU = evil
	if text := write(t, r); strings.Contains(text, "<script") {
		t.Error("a name became markup")
	}
}

func TestWrite_SurvivesThinData(t *testing.T) {
	nan := math.NaN()
	write(t, Report{
		Search:       &Search{Cost: "MACs", Unit: "G", Evaluated: []Point{{Cost: 1, MIoU: 0.5}, {Cost: nan, MIoU: nan}}, Marks: []Mark{{"lost", nan, 0}}},
		Verification: &latency.Verification{Points: []latency.Point{{Predicted: 1, Measured: 1, PredictedSearched: 1, MeasuredSearched: 1}}},
		Figures:      []Figure{{}, {Series: []Series{{X: []float64{1}, Y: []float64{2}}, {X: []float64{1, 2}, Y: []float64{nan}}}}},
		Rows:         []Row{{}}, Networks: []Network{{}}, Stages: []Stage{{}},
		Classes: []Class{{"a", color.Black}}, ClassIoU: []ClassIoU{{"short", nil}},
		Scenes: []Scene{{Truth: image.NewGray(image.Rect(0, 0, 2000, 2))}},
	})
}

func TestWrite_FailureLeavesTheOldFile(t *testing.T) {
	dir := t.TempDir()
	if err := Write(filepath.Join(dir, "none", "report.html"), Report{}); err == nil {
		t.Error("written into a folder that is not there")
	}
	path := filepath.Join(dir, "report.html")
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	r := exampleReport()
	r.Scenes[0].Input = image.NewGray(image.Rectangle{}) // PNG has no empty pictures
	err := Write(path, r)
	if data, _ := os.ReadFile(path); err == nil || string(data) != "old" {
		t.Errorf("a failed report (%v) left %q", err, data)
	}
}

func TestParetoFront_NothingBeatsItsPoints(t *testing.T) {
	points := exampleSearch(rand.New(rand.NewPCG(5, 5))).Evaluated
	front := ParetoFront(append(points, points...))
	for i, f := range front {
		if i > 0 && (f.Cost <= front[i-1].Cost || f.MIoU <= front[i-1].MIoU) {
			t.Errorf("point %d of the front does not rise", i)
		}
		for _, p := range points {
			if p.Cost <= f.Cost && p.MIoU > f.MIoU || p.Cost < f.Cost && p.MIoU >= f.MIoU {
				t.Errorf("%v beats %v of the front", p, f)
			}
		}
	}
}

func TestWriteTable_Golden(t *testing.T) {
	var text bytes.Buffer
	if err := WriteTable(&text, exampleRows()); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", text.String())
	for line := range strings.Lines(text.String()) {
		if strings.TrimRight(line, " \n") != strings.TrimRight(line, "\n") {
			t.Errorf("line ends in blanks: %q", line)
		}
	}
}

func TestWriteTable_LeavesOutUnknownColumns(t *testing.T) {
	var text bytes.Buffer
	if err := WriteTable(&text, []Row{{Name: "a", MACs: 1e9}, {Name: "longer", MACs: 2.5e9}}); err != nil {
		t.Fatal(err)
	}
	if want := "network  GMACs\na        1.000\nlonger   2.500\n"; text.String() != want {
		t.Errorf("got %q", text.String())
	}
}

func TestWriteJSON_ReadsBack(t *testing.T) {
	var text bytes.Buffer
	if err := WriteJSON(&text, exampleRows()); err != nil {
		t.Fatal(err)
	}
	var rows []Row
	if err := json.Unmarshal(text.Bytes(), &rows); err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 || rows[3].MeasuredMS != 9.91 || !*rows[3].WithinLimit || rows[2].WithinLimit != nil {
		t.Errorf("read back as %+v", rows)
	}
	text.Reset()
	if err := WriteJSON(&text, nil); err != nil || text.String() != "[]\n" {
		t.Errorf("no rows are %q, %v", text.String(), err)
	}
}

func TestArchSVG_Golden(t *testing.T) {
	golden(t, "winner.svg", ArchSVG(winner)+"\n")
}

func TestArchSVG_ABarForEveryBlock(t *testing.T) {
	for _, a := range []space.Arch{space.Baseline(), winner, space.Uniform([3]uint8{1, 4, 2}, space.Block{Kernel: 7, Expand: 9})} {
		blocks := 0
		for _, d := range a.Depth {
			blocks += int(d)
		}
		if svg := ArchSVG(a); strings.Count(svg, "<title>") != blocks || strings.Count(svg, "<rect") != space.Stages*space.MaxDepth {
			t.Errorf("%s: %d bars and %d places", a, strings.Count(svg, "<title>"), strings.Count(svg, "<rect"))
		}
	}
}

func TestArchSVG_NamesTheBitWidthsOfEveryPart(t *testing.T) {
	a := winner.Quantised(space.Bits{W: 8, A: 6})
	a.Blocks[0][0].Bits, a.Outer[space.OuterClassifier] = space.Bits{W: 4, A: 7}, space.Bits{W: 5, A: 3}
	svg, blocks := ArchSVG(a), 0
	for _, d := range a.Depth {
		blocks += int(d)
	}
	if n := strings.Count(svg, ">8/6</text>"); n != blocks-1 || !strings.Contains(svg, ">4/7</text>") || !strings.Contains(svg, "head 8/6, 8/6 classifier 5/3") {
		t.Errorf("%d of %d blocks are labelled 8/6 in %s", n, blocks-1, svg)
	}
}

func TestRoundTicks_AreRoundAndFew(t *testing.T) {
	for _, c := range [][2]float64{{0, 1}, {9.7, 12.4}, {-3, 250}, {0.4812, 0.4831}, {1e-9, 3e-9}, {0, 7e8}} {
		ticks := roundTicks(c[0], c[1])
		if len(ticks) < 3 || len(ticks) > 9 {
			t.Errorf("%v: %d ticks", c, len(ticks))
		}
		seen := map[string]bool{}
		for _, tick := range ticks {
			if tick.Value < c[0] || tick.Value > c[1]*(1+1e-9) || seen[tick.Label] {
				t.Errorf("%v: tick %v %q", c, tick.Value, tick.Label)
			}
			seen[tick.Label] = true
		}
	}
	if roundTicks(1, 1) != nil || roundTicks(math.NaN(), 1) != nil {
		t.Error("no span has ticks")
	}
}
