package street

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"runtime"
	"testing"
)

func draw(seed, index uint64, h, w int) (image, label []byte) {
	image, label = make([]byte, h*w*3), make([]byte, h*w)
	Draw(seed, index, h, w, image, label)
	return image, label
}

func TestDraw_IsAFunctionOfItsArguments(t *testing.T) {
	const h, w = 48, 96
	image, label := draw(3, 7, h, w)
	draw(3, 8, 2*h, w/2) // leaves other contents in the reused canvas
	again, labelAgain := draw(3, 7, h, w)
	if !bytes.Equal(image, again) || !bytes.Equal(label, labelAgain) {
		t.Error("the same scene differs")
	}
	for _, other := range [][2]uint64{{3, 8}, {4, 7}} {
		if image2, _ := draw(other[0], other[1], h, w); bytes.Equal(image, image2) {
			t.Errorf("scene %v is the same as another", other)
		}
	}
}

// TestDraw_Golden holds the pixels still: results stay comparable from version to version only as long as it passes.
func TestDraw_Golden(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the hash is that of amd64; compilers for other processors fuse multiplication and addition, which moves last bits")
	}
	sum := sha256.New()
	for index := uint64(0); index < 24; index++ {
		image, label := draw(1, index, 64, 128)
		sum.Write(image)
		sum.Write(label)
	}
	const want = "ce9b8be01d3e1165"
	if got := hex.EncodeToString(sum.Sum(nil)[:8]); got != want {
		t.Errorf("hash %s, want %s: a change of the drawing makes earlier results on scenes incomparable; say so in the change", got, want)
	}
}

func TestDraw_SameSceneAtAnotherSize(t *testing.T) {
	const h, w = 64, 128
	agree, all := 0, 0
	for index := uint64(0); index < 12; index++ {
		_, small := draw(2, index, h, w)
		_, large := draw(2, index, 3*h, 3*w)
		for p, l := range small {
			all++
			if large[(p/w*3+1)*3*w+p%w*3+1] == l {
				agree++
			}
		}
	}
	if share := float64(agree) / float64(all); share < 0.97 {
		t.Errorf("labels agree on %.3f of the pixels", share)
	}
}

func TestDraw_EveryClassIsFrequentAndLargeEnough(t *testing.T) {
	const h, w, n = 64, 128, 300
	var present, pixels [256]int
	for index := uint64(0); index < n; index++ {
		_, label := draw(1, index, h, w)
		var count [256]int
		for _, l := range label {
			count[l]++
		}
		for l, c := range count {
			pixels[l] += c
			if c >= 8 {
				present[l]++
			}
		}
	}
	for class := 0; class <= bicycle; class++ {
		if present[class] < n/8 {
			t.Errorf("class %d is in %d of %d scenes", class, present[class], n)
		}
	}
	for l := bicycle + 1; l < ignore; l++ {
		if pixels[l] > 0 {
			t.Errorf("label %d is no class", l)
		}
	}
	if big, small := pixels[road], pixels[bicycle]; big < 30*small {
		t.Errorf("road has %d pixels, bicycle %d: real streets are less balanced", big, small)
	}
}

func TestDraw_AnySize(t *testing.T) {
	for _, size := range [][2]int{{1, 1}, {16, 16}, {200, 50}, {33, 257}} {
		for index := uint64(0); index < 20; index++ {
			_, label := draw(5, index, size[0], size[1])
			for _, l := range label {
				if l > bicycle && l != ignore {
					t.Fatalf("%v: label %d", size, l)
				}
			}
		}
	}
}

func BenchmarkDraw(b *testing.B) {
	const h, w = 256, 512
	image, label := make([]byte, h*w*3), make([]byte, h*w)
	for i := 0; i < b.N; i++ {
		Draw(1, uint64(i%200), h, w, image, label)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "frames/s")
}
