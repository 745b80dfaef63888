package gobind

import (
	"slices"
	"testing"
)

// filled makes a tensor of given values.
func filled(t *testing.T, x *Context, values []float32, shape ...int) Tensor {
	t.Helper()
	tensor := newTensor(t, x, F32, shape...)
	copy(Host[float32](tensor), values)
	return tensor
}

func TestAvgPool_AveragesBinsThatShareRowsAndGivesTheirShareBack(t *testing.T) {
	x, s := open(t, Options{Threads: 2})
	// Three rows in two bins: rows 0 and 1, rows 1 and 2. Four columns in one.
	picture := filled(t, x, []float32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, 1, 3, 4, 1)
	bins := newTensor(t, x, F32, 1, 2, 1, 1)
	if err := s.AvgPoolForward(picture, bins); err != nil {
		t.Fatal(err)
	}
	if got, want := Host[float32](bins), []float32{3.5, 7.5}; !slices.Equal(got, want) {
		t.Errorf("means %v, want %v", got, want)
	}
	if err := s.AvgPoolBackward(filled(t, x, []float32{8, 16}, 1, 2, 1, 1), picture); err != nil {
		t.Fatal(err)
	}
	if got, want := Host[float32](picture), []float32{1, 1, 1, 1, 3, 3, 3, 3, 2, 2, 2, 2}; !slices.Equal(got, want) {
		t.Errorf("gradient %v, want %v", got, want)
	}
	wantStatus(t, s.AvgPoolForward(bins, picture), InvalidArgument, "y is 3 x 4, should be at most x's 2 x 1")
}
