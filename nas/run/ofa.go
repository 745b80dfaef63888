package run

import (
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/segnas/segnas/nas/durable"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

// Imported is what a latency table of other hands predicts: the output of profile --import-ofa --json.
type Imported struct {
	Path       string         `json:"path"`
	Rows       int            `json:"rows"`
	Conditions string         `json:"conditions"`
	BaselineMS float64        `json:"baseline_ms"`
	HandMS     float64        `json:"hand_scaled_ms"`
	Space      search.Profile `json:"space"`
}

// exportOFA writes a table in once-for-all's form, if that is asked for.
func exportOFA(t *latency.Table, path string, s Streams) error {
	if path == "" {
		return nil
	}
	text, err := t.ExportOFA()
	if err != nil {
		return err
	}
	if err := durable.Replace(path, text); err != nil {
		return misuse.Errorf("--export-ofa: %w", err)
	}
	fmt.Fprintf(s.Err, "wrote %s\n", path)
	return nil
}

// profileImported predicts from a table in once-for-all's form.
func profileImported(o profileOptions, s Streams) error {
	predictor, rows, err := latency.ImportOFA(o.imported, space.DefaultNetwork(o.classes), o.height, o.width)
	if err != nil {
		return err
	}
	i := Imported{Path: o.imported, Rows: rows, Conditions: "unknown: the file does not tell its device, its warm-up and its load; predictions are sums of means"}
	if i.BaselineMS, err = predictor.Predict(space.Baseline()); err != nil {
		return err
	}
	if i.HandMS, err = predictor.Predict(space.HandScaled()); err != nil {
		return err
	}
	if i.Space, err = profileSpace(space.Default(), predictor, nil, rand.New(rand.NewPCG(o.seed, profiledNetworks))); err != nil {
		return err
	}
	if o.json {
		return printJSON(s.Out, i)
	}
	fmt.Fprintf(s.Out, "%s: %d rows, for pictures of %dx%d and %d classes\nconditions %s\n", i.Path, i.Rows, o.height, o.width, o.classes, i.Conditions)
	return printPredictions(s.Out, predictor, space.Default())
}

// printPredictions prints what a table says of the hand-made networks and of the space.
func printPredictions(w io.Writer, predictor *latency.Predictor, sp space.Space) error {
	for _, a := range []space.Arch{sp.Widest(space.Baseline()), sp.Widest(space.HandScaled())} {
		ms, err := predictor.Predict(a)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "predicted %8.3f ms  %v\n", ms, a)
	}
	p, err := profileSpace(sp, predictor, nil, rand.New(rand.NewPCG(1, profiledNetworks)))
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "space %s\n", spaceText(p, nil))
	return nil
}
