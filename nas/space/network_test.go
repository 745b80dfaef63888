package space

import (
	"math"
	"testing"
)

// The method's own figures, in multiply-adds at 1024x2048 with 19 classes.
func TestNetwork_BaselineCountsOfTheMethod(t *testing.T) {
	n := DefaultNetwork(19)
	parts := map[string]int64{}
	for _, op := range n.Ops(Baseline(), 1024, 2048) {
		name := op.Name
		if op.Kind == MBConv {
			name = op.Name[:len("stage1")]
		}
		parts[name] += op.MACs()
	}
	// The head's counts are linear in the classes, which parts the classifier from the rest.
	more := n
	more.Classes++
	classifier := 19 * (more.MACs(Baseline(), 1024, 2048) - n.MACs(Baseline(), 1024, 2048))
	parts["classifier"] = classifier
	parts["head"] -= classifier

	want := map[string]float64{
		"stem": 0.807, "stage1": 5.172, "stage2": 3.033, "stage3": 1.448,
		"detail": 0.287, "fuse": 0, "head": 1.149, "classifier": 0.080,
	}
	for name, giga := range want {
		if got := float64(parts[name]) / 1e9; math.Abs(got-giga) > 0.001 {
			t.Errorf("%s: %.4f GMACs, want %.3f", name, got, giga)
		}
	}
	if len(parts) != len(want) {
		t.Errorf("parts are %v", parts)
	}
}

func TestNetwork_TotalsOfTheMethod(t *testing.T) {
	literal, early := DefaultNetwork(19), DefaultNetwork(19)
	early.Strides = [3]int{2, 2, 1}
	for _, c := range []struct {
		name string
		n    Network
		h, w int
		giga float64
	}{
		{"literal", literal, 1024, 2048, 11.975},
		{"literal, CamVid's size", literal, 360, 480, 0.997},
		{"strides 2,2,1", early, 1024, 2048, 6.087},
	} {
		if err := c.n.Validate(); err != nil {
			t.Error(err)
		}
		if got := float64(c.n.MACs(Baseline(), c.h, c.w)) / 1e9; math.Abs(got-c.giga) > 0.0005 {
			t.Errorf("%s: %.4f GMACs, want %.3f", c.name, got, c.giga)
		}
		if got := float64(c.n.Params(Baseline())) / 1e6; math.Abs(got-1.071) > 0.0005 {
			t.Errorf("%s: %.4f M parameters, want 1.071", c.name, got)
		}
	}
	if got, want := literal.Params(Baseline()), int64(1_070_787); got != want {
		t.Errorf("%d parameters, want %d", got, want)
	}
	if got, want := literal.MACs(Baseline(), 1024, 2048), int64(11_975_393_280); got != want {
		t.Errorf("%d multiply-adds, want %d", got, want)
	}
}

func TestNetwork_OpsFitTogetherAtAnySize(t *testing.T) {
	rng := newRand(8)
	n := DefaultNetwork(11)
	for _, size := range [][2]int{{360, 480}, {1, 1}, {33, 65}, {1024, 2048}, {97, 131}} {
		h, w := size[0], size[1]
		ops := n.Ops(Default().Sample(rng), h, w)
		halve := func(v, times int) int {
			for range times {
				v = (v-1)/2 + 1
			}
			return v
		}
		stem, detail, fuse, head := ops[0], ops[len(ops)-3], ops[len(ops)-2], ops[len(ops)-1]
		context := ops[1 : len(ops)-3]
		if stem.OutH != halve(h, 3) || stem.OutW != halve(w, 3) {
			t.Errorf("%v: stem ends at %dx%d", size, stem.OutH, stem.OutW)
		}
		if last := context[len(context)-1]; last.OutH != halve(h, 5) || last.OutW != halve(w, 5) || last.OutC != fuse.InC || last.OutH != fuse.InH || last.OutW != fuse.InW {
			t.Errorf("%v: context ends as %+v, fuse is %+v", size, last, fuse)
		}
		for i, op := range context {
			if before := ops[i]; op.InH != before.OutH || op.InW != before.OutW || op.InC != before.OutC {
				t.Errorf("%v: %+v follows %+v", size, op, before)
			}
			if op.Residual != (op.Stride == 1 && op.InC == op.OutC) {
				t.Errorf("%v: shortcut of %+v", size, op)
			}
		}
		if detail.OutH != fuse.OutH || detail.OutC != fuse.OutC || head.InH != fuse.OutH || head.OutH != h || head.OutW != w || head.OutC != 11 {
			t.Errorf("%v: detail %+v, fuse %+v, head %+v", size, detail, fuse, head)
		}
	}
}

func TestOp_KeySpellsWhatMatters(t *testing.T) {
	ops := DefaultNetwork(19).Ops(Baseline(), 1024, 2048)
	for i, want := range []string{
		"stem 1024x2048x3-128x256x64",
		"block 128x256x64-128x256x64 e6 k3 s1 res",
		"block 128x256x64-128x256x64 e6 k3 s1 res",
		"block 128x256x64-128x256x64 e6 k3 s1 res",
		"block 128x256x64-64x128x96 e6 k3 s2",
		"block 64x128x96-64x128x96 e6 k3 s1 res",
		"block 64x128x96-64x128x96 e6 k3 s1 res",
		"block 64x128x96-32x64x128 e6 k3 s2",
		"block 32x64x128-32x64x128 e6 k3 s1 res",
		"block 32x64x128-32x64x128 e6 k3 s1 res",
		"detail 128x256x64-128x256x128",
		"fuse 32x64x128-128x256x128",
		"head 128x256x128-1024x2048x19",
	} {
		if got := ops[i].Key(); got != want {
			t.Errorf("operation %d: %q, want %q", i, got, want)
		}
	}
}

func TestNetwork_ValidateRefuses(t *testing.T) {
	for _, change := range []func(*Network){
		func(n *Network) { n.Classes = 0 },
		func(n *Network) { n.Classes = 256 },
		func(n *Network) { n.Strides[1] = 3 },
		func(n *Network) { n.Widths[2] = 0 },
	} {
		n := DefaultNetwork(19)
		change(&n)
		if n.Validate() == nil {
			t.Errorf("%+v is valid", n)
		}
	}
}
