package train

import (
	"context"
	"testing"

	"github.com/segnas/segnas/nas/data"
)

func TestBalance_WeighsRareClassesUp(t *testing.T) {
	b := &data.Batch{Y: make([]byte, 10000), N: 1, H: 100, W: 100}
	for i := range b.Y { // class 0: 6300 pixels, 1: 2500, 2: 1000, 3: 100, 4: none, ignored: 100
		switch {
		case i < 2500:
			b.Y[i] = 1
		case i < 3500:
			b.Y[i] = 2
		case i < 3600:
			b.Y[i] = 3
		case i < 3700:
			b.Y[i] = data.Ignore
		}
	}
	for exponent, want := range map[float64][]float32{
		1:   {1750.0 / 6300, 0.7, 1.75, 10, 1},
		0.5: {0.527046, 0.836660, 1.322876, 4.183300, 1},
	} {
		got, err := Balance(context.Background(), kept{b}, 5, exponent)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if d := got[i] - want[i]; d > 1e-5 || d < -1e-5 {
				t.Errorf("exponent %v: class %d weighs %v, want %v", exponent, i, got[i], want[i])
			}
		}
	}
	if got, err := Balance(context.Background(), kept{b}, 5, 0); got != nil || err != nil {
		t.Errorf("exponent 0: %v, %v", got, err)
	}
}
