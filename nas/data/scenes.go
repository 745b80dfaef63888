package data

import (
	"fmt"

	"github.com/segnas/segnas/nas/data/internal/street"
	"github.com/segnas/segnas/nas/misuse"
)

// ScenesConfig sizes a set of drawn street scenes.
type ScenesConfig struct {
	H, W                  int    // size of the pictures, in pixels
	Seed                  uint64 // another seed, another set of scenes
	Train, SearchVal, Val int    // numbers of scenes
	CacheBytes            int64  // of drawn scenes kept in memory, for all splits together; 0 draws each scene anew every time
}

// The splits are disjoint ranges of one sequence of scenes, far enough apart that no count makes them meet, and that
// changing one count changes no other split.
const (
	trainScenes     = 0
	searchValScenes = 1 << 40
	valScenes       = 2 << 40
)

// Scenes are street scenes drawn in perspective, with the classes of Cityscapes. A scene is a function of its seed, its index
// and its size alone; the same scene can be drawn at any size.
func Scenes(cfg ScenesConfig) (Splits, error) {
	switch {
	case cfg.H < 16 || cfg.W < 16 || cfg.H > maxSide || cfg.W > maxSide:
		return Splits{}, misuse.Errorf("scenes of %d x %d pixels: both sides must lie in 16-%d", cfg.H, cfg.W, maxSide)
	case cfg.Train < 1 || cfg.SearchVal < 1 || cfg.Val < 1:
		return Splits{}, misuse.Errorf("scenes: %d for training, %d for the search and %d for the report: each needs at least 1",
			cfg.Train, cfg.SearchVal, cfg.Val)
	}
	total := int64(cfg.Train + cfg.SearchVal + cfg.Val)
	part := func(first uint64, n int) Dataset {
		ds := &scenes{h: cfg.H, w: cfg.W, seed: cfg.Seed, first: first, n: n}
		return Cache(ds, cfg.CacheBytes/total*int64(n))
	}
	train, searchVal := part(trainScenes, cfg.Train), part(searchValScenes, cfg.SearchVal)
	return Splits{
		Train: train, SearchVal: searchVal,
		TrainAll: concat{train, searchVal},
		Val:      part(valScenes, cfg.Val),
	}, nil
}

type scenes struct {
	h, w        int
	seed, first uint64
	n           int
}

func (s *scenes) Name() string     { return fmt.Sprintf("scenes %dx%d seed %d", s.h, s.w, s.seed) }
func (s *scenes) Classes() Classes { return CityscapesClasses() }
func (s *scenes) Len() int         { return s.n }

func (s *scenes) Read(i int) (*Sample, error) {
	pixels := make([]byte, s.h*s.w*4)
	index := s.first + uint64(i)
	sample := &Sample{Image: pixels[: s.h*s.w*3 : s.h*s.w*3], Label: pixels[s.h*s.w*3:], H: s.h, W: s.w,
		Name: fmt.Sprintf("scene%014d", index)}
	street.Draw(s.seed, index, s.h, s.w, sample.Image, sample.Label)
	return sample, nil
}
