package search

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/space"
)

const (
	// regressionFolds is into how many parts the networks are divided, each of which is predicted from the others.
	regressionFolds = 5
	// regressionLeast networks are needed before a regression is tried: four to a fold.
	regressionLeast = 20
	// regressionMost networks are learned from at most, within a second.
	regressionMost = 400
	// leastSpearman is the rank correlation on held-out networks with which a regression is worth following.
	leastSpearman = 0.7
	// floatGenes and bitGenes count the genes of an architecture of the largest depths, the latter the bit widths that a quantised one has more.
	floatGenes = space.Stages * (1 + 2*space.MaxDepth)
	bitGenes   = 2 * (space.Stages*space.MaxDepth + space.OuterParts)
)

// ridges are the strengths that a regression chooses from, as shares of the kernel's largest value.
var ridges = []float64{1e-3, 1e-2, 1e-1, 1}

// Agreement tells how well a regression ranks networks that it was not fitted to: means and standard deviations over the folds.
type Agreement struct {
	Networks   int     `json:"networks"` // that were fitted and predicted
	Spearman   float64 `json:"spearman"`
	SpearmanSD float64 `json:"spearman_sd"`
	Kendall    float64 `json:"kendall"` // tau-b
	KendallSD  float64 `json:"kendall_sd"`
	Used       bool    `json:"used"` // to choose the generation's children
}

// String is for people.
func (a Agreement) String() string {
	used := "not used"
	if a.Used {
		used = "used"
	}
	return fmt.Sprintf("Spearman %.2f ± %.2f, Kendall %.2f ± %.2f on held-out parts of %d networks: %s", a.Spearman, a.SpearmanSD, a.Kendall, a.KendallSD, a.Networks, used)
}

// regression predicts a network's mIoU from its genes and all pairs of genes, by ridge regression in its dual form: with a polynomial kernel of
// degree two over the genes that two networks share (Saunders, Gammerman and Vovk 1998), nobody has to write the pairs down.
type regression struct {
	genes   int // of the networks that it learns from
	archs   []space.Arch
	weights []float64
	mean    float64
}

// sharedGenes counts the depths, kernels, expand ratios and bit widths in which two networks agree; what one of them lacks is shared by none.
func sharedGenes(a, b space.Arch) int {
	n := 0
	for s := range a.Depth {
		if a.Depth[s] == b.Depth[s] {
			n++
		}
		for i := range min(a.Depth[s], b.Depth[s]) {
			if a.Blocks[s][i].Kernel == b.Blocks[s][i].Kernel {
				n++
			}
			if a.Blocks[s][i].Expand == b.Blocks[s][i].Expand {
				n++
			}
			n += sharedBits(a.Blocks[s][i].Bits, b.Blocks[s][i].Bits)
		}
	}
	for i := range a.Outer {
		n += sharedBits(a.Outer[i], b.Outer[i])
	}
	return n
}

func sharedBits(x, y space.Bits) (n int) {
	if x.W == y.W && x.W > 0 {
		n++
	}
	if x.A == y.A && x.A > 0 {
		n++
	}
	return n
}

func (r *regression) kernel(a, b space.Arch) float64 {
	v := float64(1+sharedGenes(a, b)) / float64(1+r.genes)
	return v * v
}

// fit fits a regression. The ridge is the one whose predictions of each network from all others are best; it never sees anything else.
func fit(all []Evaluation) *regression {
	r := &regression{genes: floatGenes, archs: make([]space.Arch, len(all))}
	y := mat.NewVecDense(len(all), nil)
	for i, e := range all {
		r.archs[i] = e.Arch
		if e.Arch.IsQuantised() {
			r.genes = floatGenes + bitGenes
		}
		r.mean += e.MIoU / float64(len(all))
	}
	for i, e := range all {
		y.SetVec(i, e.MIoU-r.mean)
	}
	least := math.Inf(1)
	for _, ridge := range ridges {
		k := mat.NewSymDense(len(all), nil)
		for i, a := range r.archs {
			for j := range i + 1 {
				k.SetSym(i, j, r.kernel(a, r.archs[j]))
			}
			k.SetSym(i, i, k.At(i, i)+ridge)
		}
		var factor mat.Cholesky
		var inverse mat.SymDense
		var weights mat.VecDense
		if !factor.Factorize(k) || factor.InverseTo(&inverse) != nil || factor.SolveVecTo(&weights, y) != nil {
			continue // only a stronger ridge can be solved
		}
		loss := 0.0
		for i := range all { // the error of predicting network i from the others, in closed form
			e := weights.AtVec(i) / inverse.At(i, i)
			loss += e * e
		}
		if loss < least {
			least, r.weights = loss, append([]float64(nil), weights.RawVector().Data...)
		}
	}
	return r
}

func (r *regression) predict(a space.Arch) float64 {
	v := r.mean
	for i, w := range r.weights {
		v += w * r.kernel(a, r.archs[i])
	}
	return v
}

// agreement predicts each fold from the others. Folds are drawn from rng.
func agreement(rng *rand.Rand, all []Evaluation) Agreement {
	order := rng.Perm(len(all))
	var spearman, kendall []float64
	for fold := range regressionFolds {
		var known, held []Evaluation
		for i, k := range order {
			if i%regressionFolds == fold {
				held = append(held, all[k])
			} else {
				known = append(known, all[k])
			}
		}
		r := fit(known)
		predicted, is := make([]float64, len(held)), make([]float64, len(held))
		for i, e := range held {
			predicted[i], is[i] = r.predict(e.Arch), e.MIoU
		}
		spearman = append(spearman, numberOrZero(metrics.Spearman(predicted, is)))
		kendall = append(kendall, numberOrZero(metrics.KendallTauB(predicted, is)))
	}
	a := Agreement{Networks: len(all)}
	a.Spearman, a.SpearmanSD = stat.MeanStdDev(spearman, nil)
	a.Kendall, a.KendallSD = stat.MeanStdDev(kendall, nil)
	return a
}

// numberOrZero: a correlation with what is all alike is undefined, and of no use.
func numberOrZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

// screen fits a regression to the networks so far and has the breeder choose children by it, if it ranks held-out ones well enough. It depends
// on the seed, the generation and the scores alone, so that a trace is replayed to the same children.
func (s *search) screen(number int) *Agreement {
	s.breeder.predict = nil
	if s.cfg.Screen < 2 || s.cfg.Random {
		return nil
	}
	const foldStream = 1 << 32 // apart from the generations' own
	rng := rand.New(rand.NewPCG(s.cfg.Seed, foldStream+uint64(number)))
	all := s.learned(rng)
	if len(all) < regressionLeast {
		return nil
	}
	a := agreement(rng, all)
	if a.Used = a.Spearman >= cmp.Or(s.cfg.ScreenSpearman, leastSpearman); a.Used {
		s.breeder.predict = fit(all).predict
	}
	return &a
}

// learned returns what a regression learns from: the search's latest networks, and where those are not enough, known ones drawn from rng.
func (s *search) learned(rng *rand.Rand) []Evaluation {
	all := slices.Clone(s.result.All[max(0, len(s.result.All)-regressionMost):])
	seen := map[space.Arch]bool{}
	for _, e := range s.result.All {
		seen[e.Arch] = true
	}
	for _, k := range rng.Perm(len(s.cfg.Known)) {
		if known := s.cfg.Known[k]; !seen[known.Arch] && len(all) < regressionMost {
			all = append(all, Evaluation{Arch: known.Arch, Score: known.Score})
		}
	}
	return all
}
