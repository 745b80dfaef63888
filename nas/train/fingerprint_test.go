package train

import (
	"context"
	"testing"

	"github.com/segnas/segnas/nas/data"
)

func TestFingerprint_NamesPicturesAndLabels(t *testing.T) {
	batch := func(change func(*data.Batch)) Feed {
		b := &data.Batch{N: 1, H: 2, W: 2, X: make([]float32, 12), Y: make([]byte, 4)}
		change(b)
		return kept{b}
	}
	name := func(feeds ...Feed) string {
		text, err := Fingerprint(context.Background(), feeds...)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	same := batch(func(*data.Batch) {})
	want := name(same, same)
	if again := name(batch(func(*data.Batch) {}), same); again != want {
		t.Errorf("equal feeds are named %s and %s", want, again)
	}
	for what, other := range map[string]string{
		"a pixel":     name(batch(func(b *data.Batch) { b.X[5] = 1 }), same),
		"a label":     name(same, batch(func(b *data.Batch) { b.Y[3] = data.Ignore })),
		"the shape":   name(batch(func(b *data.Batch) { b.H, b.W = 1, 4 }), same),
		"a batch":     name(kept{same.(kept)[0], same.(kept)[0]}, same),
		"the order":   name(same, kept{}),
		"the feeds":   name(kept{same.(kept)[0], same.(kept)[0]}),
		"no pictures": name(),
	} {
		if other == want {
			t.Errorf("%s makes no difference to the name", what)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Fingerprint(ctx, same); err == nil {
		t.Error("a cancelled fingerprint ends without an error")
	}
}
