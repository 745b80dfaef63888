package export

import (
	"encoding/binary"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// The numbers of the fields that files hold, as onnx.proto gives them.
const (
	modelIRVersion       protowire.Number = 1
	modelProducer        protowire.Number = 2
	modelProducerVersion protowire.Number = 3
	modelDoc             protowire.Number = 6
	modelGraph           protowire.Number = 7
	modelOpset           protowire.Number = 8
	modelMetadata        protowire.Number = 14

	opsetNumber protowire.Number = 2 // field 1, the domain, is left out: the standard operators

	propertyKey   protowire.Number = 1
	propertyValue protowire.Number = 2

	graphNode        protowire.Number = 1
	graphName        protowire.Number = 2
	graphInitializer protowire.Number = 5
	graphInput       protowire.Number = 11
	graphOutput      protowire.Number = 12

	nodeInput     protowire.Number = 1
	nodeOutput    protowire.Number = 2
	nodeName      protowire.Number = 3
	nodeOp        protowire.Number = 4
	nodeAttribute protowire.Number = 5

	attributeName protowire.Number = 1
	attributeInt  protowire.Number = 3
	attributeText protowire.Number = 4
	attributeInts protowire.Number = 8
	attributeKind protowire.Number = 20

	tensorDim  protowire.Number = 1
	tensorType protowire.Number = 2
	tensorName protowire.Number = 8
	tensorRaw  protowire.Number = 9

	valueName  protowire.Number = 1
	valueType  protowire.Number = 2
	typeTensor protowire.Number = 1
	typeElem   protowire.Number = 1
	typeShape  protowire.Number = 2
	shapeDim   protowire.Number = 1
	dimValue   protowire.Number = 1
)

// elementBytes is the size of an element.
var elementBytes = map[ElementType]int{Float: 4, Uint8: 1, Int8: 1, Int64: 8}

// message is a message under construction. Repeated numbers are written one by one, as onnx.proto (proto2) has them.
type message []byte

func (m *message) integer(field protowire.Number, v int64) {
	*m = protowire.AppendVarint(protowire.AppendTag(*m, field, protowire.VarintType), uint64(v))
}

func (m *message) integers(field protowire.Number, values []int64) {
	for _, v := range values {
		m.integer(field, v)
	}
}

func (m *message) text(field protowire.Number, v string) {
	*m = protowire.AppendString(protowire.AppendTag(*m, field, protowire.BytesType), v)
}

func (m *message) bytes(field protowire.Number, v []byte) {
	*m = protowire.AppendBytes(protowire.AppendTag(*m, field, protowire.BytesType), v)
}

// Marshal returns the file's bytes. The graph comes last, behind the few bytes that tell about it: a file that was cut off anywhere
// lacks its graph or a part of it.
func (m *Model) Marshal() []byte {
	var out message
	out.integer(modelIRVersion, irVersion)
	out.text(modelProducer, m.Producer)
	out.text(modelProducerVersion, m.Version)
	out.text(modelDoc, m.Doc)
	var opset message
	opset.integer(opsetNumber, opsetVersion)
	out.bytes(modelOpset, opset)
	for _, p := range m.Metadata {
		var entry message
		entry.text(propertyKey, p.Key)
		entry.text(propertyValue, p.Value)
		out.bytes(modelMetadata, entry)
	}
	out.bytes(modelGraph, m.Graph.marshal())
	return out
}

func (g *Graph) marshal() []byte {
	var out message
	for _, n := range g.Nodes {
		out.bytes(graphNode, n.marshal())
	}
	out.text(graphName, g.Name)
	for _, t := range g.Weights {
		out.bytes(graphInitializer, t.marshal())
	}
	out.bytes(graphInput, g.Input.marshal())
	out.bytes(graphOutput, g.Output.marshal())
	return out
}

func (n *Node) marshal() []byte {
	var out message
	for _, input := range n.Inputs {
		out.text(nodeInput, input)
	}
	out.text(nodeOutput, n.Output)
	out.text(nodeName, n.Name)
	out.text(nodeOp, n.Op)
	for _, a := range n.Attributes {
		out.bytes(nodeAttribute, a.marshal())
	}
	return out
}

func (a *Attribute) marshal() []byte {
	var out message
	out.text(attributeName, a.Name)
	switch a.Kind {
	case IntAttribute:
		out.integer(attributeInt, a.Int)
	case TextAttribute:
		out.text(attributeText, a.Text)
	case IntsAttribute:
		out.integers(attributeInts, a.Ints)
	}
	out.integer(attributeKind, int64(a.Kind))
	return out
}

func (t *Tensor) marshal() []byte {
	var out message
	out.integers(tensorDim, t.Shape)
	out.integer(tensorType, int64(t.Type))
	out.text(tensorName, t.Name)
	raw := make([]byte, 0, 4*len(t.Floats)+elementBytes[t.Type]*len(t.Ints)) // little endian, whatever the machine
	for _, v := range t.Floats {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	for _, v := range t.Ints {
		if t.Type == Int64 {
			raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
		} else {
			raw = append(raw, byte(v))
		}
	}
	out.bytes(tensorRaw, raw)
	return out
}

func (v *Value) marshal() []byte {
	var shape message
	for _, d := range v.Shape {
		var dim message
		dim.integer(dimValue, d)
		shape.bytes(shapeDim, dim)
	}
	var tensor, kind, out message
	tensor.integer(typeElem, int64(v.Type))
	tensor.bytes(typeShape, shape)
	kind.bytes(typeTensor, tensor)
	out.text(valueName, v.Name)
	out.bytes(valueType, kind)
	return out
}
