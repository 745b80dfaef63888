package export

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
)

// Verification is how a file's network, computed by the reference interpreter, compares with the session that deploys the network.
type Verification struct {
	// Error is the largest difference of a logit, in units of the reference logits' root mean square; Bound is the most that rounding
	// explains.
	Error float64 `json:"error"`
	Bound float64 `json:"bound"`
	RMS   float64 `json:"rms"`
	// Differ counts the pixels, of Pixels, that the two label differently. Gap is by how much the reference prefers its own label there, at
	// most, in the same units: up to 2 Bound it is a tie as far as rounding goes.
	Pixels int     `json:"pixels"` // 0: the file ends in logits
	Differ int     `json:"differ"`
	Gap    float64 `json:"gap"`
	// Of a network in integers: the bytes of all values, those that are rounded otherwise, and by how many steps at most.
	Bytes    int     `json:"bytes,omitempty"`
	Off      int     `json:"bytes_off,omitempty"`
	Furthest float64 `json:"furthest,omitempty"`
	Agrees   bool    `json:"agrees"`
}

// String says it in one line.
func (v Verification) String() string {
	text := fmt.Sprintf("logits differ by at most %.2g of their root mean square %.3g (bound %.2g)", v.Error, v.RMS, v.Bound)
	if v.Pixels > 0 {
		text += fmt.Sprintf("; %d of %d labels differ", v.Differ, v.Pixels)
	}
	if v.Differ > 0 {
		text += fmt.Sprintf(", where the two best logits are at most %.2g apart", v.Gap)
	}
	if v.Bytes > 0 {
		text += fmt.Sprintf("; %d of %d bytes are rounded otherwise, by at most %g", v.Off, v.Bytes, v.Furthest)
	}
	return text
}

// Verify reads a file back, computes it in double precision on a random picture, and compares with the network's session: the logits within
// the bound of rounding, the labels but for ties, and the bytes of a network in integers but for what falls to the other side.
func Verify(ctx context.Context, device *gobind.Context, file []byte, n Network, rng *rand.Rand, progress func(done, total int)) (Verification, error) {
	m, err := Unmarshal(file)
	if err != nil {
		return Verification{}, err
	}
	p, err := newPlan(m)
	if err != nil {
		return Verification{}, err
	}
	shape := m.Graph.Input.Shape
	if len(shape) != 4 || shape[1] != pictureChannels {
		return Verification{}, misuse.Errorf("input of shape %v; pictures [N,%d,H,W] go in", shape, pictureChannels)
	}
	input := newPicture(int(shape[0]), int(shape[2]), int(shape[3]), rng)
	ends := endsOf(&m.Graph)
	if len(p.shape(ends.logits)) != 4 || (ends.labels != "" && len(p.shape(ends.upsampled)) != 4) {
		return Verification{}, misuse.Errorf("output %q comes from no logits", m.Graph.Output.Name)
	}
	session, err := runSession(device, n, ends.labels != "", input)
	if err != nil {
		return Verification{}, err
	}
	bytes := compareBytes(device, n, input)
	values, err := p.run(ctx, input.planes(), []string{ends.logits, ends.upsampled}, bytes.step, progress)
	if err != nil {
		return Verification{}, err
	}
	v := bytes.of
	v.Bound = roundingBound(n.Layers)
	logits := values[ends.logits]
	if len(logits) != len(session.logits) {
		return v, fmt.Errorf("the file has %d logits, the session %d", len(logits), len(session.logits))
	}
	v.compareLogits(logits, session.logits, p.shape(ends.logits))
	v.Agrees = bytes.agrees() && v.Error <= v.Bound // false for NaN
	if ends.labels != "" {
		if len(values[ends.labels]) != len(session.labels) {
			return v, fmt.Errorf("the file has %d labels, the session %d", len(values[ends.labels]), len(session.labels))
		}
		v.compareLabels(values[ends.upsampled], values[ends.labels], session.labels, int(p.shape(ends.upsampled)[1]), input.h*input.w)
		v.Agrees = v.Agrees && v.Gap <= 2*v.Bound
	}
	return v, nil
}

// roundingBound is the largest error of a logit that float32 explains, over the logits' root mean square. A sum of h products in an order of
// one's own errs by about sqrt(h) 2^-24 of its size, in the manner of a random walk. Were every one of the network's sums as long as the
// longest, and none of their errors cancelled another's, the logits would err by layers x sqrt(h) 2^-24, and the largest of very many by
// four times that: some 3e-4. Seen is up to 4e-5, while a weight in the wrong place shows as 0.1 and more.
func roundingBound(layers []gobind.Layer) float64 {
	sums, longest := 0, 1
	for _, l := range layers {
		if len(l.Bias) > 0 {
			sums++
			longest = max(longest, len(l.Weights)/len(l.Bias))
		}
	}
	return 4 * float64(sums) * math.Sqrt(float64(longest)) * 0x1p-24
}

// ends names a graph's last values. Where the graph ends in logits, the others are empty.
type ends struct{ logits, upsampled, labels string }

func endsOf(g *Graph) ends {
	input := map[string]string{}
	for _, n := range g.Nodes {
		if len(n.Inputs) > 0 {
			input[n.Output] = n.Inputs[0]
		}
	}
	if g.Output.Type != Uint8 {
		return ends{logits: g.Output.Name}
	}
	upsampled := input[input[g.Output.Name]] // cast, then argmax
	return ends{input[upsampled], upsampled, g.Output.Name}
}

// answers are a session's: logits N,h,w,C and labels N,H,W.
type answers struct {
	logits []float32
	labels []uint8
}

// runSession deploys a network and runs it, for its logits and where wanted for its labels.
func runSession(device *gobind.Context, n Network, labels bool, p picture) (a answers, err error) {
	layers, o := n.Layers, gobind.SessionOptions{Precision: n.precision()}
	head := layers
	if layers[len(layers)-1].Kind == gobind.LayerLabels {
		head = layers[:len(layers)-1]
	}
	if a.logits, err = runFloats(device, head, p, o); err != nil || !labels {
		return a, err
	}
	session, err := device.NewSession(layers, p.n, p.h, p.w, pictureChannels, o)
	if err != nil {
		return a, err
	}
	defer session.Close()
	a.labels = make([]uint8, session.OutputBytes())
	return a, session.Run(p.pixels, a.labels, nil)
}

// runFloats runs a network that ends without labels.
func runFloats(device *gobind.Context, layers []gobind.Layer, p picture, o gobind.SessionOptions) ([]float32, error) {
	session, err := device.NewSession(layers, p.n, p.h, p.w, pictureChannels, o)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	y := make([]float32, session.OutputBytes()/4)
	return y, session.RunFloat32(p.pixels, y, nil)
}

// compareLogits compares reference logits of shape [N,C,h,w] with a session's [N,h,w,C].
func (v *Verification) compareLogits(reference []float64, session []float32, shape []int64) {
	channels, area := int(shape[1]), int(shape[2]*shape[3])
	var squares float64
	for i, r := range reference {
		squares += r * r
		n, c, at := i/(channels*area), i/area%channels, i%area
		v.Error = max(v.Error, math.Abs(r-float64(session[(n*area+at)*channels+c])))
	}
	v.RMS = math.Sqrt(squares / float64(len(reference)))
	v.Error /= v.RMS
}

// compareLabels compares the reference's labels, made from its logits [N,C,H,W], with a session's. It needs the RMS.
func (v *Verification) compareLabels(logits, reference []float64, session []uint8, channels, area int) {
	v.Pixels = len(session)
	for i, label := range session {
		if float64(label) == reference[i] {
			continue
		}
		v.Differ++
		at := func(class int) float64 { return logits[(i/area*channels+class)*area+i%area] }
		gap := math.Inf(1)
		if int(label) < channels {
			gap = at(int(reference[i])) - at(int(label))
		}
		v.Gap = max(v.Gap, gap/v.RMS)
	}
}
