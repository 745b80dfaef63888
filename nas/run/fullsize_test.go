package run

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// fullSizeLabels labels pictures of two sizes with a network of fixed random weights on a device.
func fullSizeLabels(t *testing.T, device string) (all []byte) {
	t.Helper()
	m, err := openMachine(machineOptions{device: device, threads: 2}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	rng := rand.New(rand.NewPCG(1, 2))
	model, err := supernet.NewPlain(m.context, space.DefaultNetwork(5), space.HandScaled(), rng)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	l, err := openFullSize(m, model, 21, 34)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	for _, size := range [][2]int{{45, 60}, {60, 45}, {33, 70}} {
		s := &data.Sample{H: size[0], W: size[1], Image: make([]byte, size[0]*size[1]*3), Label: make([]byte, size[0]*size[1])}
		for i := range s.Image {
			s.Image[i] = byte(rng.Uint32())
		}
		labels, err := l.label(s)
		if err != nil || len(labels) != s.H*s.W {
			t.Fatalf("%d labels for %dx%d: %v", len(labels), s.H, s.W, err)
		}
		again, err := l.label(s)
		if err != nil || !bytes.Equal(again, labels) {
			t.Errorf("%dx%d is labelled otherwise the second time (%v)", s.H, s.W, err)
		}
		all = append(all, labels...)
	}
	return all
}

func TestDevice_FullSizeLabelsOnAPluginAreTheCPUs(t *testing.T) {
	device := pluginDevice(t)
	want, got := fullSizeLabels(t, cpuDevice), fullSizeLabels(t, device)
	differ := 0
	for i := range want {
		if got[i] != want[i] {
			differ++
		}
	}
	if share := float64(differ) / float64(len(want)); share > 0.001 {
		t.Errorf("%.2f %% of the labels differ, at most 0.1 %% should", 100*share)
	}
}

// Edges of enlarged logits lie between the pixels of the network's input; those of an enlarged label map cannot.
func TestFullSize_EdgesAreFinerThanTheInputsPixels(t *testing.T) {
	labels := fullSizeLabels(t, cpuDevice)[:45*60]
	blocky := true
	for i := 0; i < 45 && blocky; i++ {
		for j := 0; j < 60; j++ {
			if labels[i*60+j] != labels[center(i, 45, 21)*60+center(j, 60, 34)] {
				blocky = false
				break
			}
		}
	}
	if blocky {
		t.Error("the labels are those of the input's pixels, enlarged")
	}
}

// center is the pixel, of n, at the middle of the input's pixel, of less, that pixel i lies in.
func center(i, n, less int) int {
	p := (2*i + 1) * less / (2 * n)
	return (2*p + 1) * n / (2 * less)
}
