package run

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
)

// planned is a run folder's config.json: what was asked for, and what became of it on the machine that began the run. A repeated
// command goes on with these settings, whatever the machine's speed is by then.
type planned struct {
	Asked    Config        `json:"asked"`
	Budget   time.Duration `json:"budget_ns,omitempty"`
	Config   Config        `json:"config"` // Asked, with its counts fitted to the budget
	ISA      string        `json:"isa"`    // or the GPU: others give other bits
	Speeds   Speeds        `json:"speeds"`
	Estimate Estimate      `json:"estimate"`
	// Accuracies is the run's file of scores where that is not in its folder, and From the run whose supernet it searches, if any.
	Accuracies string  `json:"accuracies,omitempty"`
	From       *origin `json:"from,omitempty"`
}

// plan reads the run folder's plan, or makes it, and prints it.
func (p *pipeline) plan(ctx context.Context, budget time.Duration) error {
	path := p.folder.file(configFile)
	var old planned
	found, err := finished(path, &old)
	if err != nil {
		return err
	}
	if err := p.checkSupernetMemory(); err != nil {
		return err
	}
	if found {
		err := old.accepts(p.cfg, budget, p.machine.arithmetic())
		if err == nil {
			err = old.acceptsSource(p.from.origin())
		}
		if err != nil {
			return misuse.Errorf("%s: %w; give another folder with --out, or remove this one, to begin another run", path, err)
		}
		fmt.Fprintf(p.streams.Err, "going on in %s\n", p.folder.path)
		old.Config.PictureCache = p.cfg.PictureCache
		p.cfg = old.Config
		if err := p.describe(old.Estimate); err != nil {
			return err
		}
		return p.balance(ctx)
	}
	if err := checkPictures(ctx, p.cfg, p.data, p.streams); err != nil {
		return err
	}
	if err := p.balance(ctx); err != nil {
		return err
	}
	speeds, err := p.measureSpeeds(ctx)
	if err != nil {
		return err
	}
	next := planned{
		Asked: p.cfg, Budget: budget, Config: p.cfg, ISA: p.machine.arithmetic(), Speeds: speeds, From: p.from.origin(),
	}
	if path := p.accuracies.Path(); path != p.folder.file(accuraciesFile) { // folders move
		next.Accuracies = path
	}
	if budget > 0 {
		if next.Config, err = fit(p.cfg, speeds, budget); err != nil {
			return err
		}
	}
	next.Estimate = estimate(next.Config, speeds)
	if p.from != nil {
		next.Estimate.Supernet = 0
	}
	p.cfg = next.Config
	if err := p.describe(next.Estimate); err != nil {
		return err
	}
	return writeJSON(path, next)
}

func (p *pipeline) describe(e Estimate) error {
	integers := p.machine.tablePrecision(p.cfg.Space) == gobind.Int8
	describe(p.streams.Err, p.cfg, p.net, integers, e, [3]int{p.data.Train.Len(), p.data.SearchVal.Len(), p.data.Val.Len()})
	fmt.Fprintln(p.streams.Err, p.memory)
	return describePictures(p.streams.Err, p.cfg, p.data)
}

// accepts refuses to go on with other settings than the run was begun with.
func (old planned) accepts(asked Config, budget time.Duration, isa string) error {
	if budget != old.Budget {
		return fmt.Errorf("the run was begun with a budget of %s, not %s", budgetText(old.Budget), budgetText(budget))
	}
	if isa != old.ISA {
		return fmt.Errorf("the run was begun with the instruction set %s, and this is %s, whose results differ in the last bits", old.ISA, isa)
	}
	name, was, is, err := difference(old.Asked, asked)
	if err == nil && name != "" {
		err = fmt.Errorf("the run was begun with %s %s, not %s", name, was, is)
	}
	return err
}

// difference returns the first setting in which two configurations differ, but for the free ones, and its JSON in both; an empty name for none.
func difference(before, now Config, free ...string) (name, was, is string, err error) {
	a, err := fields(before)
	if err != nil {
		return "", "", "", err
	}
	b, err := fields(now)
	if err != nil {
		return "", "", "", err
	}
	names := append(slices.Collect(maps.Keys(a)), slices.Collect(maps.Keys(b))...) // one that is zero may be left out
	slices.Sort(names)
	for _, name := range names {
		if was, is := cmp.Or(string(a[name]), "unset"), cmp.Or(string(b[name]), "unset"); was != is && !slices.Contains(free, name) {
			return name, was, is, nil
		}
	}
	return "", "", "", nil
}

// acceptsSource refuses to go on with another supernet than the run was begun with.
func (old planned) acceptsSource(now *origin) error {
	name := func(o *origin) string {
		if o == nil {
			return "a supernet of its own"
		}
		return fmt.Sprintf("the supernet of %s (%s)", o.Folder, o.Supernet)
	}
	if old.From == nil && now == nil || old.From != nil && now != nil && old.From.Supernet == now.Supernet {
		return nil
	}
	return fmt.Errorf("the run was begun with %s, not %s", name(old.From), name(now))
}

func budgetText(d time.Duration) string {
	if d == 0 {
		return "no limit"
	}
	return short(d)
}

// fields returns a configuration's settings by their names.
func fields(c Config) (map[string]json.RawMessage, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	var all map[string]json.RawMessage
	return all, json.Unmarshal(text, &all)
}
