package data

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

// rare is a dataset in which class c lies in every (c+1)-th sample only, as one pixel at a place of its own and as more at places that others may
// take; the rest is class 0.
type rare struct{ n, classes, h, w, more int }

func (r rare) Name() string     { return "rare" }
func (r rare) Classes() Classes { return CityscapesClasses() }
func (r rare) Len() int         { return r.n }

func (r rare) Read(i int) (*Sample, error) {
	s := &Sample{Image: make([]byte, r.h*r.w*3), Label: make([]byte, r.h*r.w), H: r.h, W: r.w, Name: fmt.Sprint("rare", i)}
	for c := 1; c < r.classes; c++ {
		for k := range r.more {
			if i%(c+1) == 0 {
				s.Label[(i*31+c*53+k*211)%len(s.Label)] = byte(c)
			}
		}
	}
	for c := 1; c < r.classes; c++ {
		if i%(c+1) == 0 {
			s.Label[(i*31+c*17)%len(s.Label)] = byte(c)
		}
	}
	return s, nil
}

func indexed(t testing.TB, ds Dataset) *ClassIndex {
	t.Helper()
	calls := 0
	x, err := IndexClasses(context.Background(), ds, func(done, total int) { calls++ })
	if err != nil || calls != ds.Len() {
		t.Fatalf("%v after %d calls for %d samples", err, calls, ds.Len())
	}
	return x
}

func TestClassUniform_ClassesComeEvenlyHoweverRare(t *testing.T) {
	const share, batch, steps = 0.5, 5, 6000
	ds := rare{n: 60, classes: 10, h: 9, w: 9}
	x := indexed(t, ds)
	if !slices.Equal(x.Occurring(), []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || x.Samples(0) != 60 || x.Samples(9) != 6 {
		t.Fatalf("classes %v, class 9 in %d samples", x.Occurring(), x.Samples(9))
	}
	c, err := newChooser(ds, LoaderConfig{Batch: batch, Seed: 7, ClassUniform: share, Index: x})
	if err != nil {
		t.Fatal(err)
	}
	var classes [10]int
	ordinary := make([]int, ds.n)
	chosen := 0
	for step := range steps {
		b := &Batch{N: batch, Step: step}
		for slot, sample := range c.batch(b) {
			class := b.chosen[slot]
			if class == anyClass {
				ordinary[sample]++
				continue
			}
			classes[class]++
			chosen++
			if !slices.Contains(x.holders[class], int32(sample)) {
				t.Fatalf("step %d: sample %d was chosen for class %d, which it lacks", step, sample, class)
			}
		}
	}
	if chosen != share*batch*steps {
		t.Errorf("%d of %d samples are chosen by class", chosen, batch*steps)
	}
	for class, n := range classes { // binomial: 4.5 standard deviations are passed once in 150000 draws
		p := 1.0 / float64(len(classes))
		if mean, deviation := float64(chosen)*p, math.Sqrt(float64(chosen)*p*(1-p)); math.Abs(float64(n)-mean) > 4.5*deviation {
			t.Errorf("class %d is chosen %d times of %d", class, n, chosen)
		}
	}
	if low, high := slices.Min(ordinary), slices.Max(ordinary); high-low > 1 {
		t.Errorf("the other samples come %d to %d times: their epochs should visit each once", low, high)
	}
}

func TestClassUniform_TheCropHoldsItsClassWhereTheScaleLeavesIt(t *testing.T) {
	ds := rare{n: 12, classes: 8, h: 37, w: 53, more: 5}
	for _, c := range []struct {
		name     string
		min, max float64
		own      bool
		h, w     int
	}{{"larger", 1, 3, true, 16, 20}, {"smaller", 0.3, 1, true, 9, 8}, {"smaller than the crop", 0.2, 0.5, true, 32, 40}, {"stretched", 0.5, 2, false, 21, 18}} {
		a := NewAugmenter(&AugmentConfig{ScaleMin: c.min, ScaleMax: c.max, OwnPixels: c.own, Flip: 0.5}, c.h, c.w)
		x, y := make([]float32, c.h*c.w*3), make([]byte, c.h*c.w)
		left := 0
		for trial := range 1500 {
			i := trial % ds.n
			s, _ := ds.Read(i)
			class := 1 + trial%7
			if i%(class+1) != 0 {
				continue
			}
			z := c.min * math.Pow(c.max/c.min, rand.New(rand.NewPCG(9, uint64(trial))).Float64())
			baseH, baseW := c.h, c.w
			if c.own {
				baseH, baseW = s.H, s.W
			}
			kept := shows(s, byte(class), scaled(baseH, z), scaled(baseW, z))
			a.apply(s, class, rand.New(rand.NewPCG(9, uint64(trial))), x, y)
			if holds := bytes.IndexByte(y, byte(class)) >= 0; holds != kept {
				t.Errorf("%s, trial %d: the crop holds class %d: %v; the scaled picture: %v", c.name, trial, class, holds, kept)
			}
			if kept {
				left++
			}
		}
		if left < 20 {
			t.Errorf("%s: the class is left in %d trials only", c.name, left)
		}
	}
}

// shows tells whether any pixel of the scaled picture is of the class.
func shows(s *Sample, class byte, scaledH, scaledW int) bool {
	for y := range scaledH {
		for x := range scaledW {
			if s.Label[(2*y+1)*s.H/(2*scaledH)*s.W+(2*x+1)*s.W/(2*scaledW)] == class {
				return true
			}
		}
	}
	return false
}

func TestClassUniform_EveryPixelOfTheClassIsCropped(t *testing.T) {
	s := &Sample{Image: make([]byte, 20*30*3), Label: make([]byte, 20*30), H: 20, W: 30}
	for i, p := range []int{0, 29, 19 * 30, 19*30 + 29, 10*30 + 15} { // the corners and the middle
		s.Label[p] = 5
		s.Image[3*p] = byte(40 * (i + 1))
	}
	seen := map[byte]bool{}
	a := NewAugmenter(&AugmentConfig{OwnPixels: true}, 3, 3)
	x, y := make([]float32, 27), make([]byte, 9)
	rng := rand.New(rand.NewPCG(4, 4))
	for range 300 {
		a.apply(s, 5, rng, x, y)
		at := bytes.IndexByte(y, 5)
		if at < 0 {
			t.Fatal("a crop without the class")
		}
		var red [1]byte
		Denormalise(red[:], x[3*at:3*at+1])
		seen[red[0]] = true
	}
	if len(seen) != 5 {
		t.Errorf("%d of 5 pixels were cropped", len(seen))
	}
}

func TestClassUniform_BatchesDependOnSeedAndStepAlone(t *testing.T) {
	ds := rare{n: 10, classes: 6, h: 12, w: 16}
	cfg := LoaderConfig{Batch: 4, H: 8, W: 10, Augment: StandardAugment(), Seed: 3, Workers: 1, ClassUniform: 0.6, Index: indexed(t, ds)}
	want := take(t, ds, cfg, 12)
	for _, c := range []struct{ workers, ahead, start int }{{4, 5, 0}, {1, 0, 7}, {3, 1, 5}} {
		cfg := cfg
		cfg.Workers, cfg.Prefetch, cfg.StartStep = c.workers, c.ahead, c.start
		for i, b := range take(t, ds, cfg, 12-c.start) {
			if !sameBatch(b, want[c.start+i]) {
				t.Errorf("%+v: batch %d differs", c, i)
			}
		}
	}
	cfg.Index = nil
	for i, b := range take(t, ds, cfg, 3) {
		if !sameBatch(b, want[i]) {
			t.Errorf("batch %d differs where the loader makes the index itself", i)
		}
	}
	cfg.Seed = 4
	if other := take(t, ds, cfg, 1); slices.Equal(other[0].Y, want[0].Y) {
		t.Error("another seed gives the same batch")
	}
}

// Without class-uniform sampling, slot k of step s is what the seed's shuffled order and the augmentation's numbers of sample s*Batch+k say.
func TestClassUniform_AShareOfZeroChangesNothing(t *testing.T) {
	ds := drawn{n: 10, h: 12, w: 16}
	cfg := LoaderConfig{Batch: 4, H: 8, W: 10, Augment: StandardAugment(), Seed: 3}
	plain := take(t, ds, cfg, 5)
	cfg.Index = indexed(t, ds)
	for i, b := range take(t, ds, cfg, 5) {
		if !sameBatch(b, plain[i]) {
			t.Errorf("batch %d differs with an index that nothing asks", i)
		}
	}
	order := newShuffle(3, 10)
	a := NewAugmenter(cfg.Augment, 8, 10)
	x, y := make([]float32, 8*10*3), make([]byte, 8*10)
	for i, b := range plain {
		for slot := range 4 {
			s, _ := ds.Read(order.sample(4*i + slot))
			a.Apply(s, rand.New(rand.NewPCG(3^augmentStream, uint64(4*i+slot))), x, y)
			if !slices.Equal(x, b.X[slot*len(x):][:len(x)]) || !bytes.Equal(y, b.Y[slot*len(y):][:len(y)]) {
				t.Errorf("batch %d, slot %d is not the shuffled order's next sample", i, slot)
			}
		}
	}
}

// Every data set's training pictures without the search's are the first of all.
func TestClassUniform_TheIndexOfTheFirstSamplesIsTheirs(t *testing.T) {
	dir := t.TempDir()
	writeFiles(t, dir, goodCityscapes(t, "bremen", "aachen", "zurich"))
	cityscapes, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	scenes, err := Scenes(ScenesConfig{H: 16, W: 24, Train: 5, SearchVal: 3, Val: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Splits{cityscapes, scenes} {
		want, got := indexed(t, s.Train), indexed(t, s.TrainAll).First(s.Train.Len())
		if fmt.Sprint(*got) != fmt.Sprint(*want) {
			t.Errorf("%s: the index of the first is %v, want %v", s.Train.Name(), got, want)
		}
	}
	var none *ClassIndex
	if none.First(3) != nil {
		t.Error("nothing has a first part")
	}
}

// unlabelled has no label in any sample.
type unlabelled struct{ drawn }

func (u unlabelled) Read(i int) (*Sample, error) {
	s, err := u.drawn.Read(i)
	fill(s.Label, Ignore)
	return s, err
}

func TestClassUniform_RefusesWhatCannotBe(t *testing.T) {
	ds := rare{n: 4, classes: 2, h: 3, w: 3}
	x := indexed(t, ds)
	for _, cfg := range []LoaderConfig{
		{ClassUniform: -0.1, Index: x}, {ClassUniform: 1.1, Index: x}, {ClassUniform: math.NaN(), Index: x},
		{ClassUniform: 0.5, Index: indexed(t, rare{n: 5, classes: 2, h: 3, w: 3})},
	} {
		cfg.Batch, cfg.H, cfg.W = 1, 2, 2
		if l, err := NewLoader(ds, cfg); err == nil {
			l.Close()
			t.Errorf("%+v is accepted", cfg)
		}
	}
	blank := unlabelled{drawn{n: 3, h: 2, w: 2}}
	if _, err := NewLoader(blank, LoaderConfig{Batch: 1, H: 2, W: 2, ClassUniform: 1}); !misuse.Is(err) || !strings.Contains(err.Error(), "no pixel") {
		t.Errorf("no label at all gives %v", err)
	}
	if _, err := IndexClasses(context.Background(), faulty{drawn{n: 9, h: 2, w: 2}}, nil); !errors.Is(err, errFaulty) {
		t.Errorf("a broken sample gives %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := IndexClasses(ctx, ds, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled index gives %v", err)
	}
}
