package run

import (
	"path/filepath"
	"testing"

	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
)

func evaluation(t *testing.T, arch string, miou float64, origin search.Origin) search.Evaluation {
	t.Helper()
	a, err := space.Parse(arch)
	if err != nil {
		t.Fatal(err)
	}
	return search.Evaluation{Arch: a, Score: search.Score{MIoU: miou}, Origin: origin}
}

func archsOf(all []finalist) []string {
	var texts []string
	for _, f := range all {
		texts = append(texts, f.Arch.String())
	}
	return texts
}

func TestFinalists_AreTheBestThatLieApartAndTheGivenOnes(t *testing.T) {
	const (
		best    = "k3e4.k3e4_k3e4.k3e4_k3e4.k3e4"
		twin    = "k3e4.k3e4_k3e4.k3e4_k3e4.k3e6" // one gene from the best
		other   = "k5e3.k5e3_k3e3.k3e3_k3e6.k3e6"
		far     = "k5e6.k3e6_k5e6.k3e6_k5e6.k3e6"
		given   = "k3e3.k3e3_k3e3.k3e3_k3e3.k3e3.k3e3"
		missing = "k3e6.k3e6_k3e6.k3e6_k3e6.k5e6"
	)
	found := &search.Result{All: []search.Evaluation{
		evaluation(t, given, 0.1, search.Given), evaluation(t, far, 0.3, search.Drawn), evaluation(t, twin, 0.49, search.Mutated),
		evaluation(t, best, 0.5, search.Crossed), evaluation(t, missing, 0.2, search.Drawn), evaluation(t, other, 0.4, search.Drawn),
	}}
	for _, c := range []struct {
		n    int
		want []string
	}{
		{2, []string{best, other, given}},
		{3, []string{best, other, far, given}},
		{6, []string{best, other, far, missing, given, twin}}, // too few lie apart: the near one comes last
	} {
		got := archsOf(finalistsOf(found, c.n))
		if len(got) != len(c.want) {
			t.Fatalf("%d finalists: %v, want %v", c.n, got, c.want)
		}
		for i := range got {
			if got[i] != c.want[i] {
				t.Errorf("%d finalists: %v, want %v", c.n, got, c.want)
				break
			}
		}
	}
}

func TestSearch_WinnerIsTheBestFinalistAfterItsTrial(t *testing.T) {
	folder, _ := reference(t)
	var r Result
	if err := readJSON(filepath.Join(folder, resultFile), &r); err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(folder, "finalist-*", resultFile))
	if err != nil || len(paths) < 3 {
		t.Fatalf("%d finalists (%v), want 3 at least", len(paths), err)
	}
	var winner finalist
	best := -1.0
	for _, path := range paths {
		var f finalist
		if err := readJSON(path, &f); err != nil {
			t.Fatal(err)
		}
		best = max(best, f.miou())
		if f.Arch == r.Winner {
			winner = f
		}
	}
	if winner.Counts == nil || winner.miou() != best {
		t.Errorf("the winner %v has %v after its trial, the best finalist %v", r.Winner, winner.miou(), best)
	}
	if winner.Search != r.SearchMIoU {
		t.Errorf("the result gives the search's mIoU as %v, the trial's file as %v", r.SearchMIoU, winner.Search)
	}
}
