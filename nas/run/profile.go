package run

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/report"
	"github.com/segnas/segnas/nas/space"
)

type profileOptions struct {
	machine       machineOptions
	table, report string
	height, width int
	classes       int
	bits          []uint8 // none: networks in floating point
	rounds        int
	verify        int
	seed          uint64
	exported      string // once-for-all's form of the table, to write
	imported      string // and one to predict from, instead of measuring
	json          bool
}

func parseProfile(args []string, s Streams) (profileOptions, error) {
	o := profileOptions{height: 360, width: 480, classes: 19, rounds: 30, seed: 1}
	fs := pflag.NewFlagSet("profile", pflag.ContinueOnError)
	fs.Var(sizeFlag{&o.height, &o.width}, "size", "network input, height x width")
	fs.IntVar(&o.classes, "classes", o.classes, "classes that the network tells apart")
	fs.Var(bitsFlag{&o.bits}, "bits", "widths of weights and activations that networks can have, such as 4,6,8; where the device runs them in integers, that is measured")
	fs.StringVar(&o.table, "table", "", "table to make or complete (default: tables/PROCESSOR-PRECISION-SIZE.jsonl)")
	fs.IntVar(&o.rounds, "rounds", o.rounds, "accepted measuring turns of every network")
	fs.IntVar(&o.verify, "verify", 0, "verify the predictions on this many random networks")
	fs.StringVar(&o.report, "report", "", "with --verify: HTML file for the plot (default: beside the table)")
	fs.Uint64Var(&o.seed, "seed", o.seed, "seed of the networks to verify")
	fs.StringVar(&o.exported, "export-ofa", "", "file to write the table to in the form of once-for-all's latency tables")
	fs.StringVar(&o.imported, "import-ofa", "", "table in that form to predict from, instead of measuring")
	fs.BoolVar(&o.json, "json", false, "print entries or verification as JSON")
	measuredFlags(fs, &o.machine)
	if err := parse(fs, args, "", s); err != nil {
		return o, err
	}
	switch {
	case o.rounds < 1 || o.verify < 0:
		return o, misuse.Errorf("--rounds %d --verify %d: at least 1 round, and no less than 0 networks", o.rounds, o.verify)
	case o.imported != "" && (o.table != "" || o.verify > 0 || o.exported != "" || o.bits != nil):
		return o, misuse.Errorf("--import-ofa predicts and measures nothing; leave out --table, --verify, --bits and --export-ofa")
	}
	return o, space.DefaultNetwork(o.classes).Validate()
}

// Profile is tools/profile: it fills the latency table of the device at hand, and verifies it.
func Profile(ctx context.Context, args []string, s Streams) error {
	o, err := parseProfile(args, s)
	if err != nil {
		return err
	}
	if o.imported != "" {
		return profileImported(o, s)
	}
	o.machine.sessions = "measure"
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	sp := space.Default()
	sp.Bits = o.bits
	setup, err := m.setup(sp, space.DefaultNetwork(o.classes), o.height, o.width, s.Err)
	if err != nil {
		return err
	}
	if o.table == "" {
		o.table = filepath.Join("tables", fmt.Sprintf("%s-%v-%dx%d-%dclasses.jsonl", m.fileName(), m.tablePrecision(sp), o.height, o.width, o.classes))
	}
	// The lock lies beside the table, in a folder that is made where needed.
	lock, err := openFolder(filepath.Dir(o.table))
	if err != nil {
		return err
	}
	defer lock.close()
	table, err := latency.Open(o.table, setup)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Err, "plan: table %s for %dx%d pictures, %d entries there, %d to measure; %d networks to verify\n",
		o.table, o.height, o.width, len(table.Entries()), len(table.Missing(sp)), o.verify)
	if err := fillTable(ctx, table, m, sp, o.rounds, s); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("%w; finished entries are kept, and the same command goes on from here", err)
		}
		return err
	}
	if err := exportOFA(table, o.exported, s); err != nil {
		return err
	}
	if o.verify == 0 {
		return printTable(s.Out, table, sp, o.json)
	}
	return verifyTable(ctx, table, m, sp, o, s)
}

// fileName names the device in a file's name: times on a CPU belong to an instruction set and a number of threads, too.
func (m *machine) fileName() string {
	name := fileName(m.processor())
	if m.identity.Kind == cpuDevice {
		name += fmt.Sprintf("-%s-%dthreads", m.identity.ISA, m.identity.Threads)
	}
	return name
}

// fileName turns a processor's name into a part of a file's.
func fileName(text string) string {
	name := []byte(text)
	for i, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			name[i] = '-'
		}
	}
	return string(name)
}

// printTable prints a table's entries, slowest kinds not first but by key.
func printTable(w io.Writer, t *latency.Table, sp space.Space, asJSON bool) error {
	entries := t.Entries()
	if asJSON {
		return printJSON(w, entries)
	}
	width := 48
	for _, e := range entries {
		width = max(width, len(e.Op))
	}
	fmt.Fprintf(w, "%-*s %10s %10s %10s %6s %9s\n", width, "operation", "median ms", "q1 ms", "q3 ms", "n", "rejected")
	for _, e := range entries {
		fmt.Fprintf(w, "%-*s %10.4f %10.4f %10.4f %6d %9d\n", width, e.Op, milliseconds(e.Median), milliseconds(e.Q1), milliseconds(e.Q3), e.N, e.Rejected)
	}
	predictor, err := t.Predictor()
	if err != nil {
		return err
	}
	if err := printPredictions(w, predictor, sp); err != nil {
		return err
	}
	fmt.Fprintf(w, "table %s\n", t.Path())
	return nil
}

// verifyTable measures random networks and prints how well the table predicts them; the plot goes into an HTML file.
func verifyTable(ctx context.Context, t *latency.Table, m *machine, sp space.Space, o profileOptions, s Streams) error {
	bar := NewProgress(s.Err, "verify", "turns", 0, 0)
	v, err := latency.Verify(ctx, m.device(sp), t, sp, o.verify, rand.New(rand.NewPCG(o.seed, verifyNetworks)), measuring(bar, o.rounds))
	if err != nil {
		return err
	}
	bar.Finish("")
	if o.report == "" {
		o.report = t.Path() + ".html"
	}
	err = report.Write(o.report, report.Report{
		Title: "Predicted and measured latency", Subtitle: fmt.Sprintf("%dx%d pictures on %v", o.height, o.width, v.Setup.Identity), Verification: &v,
	})
	if err != nil {
		return err
	}
	if o.json {
		return printJSON(s.Out, v)
	}
	fmt.Fprintf(s.Out, "%d random networks at %dx%d on %v\n", o.verify, o.height, o.width, v.Setup.Identity)
	fmt.Fprintf(s.Out, "%-10s %8s %8s %8s %10s %12s %12s\n", "", "MAPE %", "bias %", "max %", "Spearman", "within 5 %", "within 10 %")
	for _, part := range []struct {
		name string
		latency.Accuracy
	}{{"whole", v.Whole}, {"searched", v.Searched}, {"unscaled", v.Unscaled}} {
		fmt.Fprintf(s.Out, "%-10s %8.2f %8.2f %8.2f %10.4f %12.0f %12.0f\n", part.name,
			100*part.MAPE, 100*part.Bias, 100*part.Max, part.Spearman, 100*part.Within5, 100*part.Within10)
	}
	c := v.Conditions
	fmt.Fprintf(s.Out, "canary %.3f ms quiet, %.3f typical, %.3f worst, drift %+.1f %%, %.3f of the table's level; %d turns, %d rejected\nplot %s\n",
		milliseconds(c.Quiet), milliseconds(c.Typical), milliseconds(c.Worst), 100*c.Drift, v.Level, c.Turns, c.Rejected, o.report)
	return nil
}
