package graph

import (
	"math"
	"reflect"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

func named(t *testing.T, name string, classes int) Network {
	t.Helper()
	n, err := Named(name, classes)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestCounts_AreTheHandCounts(t *testing.T) {
	b := newBuilder("small", 5)
	x := b.conv3x3("conv", Picture, 8, 2)                                                     // 9*3*8 weights at 4x5
	d := b.depthwise("far", x, 1, 2, true)                                                    // 9*8 at 4x5
	p := b.upsample(b.pointwise("mean", b.pool(d, 3), 4, true), d)                            // 8*4 at 3x3
	j := b.pointwise("join", b.concat(d, p), 6, true)                                         // 12*6 at 4x5
	b.aux("aux", j)                                                                           // not counted
	b.Logits = b.classifier("classes", b.sum(j, b.bottleneck("block", j, 2, 6, 1, 1), false)) // 6*12 + 9*12 + 12*6, then 6*5, at 4x5
	n := b.Network
	const macs = 20*(216+72+72+72+108+72+30) + 9*32
	if got := n.MACs(8, 9); got != macs {
		t.Errorf("%d multiply-adds, want %d", got, macs)
	}
	const params = 216 + 16 + 72 + 16 + 32 + 8 + 72 + 12 + (72 + 24) + (108 + 24) + (72 + 12) + 30 + 5
	if got := n.Params(); got != params {
		t.Errorf("%d parameters, want %d", got, params)
	}
	want := []Shape{{8, 9, 3}, {4, 5, 8}, {4, 5, 8}, {3, 3, 8}, {3, 3, 4}, {4, 5, 4}, {4, 5, 12}, {4, 5, 6}}
	if got := n.Shapes(8, 9)[:len(want)]; !reflect.DeepEqual(got, want) {
		t.Errorf("shapes %v, want %v", got, want)
	}
	if got := n.Shapes(3, 3)[3]; got != (Shape{2, 2, 8}) {
		t.Errorf("3 bins of 2 x 2 pixels became %v", got)
	}
}

// near fails unless got is within a share of a published figure.
func near(t *testing.T, what string, got int64, published, share float64) {
	t.Helper()
	if off := math.Abs(float64(got)/published - 1); off > share {
		t.Errorf("%s: %d, published %g: off by %.2f %%", what, got, published, 100*off)
	}
}

// The paper reports 2.11 M parameters and 2.75 G multiply-adds for 21 classes at 513x513; DeepLab's list 21.27 G for Cityscapes, whose pictures DeepLab
// pads to a multiple of 16 and one: 1025x2049.
func TestMobileNetV2DeepLab_CountsAreThePublished(t *testing.T) {
	voc := named(t, "mobilenetv2-deeplab", 21)
	near(t, "parameters", voc.Params(), 2.11e6, 0.005)
	near(t, "multiply-adds at 513x513", voc.MACs(513, 513), 2.75e9, 0.005)
	near(t, "multiply-adds at 1025x2049", named(t, "mobilenetv2-deeplab", 19).MACs(1025, 2049), 21.27e9, 0.005)
}

// The paper's 1.11 M are the weights; batch norm's scale and shift make 1.14 M of them.
func TestFastSCNN_CountsAreThePublished(t *testing.T) {
	n := named(t, "fast-scnn", 19)
	var norm int64
	shapes := n.Shapes(1, 1)
	for i, l := range n.Layers {
		if !l.Training && !l.Bias && l.weights(shapes[l.Inputs[0]]) > 0 {
			norm += 2 * int64(shapes[i+1].C)
		}
	}
	near(t, "parameters without batch norm", n.Params()-norm, 1.11e6, 0.005)
	full := n.Shapes(1024, 2048)
	for name, want := range map[string]Shape{
		"down.sep2.pointwise": {128, 256, 64}, "stage1.block3.project": {64, 128, 64}, "stage3.block3.project": {32, 64, 128},
		"pyramid.join": {32, 64, 128}, "fuse.coarse": {128, 256, 128}, "head.classifier": {128, 256, 19},
	} {
		found := false
		for i, l := range n.Layers {
			if l.Name == name {
				found = true
				if full[i+1] != want {
					t.Errorf("%s: %v, the paper has %v", name, full[i+1], want)
				}
			}
		}
		if !found {
			t.Errorf("there is no %s", name)
		}
	}
}

func TestRedesignNoDetail_IsTheBaselineLessItsDetailBranch(t *testing.T) {
	net := space.DefaultNetwork(19)
	for _, size := range [][2]int{{1024, 2048}, {360, 480}, {45, 77}} {
		macs, params := net.MACs(space.Baseline(), size[0], size[1]), net.Params(space.Baseline())
		for _, op := range net.Ops(space.Baseline(), size[0], size[1]) {
			if op.Kind == space.Detail {
				macs, params = macs-op.MACs(), params-op.Params()
			}
		}
		n := named(t, "redesign-no-detail", 19)
		if n.MACs(size[0], size[1]) != macs || n.Params() != params {
			t.Errorf("%v: %d multiply-adds and %d parameters, want %d and %d", size, n.MACs(size[0], size[1]), n.Params(), macs, params)
		}
	}
}

func TestNetworks_AreWellFormed(t *testing.T) {
	for _, name := range Names() {
		n := named(t, name, 7)
		if n.Name != name || n.Classes != 7 {
			t.Errorf("%s is called %s and has %d classes", name, n.Name, n.Classes)
		}
		names := map[string]bool{}
		for i, l := range n.Layers {
			for _, v := range l.Inputs {
				if v < 0 || int(v) > i || (v > 0 && n.Layers[v-1].Training && !l.Training) {
					t.Errorf("%s: layer %d reads value %d", name, i, v)
				}
			}
			if l.weights(Shape{1, 1, 1}) > 0 == (l.Name == "") || names[l.Name] && l.Name != "" {
				t.Errorf("%s: layer %d is called %q", name, i, l.Name)
			}
			names[l.Name] = true
		}
		if shapes := n.Shapes(64, 96); shapes[n.Logits].C != 7 {
			t.Errorf("%s: logits %v", name, shapes[n.Logits])
		}
	}
}

func TestNamed_RefusesWhatIsNoNetwork(t *testing.T) {
	for _, c := range []struct {
		name    string
		classes int
	}{{"fast-scn", 19}, {"", 19}, {"fast-scnn", 0}, {"fast-scnn", 256}} {
		if _, err := Named(c.name, c.classes); !misuse.Is(err) {
			t.Errorf("%q of %d classes: %v, want misuse", c.name, c.classes, err)
		}
	}
}
