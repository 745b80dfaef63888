package run

import (
	"context"
	"io"
	"path/filepath"
	"testing"
)

// Scores with fitted clips and with the supernet's are kept apart in one file, and each is found again.
func TestCached_KeepsScoresOfFittedClipsApart(t *testing.T) {
	shared := t.TempDir()
	o, err := parseAblate(tinyAblation(shared, "clips"), Streams{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	m, err := openMachine(o.machine, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	p, err := openPipeline(o.ablation.variants[0].config(o.cfg), m, Streams{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	p.shared = shared
	s, err := p.sharedSupernet(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	folders, err := filepath.Glob(filepath.Join(shared, supernetName+"-*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%v, %v", folders, err)
	}
	q := *p
	q.folder, q.accuracies = &folder{path: folders[0]}, s.cached.Accuracies
	a := p.cfg.Space.Sample(p.rng(ablationNetworks))
	names := map[string]bool{}
	scores := map[bool]float64{}
	for _, fitted := range []bool{false, true, false, true} {
		e := *s.evaluator
		e.Clips = fitted
		c, err := q.cached(context.Background(), &e)
		if err != nil {
			t.Fatal(err)
		}
		score, err := c.Evaluate(context.Background(), a)
		if err != nil {
			t.Fatal(err)
		}
		if first := !names[c.Fingerprint]; first != (c.Evaluated == 1) || !first && score.MIoU != scores[fitted] {
			t.Errorf("fitted %v: %d evaluated, %d found, mIoU %v", fitted, c.Evaluated, c.Found, score.MIoU)
		}
		if !fitted && c.Fingerprint != s.cached.Fingerprint {
			t.Errorf("without fitting, scores are of %s, were of %s", c.Fingerprint, s.cached.Fingerprint)
		}
		names[c.Fingerprint], scores[fitted] = true, score.MIoU
	}
	if len(names) != 2 {
		t.Errorf("scores are of %v", names)
	}
}
