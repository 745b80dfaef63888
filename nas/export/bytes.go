package export

import (
	"fmt"
	"math"

	"github.com/segnas/segnas/gobind"
)

// A number that lies between two steps of a network in integers may be rounded to either side, and in a network of few bits what follows from one of them is
// soon everywhere. So a file is compared value by value: each of its bytes with the session's, and then it goes on with the session's.

// Of a value's bytes, one may be a step off, and one more for each so many. Seen is one in a million, while a wrong weight moves most bytes of its channel.
const bytesOff = 1000

// byteComparison compares what the reference makes of the values that are read in integers with what sessions keep of them.
type byteComparison struct {
	device  *gobind.Context
	network Network
	picture picture
	left    map[string]gobind.Layer // readers of values that are not compared yet, by the names of what they read
	wrong   bool                    // a value's bytes are others
	of      Verification
}

func compareBytes(device *gobind.Context, n Network, p picture) *byteComparison {
	c := &byteComparison{device: device, network: n, picture: p, left: map[string]gobind.Layer{}}
	read := map[int]bool{}
	for i, l := range n.Layers {
		if l.WeightBits > 0 && !read[l.Input] {
			c.left[n.Names[i]+inputSuffix], read[l.Input] = l, true
		}
	}
	return c
}

// step compares the bytes that go into a node and replaces them with the session's. Other nodes are let alone.
func (c *byteComparison) step(name string, in [][]float64) error {
	reader, ok := c.left[name]
	if !ok {
		return nil
	}
	delete(c.left, name)
	bytes, err := c.session(reader)
	if err != nil {
		return err
	}
	if len(bytes) != len(in[0]) {
		return fmt.Errorf("the file's %s has %d bytes, the session's %d", name, len(in[0]), len(bytes))
	}
	off, furthest := 0, 0.0
	for i, b := range bytes {
		if d := math.Abs(b - in[0][i]); d != 0 {
			off++
			furthest = max(furthest, d)
		}
	}
	copy(in[0], bytes)
	c.wrong = c.wrong || !(furthest <= 1) || off > 1+len(bytes)/bytesOff
	c.of.Bytes, c.of.Off, c.of.Furthest = c.of.Bytes+len(bytes), c.of.Off+off, max(c.of.Furthest, furthest)
	return nil
}

// agrees reports whether all values were there, and the same but for roundings.
func (c *byteComparison) agrees() bool { return len(c.left) == 0 && !c.wrong }

// session returns the bytes N,C,H,W that a session keeps of what a layer reads: a layer that multiplies each channel with 1 is put in the reader's place.
func (c *byteComparison) session(reader gobind.Layer) ([]float64, error) {
	layers := makers(c.network.Layers, reader.Input)
	channels := layers[len(layers)-1].Channels
	for i := len(layers) - 1; channels == 0; i = layers[i].Input - 1 {
		channels = layers[i].Channels
	}
	probe := gobind.Layer{
		Kind: gobind.LayerPWConv, Input: len(layers), Input2: -1, Channels: channels, Group: layers[len(layers)-1].Group,
		Weights: make([]float32, channels*channels), Bias: make([]float32, channels), WeightSteps: make([]float32, channels), WeightBits: 8,
		InputBits: reader.InputBits, InputSigned: reader.InputSigned, InputStep: reader.InputStep,
	}
	for i := range channels {
		probe.Weights[i*channels+i], probe.WeightSteps[i] = 1, 1
	}
	values, err := runFloats(c.device, append(layers, probe), c.picture, gobind.SessionOptions{Precision: c.network.precision()})
	if err != nil {
		return nil, err
	}
	zero, _, _ := levels(reader)
	bytes, area := make([]float64, len(values)), len(values)/(channels*c.picture.n)
	for i, v := range values {
		pixel, channel := i/channels, i%channels
		bytes[(pixel/area*channels+channel)*area+pixel%area] = math.Round(float64(v)/float64(reader.InputStep)) + float64(zero)
	}
	return bytes, nil
}

// makers returns the layers that a value comes from, with values of their own numbers; the last one makes it.
func makers(layers []gobind.Layer, value int) []gobind.Layer {
	needed := map[int]bool{value: true}
	for v := value; v > 0; v-- {
		if l := layers[v-1]; needed[v] {
			needed[l.Input] = true
			if l.Input2 >= 0 {
				needed[l.Input2] = true
			}
		}
	}
	var made []gobind.Layer
	numbers := map[int]int{0: 0, -1: -1}
	for v := 1; v <= value; v++ {
		if l := layers[v-1]; needed[v] {
			l.Input, l.Input2 = numbers[l.Input], numbers[l.Input2]
			made = append(made, l)
			numbers[v] = len(made)
		}
	}
	return made
}
