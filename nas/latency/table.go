package latency

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/sealed"
	"github.com/segnas/segnas/nas/space"
)

// Table is a latency table and the file that it lives in.
type Table struct {
	path     string
	setup    Setup
	whole    int64 // bytes of the file that hold whole lines; what follows is torn
	size     int64 // bytes of the file
	entries  map[string]Entry
	networks map[space.Arch]networkLine
}

// Open reads the table in the file, or starts one if there is no such file. A file that is damaged, or of another device, network,
// size or batch, is misuse; entries of another library stamp are stale and will be measured again. A torn last line, left by a
// process that was killed, is dropped. The file is not written before Fill.
func Open(path string, setup Setup) (*Table, error) {
	t, err := read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newTable(path, setup), nil
	}
	if err != nil {
		return nil, err
	}
	if t.whole > 0 { // otherwise even the header is torn
		if err := t.setup.matches(setup); err != nil {
			return nil, misuse.Errorf("latency table %s: %w; give another file, or remove this one to measure afresh", path, err)
		}
	}
	t.setup = setup
	return t, nil
}

// Read reads a finished table of whatever device, such as one brought here to search for that device. Entries of another library
// than the last line's are stale.
func Read(path string) (*Table, error) {
	t, err := read(path)
	if err != nil {
		return nil, err
	}
	if t.setup.Identity.Library == "" {
		return nil, misuse.Errorf("latency table %s holds no entries; run profile to measure them", path)
	}
	return t, nil
}

func newTable(path string, setup Setup) *Table {
	return &Table{path: path, setup: setup, entries: map[string]Entry{}, networks: map[space.Arch]networkLine{}}
}

func read(path string) (*Table, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, misuse.Errorf("latency table: %w", err)
	}
	return parse(path, data)
}

// parse reads the file's contents. In the result, the setup's library is the last line's, and a whole of 0 tells that not even the
// header is whole.
func parse(path string, data []byte) (*Table, error) {
	t := newTable(path, Setup{})
	for number := 1; ; number++ {
		line, _, whole := bytes.Cut(data[t.whole:], []byte("\n"))
		if !whole {
			if number == 1 && !tornHeader(line) {
				return nil, misuse.Errorf("latency table %s: not a latency table; give one, or a new file's name to measure it", path)
			}
			t.size = int64(len(data))
			return t, nil
		}
		text, ok := sealed.OpenLine(line)
		if !ok {
			return nil, misuse.Errorf("latency table %s: line %d is damaged, its checksum does not hold; restore the file, or remove it to measure afresh", path, number)
		}
		if err := t.accept(number, text); err != nil {
			return nil, misuse.Errorf("latency table %s: line %d: %w; a %s file is needed", path, number, err, format)
		}
		t.whole += int64(len(line)) + 1
	}
}

// tornHeader reports whether a file of this one unfinished line may have been meant as a table: Fill will overwrite it.
func tornHeader(line []byte) bool {
	start := []byte(`{"format":"` + format)
	n := min(len(start), len(line))
	return bytes.Equal(line[:n], start[:n])
}

func (t *Table) accept(number int, text []byte) error {
	if number == 1 {
		var h header
		if err := json.Unmarshal(text, &h); err != nil {
			return err
		}
		if h.Format != format {
			return fmt.Errorf("its format is %q", h.Format)
		}
		h.Identity.Library = ""
		t.setup = h.Setup
		return h.Setup.validate()
	}
	e, n, err := decode(text)
	if err != nil {
		return err
	}
	t.keep(e, n)
	return nil
}

func (t *Table) keep(e *Entry, n *networkLine) {
	if e != nil {
		t.entries[e.Op] = *e
		t.setup.Identity.Library = e.Library
	} else {
		t.networks[n.Arch] = *n
		t.setup.Identity.Library = n.Library
	}
}

// matches tells in words where a table's setup differs from the wanted one; the library's stamp is the entries' affair.
func (s Setup) matches(want Setup) error {
	if err := s.Identity.differs(want.Identity); err != nil {
		return err
	}
	if s.H != want.H || s.W != want.W || s.Batch != want.Batch {
		return fmt.Errorf("it is of %d x %dx%d pictures, and %d x %dx%d are asked for", s.Batch, s.H, s.W, want.Batch, want.H, want.W)
	}
	if s.Network != want.Network {
		return fmt.Errorf("it is of the network %+v, and %+v is asked for", s.Network, want.Network)
	}
	return nil
}

// Path returns the table's file.
func (t *Table) Path() string { return t.path }

// Setup returns what the table was measured for, with the library's stamp that fresh entries carry.
func (t *Table) Setup() Setup { return t.setup }

// Entries returns the fresh entries in the order of their keys.
func (t *Table) Entries() []Entry {
	var fresh []Entry
	for _, e := range t.entries {
		if t.fresh(e.Origin) {
			fresh = append(fresh, e)
		}
	}
	slices.SortFunc(fresh, func(x, y Entry) int { return cmp.Compare(x.Op, y.Op) })
	return fresh
}

func (t *Table) fresh(o Origin) bool { return o.Library == t.setup.Identity.Library }

func (t *Table) hasOp(key string) bool {
	e, found := t.entries[key]
	return found && t.fresh(e.Origin)
}

// Missing returns the keys that predicting any network of the space, or the baseline, needs and the table lacks or has stale.
func (t *Table) Missing(sp space.Space) []string {
	missing := map[string]bool{}
	for _, a := range needed(t.setup.networks(sp)) {
		for _, key := range t.keys(a) {
			if !t.hasOp(key) {
				missing[key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(missing))
}

// needed lists the networks that fill a table of the space. The baseline is one of them, in the space or not: limits refer to it. With bit widths that is
// the baseline of the most bits, and the one in floating point stands beside it to be compared with.
func needed(sp space.Space) []space.Arch {
	archs := sp.Covering()
	for _, base := range []space.Arch{sp.Widest(space.Baseline()), space.Baseline()} {
		if !slices.Contains(archs, base) {
			archs = append(archs, base)
		}
	}
	return archs
}

// leastRounds are enough for an operation's median: 20 runs.
const leastRounds = 10

// Effort tells how many networks fill a table of the space, and how many turns each of them takes where so many Options.Rounds are asked for. It takes the
// space as its networks run: Float where they do not run in integers. Widths multiply the networks by the square of their number, and divide the turns by
// it, down to leastRounds where no fewer are asked for.
func Effort(sp space.Space, rounds int) (networks, each int) {
	return len(needed(sp)), max(min(rounds, leastRounds), rounds/max(1, len(sp.Bits)))
}

func (t *Table) keys(a space.Arch) []string {
	ops := t.setup.ops(a)
	keys := make([]string, len(ops))
	for i, op := range ops {
		keys[i] = op.Key()
	}
	return keys
}

// unmeasured lists the networks that must run to complete the table.
func (t *Table) unmeasured(sp space.Space) []space.Arch {
	return slices.DeleteFunc(needed(t.setup.networks(sp)), func(a space.Arch) bool {
		n, found := t.networks[a]
		lacks := func(key string) bool { return !t.hasOp(key) }
		return found && t.fresh(n.Origin) && !slices.ContainsFunc(t.keys(a), lacks)
	})
}

// Fill measures what Missing names and appends it to the file, a group of networks at a time, so that a kill loses at most the
// group under way. With nothing missing it measures nothing and returns zero conditions.
func (t *Table) Fill(ctx context.Context, dev Device, sp space.Space, opt Options) (Conditions, error) {
	_, opt.Rounds = Effort(t.setup.networks(sp), opt.withDefaults().Rounds)
	_, cond, err := measureEach(ctx, dev, t.setup, subjectsOf(dev, t.setup, t.unmeasured(sp)), opt, t.append)
	if err != nil {
		if t.whole > 0 && !errors.Is(err, context.Canceled) {
			err = fmt.Errorf("%w; finished entries are kept", err)
		}
		return cond, fmt.Errorf("fill latency table %s: %w", t.path, err)
	}
	return cond, nil
}

// append writes the entries that a group of networks gives and the table lacks.
func (t *Table) append(b *bench, nets []*network, ms []Measurement) error {
	var lines []byte
	if t.whole == 0 {
		h := header{Format: format, Setup: t.setup, Card: b.watch.conditions()}
		h.Identity.Library = ""
		line, err := sealed.Line(h)
		if err != nil {
			return err
		}
		lines = line
	}
	from := Origin{Library: t.setup.Identity.Library, Canary: duration(b.canary.quiet()), SMMHz: b.watch.smMHz(), At: b.opt.Now().UTC()}
	pools := poolByKey(b, nets)
	var entries []Entry
	for _, key := range slices.Sorted(maps.Keys(pools)) {
		if t.hasOp(key) {
			continue
		}
		e := Entry{Op: key, Stats: pools[key].stats(), Origin: from}
		line, err := sealed.Line(e)
		if err != nil {
			return err
		}
		lines, entries = append(lines, line...), append(entries, e)
	}
	for _, m := range ms {
		line, err := sealed.Line(networkLine{Measurement: m, Origin: from})
		if err != nil {
			return err
		}
		lines = append(lines, line...)
	}
	if err := t.write(lines); err != nil {
		return err
	}
	for i := range entries {
		t.keep(&entries[i], nil)
	}
	for _, m := range ms {
		t.keep(nil, &networkLine{Measurement: m, Origin: from})
	}
	return nil
}

// poolByKey gathers the operations' accepted samples of all networks.
func poolByKey(b *bench, nets []*network) map[string]*pool {
	pools := map[string]*pool{}
	for _, n := range nets {
		for i, op := range n.ops {
			p := pools[op.Key()]
			if p == nil {
				p = new(pool)
				pools[op.Key()] = p
			}
			p.rejected += n.rejected * b.opt.Take
			for _, t := range n.turns {
				for _, run := range t.runs {
					p.add(run.Ops[i], b.scale(t))
				}
			}
		}
	}
	return pools
}

// write puts lines behind the whole lines of the file, in place of a torn one, and waits until the disk has them.
func (t *Table) write(lines []byte) error {
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != t.size {
		return fmt.Errorf("the file has %d bytes instead of %d: another process writes it", info.Size(), t.size)
	}
	if err := f.Truncate(t.whole); err != nil {
		return err
	}
	if _, err := f.WriteAt(lines, t.whole); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	t.whole += int64(len(lines))
	t.size = t.whole
	return f.Close()
}
