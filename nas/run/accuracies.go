package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/train"
)

// accuraciesFile is where a run keeps the scores of its supernet's networks, unless told otherwise.
const accuraciesFile = "accuracies.jsonl"

// arithmetic names what decides the last bits of the supernet's scores.
func (p *pipeline) arithmetic() string {
	name := p.machine.arithmetic()
	if p.cfg.TrainPrecision != "" {
		name += ", " + p.cfg.TrainPrecision
	}
	return name
}

// openAccuracies opens the run's file of scores.
func (p *pipeline) openAccuracies(path string) (err error) {
	var notices []string
	p.accuracies, notices, err = search.OpenAccuracies(path)
	for _, text := range notices {
		fmt.Fprintln(p.streams.Err, text)
	}
	return err
}

// cached puts the file of scores before an evaluator. A score depends on the supernet's weights, on the pictures that it is recalibrated and
// judged on, on whether clips are fitted to the former, and, in its last bits, on the arithmetic; not on the device that is searched for, nor on its
// limits.
func (p *pipeline) cached(ctx context.Context, e *train.Evaluator) (*search.Cached, error) {
	weights, err := fingerprint(p.folder.file(supernetName, train.CheckpointFile), "supernet")
	if err != nil {
		return nil, err
	}
	pictures, err := train.Fingerprint(ctx, e.Recalibration, e.Validation)
	if err != nil {
		return nil, err
	}
	c := &search.Cached{
		Evaluator: e, Accuracies: p.accuracies, Fingerprint: weights + "-" + pictures, Arithmetic: p.arithmetic(), Any: p.from != nil,
	}
	if e.Clips {
		c.Fingerprint += "-clips"
	}
	if p.from != nil && len(c.Accuracies.Of(c.Fingerprint, c.Arithmetic)) == 0 {
		err = p.addTraced(c)
	}
	return c, err
}

// knownFile holds the scores that a search on another run's supernet began with, so that it draws the same networks when it goes on.
const knownFile = "known.jsonl"

// known returns the scores that a search on another run's supernet begins with: all that there are when it begins.
func (p *pipeline) known(c *search.Cached) ([]search.Accuracy, error) {
	if p.from == nil {
		return nil, nil
	}
	path := p.folder.file(knownFile)
	if !p.folder.has(knownFile) {
		if err := writeAccuracies(path, c.Accuracies.Of(c.Fingerprint, c.Arithmetic)); err != nil {
			return nil, err
		}
	}
	kept, notices, err := search.OpenAccuracies(path)
	if err != nil {
		return nil, err
	}
	if len(notices) > 0 {
		err = misuse.Errorf("%s; the search cannot go on without it: remove %s and %s to search afresh", notices[0], path, p.folder.file(traceFile))
	}
	return kept.Of(c.Fingerprint, c.Arithmetic), errors.Join(err, kept.Close())
}

// writeAccuracies writes a file of scores at once.
func writeAccuracies(path string, list []search.Accuracy) error {
	temp := path + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	file, _, err := search.OpenAccuracies(temp)
	if err != nil {
		return err
	}
	for _, a := range list {
		if err == nil {
			err = file.Add(a)
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// addTraced takes the scores of a run that is older than the file from its trace.
func (p *pipeline) addTraced(c *search.Cached) error {
	path := p.from.file(traceFile)
	if _, err := os.Stat(path); err != nil {
		return nil // it was not searched yet
	}
	h, all, err := search.ReadTrace(path)
	if err != nil {
		return err
	}
	want, err := fingerprint(p.from.file(supernetName, train.CheckpointFile), p.from.hash)
	if err != nil {
		return err
	}
	if h.Config.Fingerprint != want {
		return misuse.Errorf("%s: is of another supernet (%s) than the folder's (%s); remove it to evaluate its networks again", path, h.Config.Fingerprint, want)
	}
	for _, e := range all {
		a := search.Accuracy{Fingerprint: c.Fingerprint, Arithmetic: p.from.arithmetic(), Arch: e.Arch, Score: e.Score, Seconds: e.Seconds}
		if err := c.Accuracies.Add(a); err != nil {
			return err
		}
	}
	fmt.Fprintf(p.streams.Err, "%d scores taken from %s into %s\n", len(all), path, c.Accuracies.Path())
	return nil
}

// scoresText says where a search's scores came from; "" if all stood in the trace, so that what the process before said stays.
func scoresText(r *search.Result, c *search.Cached) string {
	if r.Replayed == len(r.All) {
		return ""
	}
	text := fmt.Sprintf("%d networks: %d evaluated", len(r.All), c.Evaluated)
	if c.Found > 0 {
		text += fmt.Sprintf(", %d scores known", c.Found)
	}
	if c.Foreign > 0 {
		text += fmt.Sprintf(" (%d under another arithmetic)", c.Foreign)
	}
	if r.Replayed > 0 {
		text += fmt.Sprintf(", %d from the trace", r.Replayed)
	}
	return text
}
