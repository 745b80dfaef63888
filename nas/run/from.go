package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train"
)

// source is a run whose trained supernet another run searches again, for another device or within other limits. Its trainings are taken over
// as they are, whatever arithmetic they ran under.
type source struct {
	path     string
	planned  planned
	hash     string // of the settings, as its trainings carry it
	supernet string // fingerprint of its trained supernet
}

// origin is what a run's config.json keeps of its source.
type origin struct {
	Folder     string `json:"folder"`
	Hash       string `json:"config_hash"`
	Supernet   string `json:"supernet"`
	Arithmetic string `json:"arithmetic"`
}

// ownSettings are the JSON names of the settings that a run on another's supernet chooses for itself. All others shape trainings or scores.
var ownSettings = []string{"data", "train_precision", "search", "pareto", "limits", "finalists", "table_rounds", "final_rounds", "verify_networks"}

// startingPoint returns the settings that the flags change: the preset's, or those of the run that --from names, but for its limits, which
// were its device's.
func startingPoint(args []string) (Config, *source, error) {
	ahead := pflag.NewFlagSet("", pflag.ContinueOnError)
	ahead.ParseErrorsAllowlist.UnknownFlags = true
	ahead.Usage = func() {}
	from, file := ahead.String("from", "", ""), ahead.String("config", "", "")
	ahead.BoolP("help", "h", false, "")
	if err := ahead.Parse(args); err != nil || *from == "" {
		c, err := presetOf(args)
		return c, nil, err
	}
	if *file != "" {
		return Config{}, nil, misuse.Errorf("--from %s: its settings are that run's; leave out --config, and give limits and the like as flags", *from)
	}
	s, err := openSource(*from)
	if err != nil {
		return Config{}, nil, misuse.Errorf("--from %s: %w", *from, err)
	}
	c := s.planned.Config
	c.Limits = Limits{Margin: c.Limits.Margin}
	return c, s, nil
}

// openSource reads a run folder, whose supernet must be trained to its end. The run may still be going on behind that.
func openSource(path string) (*source, error) {
	s := &source{path: path}
	if found, err := finished(s.file(configFile), &s.planned); err != nil {
		return nil, err
	} else if !found {
		return nil, misuse.Errorf("there is no %s: give the folder of a run", configFile)
	}
	checkpoint := s.file(supernetName, train.CheckpointFile)
	c, err := train.LoadFile(checkpoint)
	if err != nil {
		return nil, err
	}
	if steps := s.planned.Config.Shrinking.Steps(); c.Step != steps {
		return nil, misuse.Errorf("its supernet has made %d of %d steps; repeat that run's command until it is trained", c.Step, steps)
	}
	s.hash = c.ConfigHash
	s.supernet, err = fingerprint(checkpoint, "supernet")
	return s, err
}

func (s *source) file(name ...string) string {
	return filepath.Join(append([]string{s.path}, name...)...)
}

// arithmetic is what the source's scores were made under.
func (s *source) arithmetic() string {
	if c := s.planned.Config; c.TrainPrecision != "" {
		return s.planned.ISA + ", " + c.TrainPrecision
	}
	return s.planned.ISA
}

// accuracies is the source's file of scores.
func (s *source) accuracies() string {
	if s.planned.Accuracies != "" {
		return s.planned.Accuracies
	}
	return s.file(accuraciesFile)
}

// origin is what config.json keeps; nil of no source.
func (s *source) origin() *origin {
	if s == nil {
		return nil
	}
	return &origin{Folder: s.path, Hash: s.hash, Supernet: s.supernet, Arithmetic: s.arithmetic()}
}

// accepts refuses settings that would make other trainings or scores of the source's supernet, and a folder that is its own.
func (s *source) accepts(o searchOptions) error {
	if o.budget > 0 {
		return misuse.Errorf("--budget: trainings are as long as those of %s; --population, --generations and --finalists shorten the rest", s.path)
	}
	if o.out == "" {
		return misuse.Errorf("--from %s: give the new run a folder with --out", s.path)
	}
	mine, err := os.Stat(s.path)
	if err != nil {
		return misuse.Errorf("--from: %w", err)
	}
	if other, err := os.Stat(o.out); err == nil && os.SameFile(mine, other) {
		return misuse.Errorf("--out %s is the folder that --from names; give the new run another", o.out)
	}
	name, was, is, err := difference(s.planned.Config, o.cfg, ownSettings...)
	if err == nil && name != "" {
		err = misuse.Errorf("--from %s: its supernet has %s %s, not %s; leave that setting out, or search with a supernet of its own", s.path, name, was, is)
	}
	return err
}

// hash is the name that this run's trainings carry: those of a run on another's supernet are that run's.
func (p *pipeline) hash() string {
	if p.from != nil {
		return p.from.hash
	}
	return p.cfg.hash()
}

// bring copies a finished training of the source into the run folder, its result last. A checkpoint without one is evaluated again.
func (p *pipeline) bring(name, into string, last string, text []byte) error {
	if _, err := p.folder.sub(into); err != nil {
		return err
	}
	for _, file := range []string{train.MetricsFile, train.CheckpointFile} {
		content, err := os.ReadFile(p.from.file(name, file))
		if errors.Is(err, fs.ErrNotExist) && file == train.MetricsFile {
			continue
		}
		if err != nil {
			return misuse.Errorf("--from: %w", err)
		}
		if err := durable.Replace(p.folder.file(into, file), content); err != nil {
			return err
		}
	}
	if last == "" {
		return nil
	}
	return durable.Replace(p.folder.file(into, last), text)
}

// bringSupernet copies the source's supernet.
func (p *pipeline) bringSupernet() error {
	if p.from == nil || p.folder.has(supernetName, train.CheckpointFile) {
		return nil
	}
	fmt.Fprintf(p.streams.Err, "supernet: that of %s, trained under %s\n", p.from.path, p.from.arithmetic())
	return p.bring(supernetName, supernetName, "", nil)
}

// bringTable begins the run's latency table with the source's where that is this device's.
func (p *pipeline) bringTable(setup latency.Setup) error {
	if p.from == nil || p.folder.has(tableFile) {
		return nil
	}
	path := p.from.file(tableFile)
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	if _, err := latency.Open(path, setup); err != nil {
		return nil // another device's, as a rule
	}
	return p.folder.begin(path)
}

// bringFinal copies what the source made of a final network's architecture by the same training, if it did.
func (p *pipeline) bringFinal(f *finalNetwork) error {
	names := []string{f.Name}
	if f.Name != baselineName {
		names = append(names, controlName, handName, winnerName)
	}
	return p.bringTrained(f.Arch, f.Name, names, func(path string) (any, space.Arch, error) {
		var old finalNetwork
		_, err := finished(path, &old)
		old.Name, old.How = f.Name, fmt.Sprintf("%s, by %s under %s", f.How, p.from.path, p.from.arithmetic())
		return old, old.Arch, err
	})
}

// bringFinalist is bringFinal for a trial.
func (p *pipeline) bringFinalist(name string, f *finalist) error {
	var names []string
	for i := 1; p.from != nil; i++ {
		trial := finalistName(i)
		if _, err := os.Stat(p.from.file(trial)); err != nil {
			break
		}
		names = append(names, trial)
	}
	return p.bringTrained(f.Arch, name, names, func(path string) (any, space.Arch, error) {
		var old finalist
		_, err := finished(path, &old)
		old.Search = f.Search
		return old, old.Arch, err
	})
}

// bringTrained copies the first of the source's trainings that is of architecture a; read returns a training's result, and a zero Arch where
// there is none.
func (p *pipeline) bringTrained(a space.Arch, into string, names []string, read func(path string) (any, space.Arch, error)) error {
	if p.from == nil || p.folder.has(into, train.CheckpointFile) || p.folder.has(into, resultFile) {
		return nil
	}
	for _, name := range names {
		result, of, err := read(p.from.file(name, resultFile))
		if err != nil {
			return err
		}
		if of != a {
			continue
		}
		text, err := jsonText(result)
		if err != nil {
			return err
		}
		fmt.Fprintf(p.streams.Err, "%s: %v was trained as %s\n", into, a, p.from.file(name))
		return p.bring(name, into, resultFile, text)
	}
	return nil
}
