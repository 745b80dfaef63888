package supernet

import (
	"reflect"
	"testing"

	"github.com/segnas/segnas/gobind"
)

// outlineMeasures holds the outline of a network against the network.
func (r *rig) outlineMeasures(t *testing.T, m *Plain, layers []gobind.Layer) {
	t.Helper()
	outline := Outline(m.Network(), m.Arch())
	if len(outline) != len(layers) {
		t.Fatalf("an outline of %d layers for %d", len(outline), len(layers))
	}
	for i, l := range layers {
		o := outline[i]
		if len(o.Weights) != len(l.Weights) || len(o.Bias) != len(l.Bias) {
			t.Errorf("layer %d: %d weights and %d biases in the outline, %d and %d in the network", i, len(o.Weights), len(o.Bias), len(l.Weights), len(l.Bias))
		}
		if len(o.WeightSteps) != len(l.WeightSteps) || (o.InputStep > 0) != (l.InputStep > 0) {
			t.Errorf("layer %d: %d weight steps and an input step of %g in the outline, %d and %g in the network", i, len(o.WeightSteps), o.InputStep, len(l.WeightSteps), l.InputStep)
		}
		o.Weights, o.Bias, o.WeightSteps, o.InputStep, l.Weights, l.Bias, l.WeightSteps, l.InputStep = nil, nil, nil, 0, nil, nil, nil, 0
		if !reflect.DeepEqual(o, l) {
			t.Errorf("layer %d: %+v in the outline, %+v in the network", i, o, l)
		}
	}
	precisions := []gobind.Precision{gobind.Float32, gobind.BFloat16}
	if m.Arch().IsQuantised() {
		precisions = []gobind.Precision{gobind.Int8}
	}
	for _, precision := range precisions {
		if precision == gobind.BFloat16 && !r.ctx.Runs(gobind.BFloat16) {
			continue
		}
		o := gobind.SessionOptions{Precision: precision}
		session, err := r.ctx.NewSession(layers, 2, rigH, rigW, 3, o)
		if err != nil {
			t.Fatal(err)
		}
		activations, weights, err := r.ctx.MeasureSession(outline, 2, rigH, rigW, 3, o)
		if err != nil || activations != session.ActivationBytes() || weights != session.WeightBytes() {
			t.Errorf("%v: measured %d and %d bytes (%v), the session has %d and %d", precision, activations, weights, err, session.ActivationBytes(), session.WeightBytes())
		}
		session.Close()
	}
}
