package latency

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// The latency tables of once-for-all (Cai et al. 2020) are YAML, a row an operation:
//
//	expanded_conv-input:HxWxC-output:HxWxC-expand:E-kernel:K-stride:S-idskip:R: {count: N, mean: MS, var: MS2}
//
// with E the expand ratio, R 1 for a block with a shortcut, and times in milliseconds. The fixed parts of this network stand beside the blocks
// under names of their own, without the last four fields: stem, detail, fuse and head; and so do the intercepts that a prediction adds to the
// sum of the operations, of the whole network and of its blocks, which may be below zero.
const (
	ofaBlock         = "expanded_conv"
	ofaIntercept     = "intercept"
	ofaBlocksOverSum = "intercept_blocks"
)

// quartilesPerSD is how many standard deviations lie between the quartiles of a normal distribution.
const quartilesPerSD = 1.349

// ofaRow is a row of such a table.
type ofaRow struct {
	key      string // space.Op.Key
	count    int
	mean     float64 // milliseconds
	variance float64
}

// ExportOFA returns the table in once-for-all's form. A mean there is the median here, at the predictor's canary level, and a variance is that
// of a normal distribution with the quartiles here. A table of integers is misuse: rows of that form have no bit widths.
func (t *Table) ExportOFA() ([]byte, error) {
	if t.setup.Identity.Precision == Integers {
		return nil, misuse.Errorf("latency table %s is of networks with bit widths, which once-for-all's tables have no words for", t.path)
	}
	p, err := t.Predictor()
	if err != nil {
		return nil, err
	}
	ops := map[string]space.Op{}
	for _, a := range append(space.Default().Covering(), space.Baseline()) {
		for _, op := range t.setup.Network.Ops(a, t.setup.H, t.setup.W) {
			ops[op.Key()] = op
		}
	}
	var text bytes.Buffer
	fmt.Fprintf(&text, "# %s, %dx%d pictures, batch %d; means are medians, variances those of the quartiles, in milliseconds\n",
		t.setup.Identity, t.setup.H, t.setup.W, t.setup.Batch)
	row := func(name string, count int, mean, variance float64) {
		fmt.Fprintf(&text, "%s: {count: %d, mean: %.9g, var: %.9g}\n", name, count, mean, variance)
	}
	for _, e := range t.Entries() {
		op, known := ops[e.Op]
		if !known { // of another space than the default, and of no use to others
			continue
		}
		level := float64(p.canary) / float64(e.Canary)
		sd := level * (milliseconds(e.Q3) - milliseconds(e.Q1)) / quartilesPerSD
		row(ofaName(op), e.N, p.ns[e.Op]/1e6, sd*sd)
	}
	whole, blocks := p.InterceptMS()
	row(ofaName(interceptOp(ofaIntercept, t.setup)), len(t.networks), whole, 0)
	row(ofaName(interceptOp(ofaBlocksOverSum, t.setup)), len(t.networks), blocks, 0)
	return text.Bytes(), nil
}

// interceptOp stands for an intercept among the operations.
func interceptOp(kind space.Kind, s Setup) space.Op {
	return space.Op{Kind: kind, InH: s.H, InW: s.W, InC: 3, OutH: s.H, OutW: s.W, OutC: s.Network.Classes}
}

// ofaName is an operation's row name.
func ofaName(op space.Op) string {
	shape := fmt.Sprintf("-input:%dx%dx%d-output:%dx%dx%d", op.InH, op.InW, op.InC, op.OutH, op.OutW, op.OutC)
	if op.Kind != space.MBConv {
		return string(op.Kind) + shape
	}
	skip := 0
	if op.Residual {
		skip = 1
	}
	return fmt.Sprintf("%s%s-expand:%d-kernel:%d-stride:%d-idskip:%d", ofaBlock, shape, op.Expand, op.Kernel, op.Stride, skip)
}

// ImportOFA makes a predictor of a table in once-for-all's form, and says how many rows it has. Such a table does not tell on what device, after
// what warm-up and how steadily it was measured: the predictor's Identity is empty, and its predictions are sums of the rows' means. A row that
// is of no use is misuse that names its line.
func ImportOFA(path string, net space.Network, h, w int) (p *Predictor, rows int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, misuse.Errorf("latency table: %w", err)
	}
	all, err := parseOFA(path, text)
	if err != nil {
		return nil, 0, err
	}
	p = &Predictor{setup: Setup{Network: net, H: h, W: w, Batch: 1}, path: path, ns: map[string]float64{}}
	for _, r := range all {
		p.ns[r.key] = r.mean * 1e6
	}
	p.whole, p.searched = p.ns[interceptOp(ofaIntercept, p.setup).Key()], p.ns[interceptOp(ofaBlocksOverSum, p.setup).Key()]
	return p, len(all), nil
}

// parseOFA reads all rows.
func parseOFA(path string, text []byte) (rows []ofaRow, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	seen := map[string]int{}
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), " \t\r")
		if line == "" || line == "---" || line[0] == '#' {
			continue
		}
		r, err := parseOFARow(line)
		if err == nil && seen[r.key] > 0 {
			err = fmt.Errorf("the row stands in line %d already", seen[r.key])
		}
		if err != nil {
			return nil, misuse.Errorf("%s:%d: %w", path, number, err)
		}
		seen[r.key] = number
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil {
		return nil, misuse.Errorf("%s: %w", path, err)
	}
	if len(rows) == 0 {
		return nil, misuse.Errorf("%s: holds no row; a row reads %s-input:7x7x192-output:7x7x320-expand:6-kernel:5-stride:1-idskip:0: {count: 30, mean: 1.5, var: 0.01}",
			path, ofaBlock)
	}
	return rows, nil
}

func parseOFARow(line string) (r ofaRow, err error) {
	name, value, found := strings.Cut(line, ": ")
	if !found {
		return r, fmt.Errorf("%.60q is no row; it should read NAME: {count: N, mean: MS, var: MS2}, in one line", line)
	}
	if r.key, err = parseOFAName(name); err != nil {
		return r, err
	}
	inside, opened := strings.CutPrefix(value, "{")
	inside, closed := strings.CutSuffix(inside, "}")
	fields := map[string]float64{}
	for field := range strings.SplitSeq(inside, ",") {
		key, number, _ := strings.Cut(strings.TrimSpace(field), ": ")
		v, err := strconv.ParseFloat(number, 64)
		if _, twice := fields[key]; err != nil || math.IsNaN(v) || math.IsInf(v, 0) || twice {
			return r, fmt.Errorf("%.60q should read {count: N, mean: MS, var: MS2}, with numbers", value)
		}
		fields[key] = v
	}
	r.count, r.mean, r.variance = int(fields["count"]), fields["mean"], fields["var"]
	intercept := strings.HasPrefix(r.key, ofaIntercept)
	_, measured := fields["mean"]
	for key := range fields {
		measured = measured && slices.Contains([]string{"count", "mean", "var"}, key)
	}
	measured = measured && opened && closed && float64(r.count) == fields["count"]
	if !measured || r.count < 0 || r.mean < 0 && !intercept || r.variance < 0 {
		return r, fmt.Errorf("%.60q should read {count: N, mean: MS, var: MS2}, with a mean in milliseconds and nothing below 0", value)
	}
	return r, nil
}

// parseOFAName turns a row's name into an operation's key.
func parseOFAName(name string) (key string, err error) {
	parts := strings.Split(name, "-")
	op := space.Op{Kind: space.Kind(parts[0])}
	switch parts[0] {
	case ofaBlock:
		op.Kind = space.MBConv
	case string(space.Stem), string(space.Detail), string(space.Fuse), string(space.Head), ofaIntercept, ofaBlocksOverSum:
	default:
		return "", fmt.Errorf("a row of kind %.40q; %s, stem, detail, fuse and head can be used, with %s and %s: remove the row",
			parts[0], ofaBlock, ofaIntercept, ofaBlocksOverSum)
	}
	fields := []struct {
		name   string
		values []*int
	}{{"input", []*int{&op.InH, &op.InW, &op.InC}}, {"output", []*int{&op.OutH, &op.OutW, &op.OutC}}}
	skip := 0
	if op.Kind == space.MBConv {
		for _, f := range []struct {
			name  string
			value *int
		}{{"expand", &op.Expand}, {"kernel", &op.Kernel}, {"stride", &op.Stride}, {"idskip", &skip}} {
			fields = append(fields, struct {
				name   string
				values []*int
			}{f.name, []*int{f.value}})
		}
	}
	right := ofaName(space.Op{Kind: op.Kind, InH: 7, InW: 7, InC: 192, OutH: 7, OutW: 7, OutC: 320, Expand: 6, Kernel: 5, Stride: 1})
	if len(parts) != 1+len(fields) {
		return "", fmt.Errorf("%.120q has %d fields; a row of its kind reads %s", name, len(parts)-1, right)
	}
	for i, f := range fields {
		if err = parseOFAField(parts[1+i], f.name, f.values); err != nil {
			return "", fmt.Errorf("%.120q: %w; a row of its kind reads %s", name, err, right)
		}
	}
	op.Residual = skip == 1
	if err = usableBlock(op, skip); err != nil {
		return "", fmt.Errorf("%.120q: %w", name, err)
	}
	return op.Key(), nil
}

// parseOFAField reads a field such as input:7x7x192 or expand:6.
func parseOFAField(field, name string, values []*int) error {
	text, found := strings.CutPrefix(field, name+":")
	numbers := strings.Split(text, "x")
	if !found || len(numbers) != len(values) {
		return fmt.Errorf("%.40q is not its %s", field, name)
	}
	for i, number := range numbers {
		v, err := strconv.Atoi(number)
		if err != nil || v < 0 || v == 0 && name != "idskip" || v > 1<<24 || strconv.Itoa(v) != number {
			return fmt.Errorf("%.40q is not its %s", field, name)
		}
		*values[i] = v
	}
	return nil
}

// usableBlock refuses blocks that no network here can have.
func usableBlock(op space.Op, skip int) error {
	if op.Kind != space.MBConv {
		return nil
	}
	down := func(size int) int { return (size + op.Stride - 1) / op.Stride }
	switch {
	case op.Expand > 9:
		return fmt.Errorf("expand is %d; it is a ratio, 1 to 9 (tables for MobileNetV3 give the middle channels there, and cannot be used)", op.Expand)
	case op.Kernel != 3 && op.Kernel != 5 && op.Kernel != 7:
		return fmt.Errorf("a kernel of %d; 3, 5 or 7 can be used", op.Kernel)
	case op.Stride > 2:
		return fmt.Errorf("a stride of %d; 1 or 2 can be used", op.Stride)
	case op.OutH != down(op.InH) || op.OutW != down(op.InW):
		return fmt.Errorf("an output of %dx%d; with stride %d it is %dx%d", op.OutH, op.OutW, op.Stride, down(op.InH), down(op.InW))
	case skip > 1 || op.Residual && (op.Stride != 1 || op.InC != op.OutC):
		return fmt.Errorf("an idskip of %d; it is 1 for a block with a shortcut, of stride 1 and with as many channels out as in, and else 0", skip)
	}
	return nil
}
