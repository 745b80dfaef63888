package export

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
)

// Network is a deployed network with names for its layers.
type Network struct {
	Arch   space.Arch
	Layers []gobind.Layer
	Names  []string // of each layer, such as stage1.block2.expand
}

// precision is what sessions run the network in.
func (n Network) precision() gobind.Precision {
	if n.Arch.IsQuantised() {
		return gobind.Int8
	}
	return gobind.Float32
}

// Of returns a network as it is deployed, batch norm folded. Its layers are named like the parameters that they came from.
func Of(model *supernet.Plain) (Network, error) {
	layers, err := model.Layers()
	if err != nil {
		return Network{}, err
	}
	names, err := layerNames(model.Network().Ops(model.Arch(), 1, 1), layers, model.Arch().IsQuantised())
	return Network{model.Arch(), layers, names}, err
}

// parts names the layers that an operation consists of, in their order.
var parts = map[space.Kind][]string{
	space.Stem:   {"conv", "sep1.depthwise", "sep1.pointwise", "sep2.depthwise", "sep2.pointwise"},
	space.MBConv: {"expand", "depthwise", "project"},
	space.Detail: {"depthwise", "pointwise"},
	space.Fuse:   {"upsample"},
	space.Head:   {"sep1.depthwise", "sep1.pointwise", "sep2.depthwise", "sep2.pointwise", "classifier", "labels"},

	space.Nearest:    {"upsample"},
	space.Separable:  {"depthwise", "pointwise"},
	space.Classifier: {"classifier", "labels"},
}

// layerNames joins the names of the operations, which are the layers' timing groups, with those of their parts.
func layerNames(ops []space.Op, layers []gobind.Layer, quantised bool) ([]string, error) {
	var names []string
	for i, op := range ops {
		parts := parts[op.Kind]
		if quantised && op.Kind == space.Stem { // its last layer is there twice, for two readers that round it differently
			parts = append(slices.Clone(parts), parts[len(parts)-1])
		}
		for _, part := range parts {
			if len(names) == len(layers) || layers[len(names)].Group != i {
				return nil, fmt.Errorf("%s has no layer %s: layers and operations do not agree", op.Name, part)
			}
			names = append(names, op.Name+"."+part)
		}
	}
	if len(names) != len(layers) {
		return nil, fmt.Errorf("%d layers for operations of %d", len(layers), len(names))
	}
	return names, nil
}

// About is what a user of a file wants to know besides the graph. It goes into the metadata.
type About struct {
	Version   string // of segnas
	Classes   []string
	Colors    [][3]int // of the classes, [R, G, B]
	Mean, Std float64  // pictures go in as (value/255 - Mean) / Std
}

// The keys of the metadata.
const (
	KeyVersion = "segnas.version"
	KeyArch    = "segnas.arch"
	KeyClasses = "segnas.classes" // a JSON list of names
	KeyColors  = "segnas.colors"  // a JSON list of [R, G, B]
	KeyMean    = "segnas.mean"
	KeyStd     = "segnas.std"
	KeyLayout  = "segnas.layout" // of the input's channels
)

func (a About) metadata(arch space.Arch) ([]Property, error) {
	names, err := json.Marshal(a.Classes)
	if err != nil {
		return nil, err
	}
	colors, err := json.Marshal(a.Colors)
	if err != nil {
		return nil, err
	}
	return []Property{
		{KeyVersion, a.Version}, {KeyArch, arch.String()}, {KeyClasses, string(names)}, {KeyColors, string(colors)},
		{KeyMean, fmt.Sprint(a.Mean)}, {KeyStd, fmt.Sprint(a.Std)}, {KeyLayout, "NCHW RGB"},
	}, nil
}
