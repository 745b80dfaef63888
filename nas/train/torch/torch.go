// Package torch translates between a plain network's tensors and the state_dict of the same network in PyTorch, whose module
// testdata/segnas_net.py writes out. Names are the layers' with PyTorch's endings:
//
//	here                 [shape]          there                 [shape]
//	stem.conv.weight     [9*Cin][Cout]    stem.conv.conv.weight [Cout][Cin][3][3]   dense; the row of tap t and channel c is t*Cin+c
//	X.depthwise.weight   [k*k][C]         X.depthwise.conv.weight [C][1][k][k]
//	X.weight             [Cin][Cout]      X.conv.weight         [Cout][Cin][1][1]   pointwise
//	X.bn.gamma, .beta    [C]              X.bn.weight, .bias    [C]
//	X.bn.mean, .variance [C]              X.bn.running_mean, .running_var [C]
//	X.classifier.weight  [Cin][classes]   the same              [classes][Cin][1][1]
//	X.classifier.bias    [classes]        the same              [classes]
//
// Layers X are stem.sep1, stem.sep2, detail, head.sep1, head.sep2 and aux.{stem,fuse}.sep, each of .depthwise and .pointwise;
// stage1.block1 and so on, of .expand, .depthwise and .project; and the classifiers of head, aux.stem and aux.fuse. Batch norms'
// num_batches_tracked are left out here, which load_state_dict allows.
package torch

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train/safetensors"
)

const (
	denseLayer = "stem.conv"
	denseTaps  = 9
)

// Skipped names what a state_dict holds and a network here does not.
func Skipped(name string) bool { return strings.HasSuffix(name, ".num_batches_tracked") }

// Auxiliary tells the tensors of the heads that training alone needs.
func Auxiliary(name string) bool { return strings.HasPrefix(name, "aux.") }

// place is where a tensor stands in a state_dict.
type place struct {
	name  string
	shape []int
	// at returns where the value of a row and column of the tensor here lies there; a vector is one row.
	at func(row, column int) int
}

// endings translates the ends of names other than weights'.
var endings = [][2]string{
	{".bn.gamma", ".bn.weight"}, {".bn.beta", ".bn.bias"}, {".bn.mean", ".bn.running_mean"}, {".bn.variance", ".bn.running_var"},
}

func placeOf(name string, shape []int) place {
	for _, e := range endings {
		if layer, found := strings.CutSuffix(name, e[0]); found {
			return vector(layer+e[1], shape)
		}
	}
	layer, found := strings.CutSuffix(name, ".weight")
	if !found {
		return vector(name, shape)
	}
	rows, out := shape[0], shape[1]
	pointwise := func(row, column int) int { return column*rows + row }
	switch {
	case strings.HasSuffix(layer, ".classifier"):
		return place{name, []int{out, rows, 1, 1}, pointwise}
	case layer == denseLayer:
		in := rows / denseTaps
		return place{layer + ".conv.weight", []int{out, in, 3, 3}, func(row, column int) int { return (column*in+row%in)*denseTaps + row/in }}
	case strings.HasSuffix(layer, ".depthwise"):
		k := int(math.Round(math.Sqrt(float64(rows))))
		return place{layer + ".conv.weight", []int{out, 1, k, k}, pointwise}
	}
	return place{layer + ".conv.weight", []int{out, rows, 1, 1}, pointwise}
}

func vector(name string, shape []int) place {
	return place{name, shape, func(_, column int) int { return column }}
}

// each visits a tensor's values with where they lie there.
func (p place) each(data []float32, columns int, visit func(here *float32, there int)) {
	for i := range data {
		visit(&data[i], p.at(i/columns, i%columns))
	}
}

// ToState returns a plain network's tensors, as train.Capture gives them without momentum, as a state_dict.
func ToState(tensors []safetensors.Tensor) []safetensors.Tensor {
	state := make([]safetensors.Tensor, len(tensors))
	for i, t := range tensors {
		p := placeOf(t.Name, t.Shape)
		values := make([]float32, len(t.Data))
		p.each(t.Data, t.Shape[len(t.Shape)-1], func(here *float32, there int) { values[there] = *here })
		state[i] = safetensors.Tensor{Name: p.name, Shape: p.shape, Data: values}
	}
	return state
}

// FromState replaces the values of a plain network's tensors by those of a state_dict, and reports whether that has auxiliary heads: a
// state_dict of the deployed network has none, and they then stay as they are. A missing, misshapen or surplus tensor and a number
// that is none are misuse that names the tensor; then some of the values are replaced.
func FromState(tensors, state []safetensors.Tensor) (auxiliary bool, err error) {
	given := make(map[string]safetensors.Tensor, len(state))
	for _, t := range state {
		given[t.Name] = t
		auxiliary = auxiliary || Auxiliary(t.Name)
	}
	for _, t := range tensors {
		p := placeOf(t.Name, t.Shape)
		from, found := given[p.name]
		delete(given, p.name)
		switch {
		case !found && !auxiliary && Auxiliary(t.Name):
			continue
		case !found:
			return auxiliary, misuse.Errorf("tensor %s of shape %v is missing", p.name, p.shape)
		case !slices.Equal(from.Shape, p.shape):
			return auxiliary, misuse.Errorf("tensor %s has shape %v; %v is needed", p.name, from.Shape, p.shape)
		}
		for _, v := range from.Data {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) || (v < 0 && strings.HasSuffix(p.name, ".running_var")) {
				return auxiliary, misuse.Errorf("tensor %s holds the value %v", p.name, v)
			}
		}
		p.each(t.Data, t.Shape[len(t.Shape)-1], func(here *float32, there int) { *here = from.Data[there] })
	}
	for _, t := range state {
		if _, left := given[t.Name]; left {
			return auxiliary, misuse.Errorf("tensor %.100s is none of this network's", t.Name)
		}
	}
	return auxiliary, nil
}

// Describe reads from the shapes of a state_dict what network it is of, but for the stages' strides, which are not in them. What cannot be is
// misuse that names the tensor.
func Describe(state []safetensors.Tensor, strides [space.Stages]int) (n space.Network, a space.Arch, err error) {
	shapes := make(map[string][]int, len(state))
	for _, t := range state {
		shapes[t.Name] = t.Shape
	}
	shape := func(name string) []int {
		s := shapes[name]
		if err == nil && s == nil {
			err = misuse.Errorf("tensor %s is missing", name)
		}
		if err == nil && (len(s) != 4 || min(s[0], s[1], s[2], s[3]) < 1) {
			err = misuse.Errorf("tensor %s has shape %v; a convolution's has four axes", name, s)
		}
		if err != nil {
			return []int{1, 1, 1, 1}
		}
		return s
	}
	n.Strides = strides
	n.Classes = shape("head.classifier.weight")[0]
	for s := range space.Stages {
		for i := range space.MaxDepth {
			block := fmt.Sprintf("stage%d.block%d", s+1, i+1)
			if i > 0 && shapes[block+".depthwise.conv.weight"] == nil {
				break
			}
			a.Depth[s]++
			kernel, expand := shape(block + ".depthwise.conv.weight")[3], shape(block+".expand.conv.weight")
			n.Widths[s] = shape(block + ".project.conv.weight")[0]
			if expand[0]%expand[1] != 0 || expand[0]/expand[1] > math.MaxUint8 || kernel > math.MaxUint8 {
				return n, a, misuse.Errorf("tensor %s.expand.conv.weight has shape %v; its outputs are a multiple of its inputs", block, expand)
			}
			a.Blocks[s][i] = space.Block{Kernel: uint8(kernel), Expand: uint8(expand[0] / expand[1])}
		}
	}
	if err == nil {
		err = n.Validate()
	}
	if err == nil {
		err = a.Validate()
	}
	return n, a, err
}
