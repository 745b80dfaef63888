package export

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/segnas/segnas/nas/misuse"
)

// Unmarshal reads what Marshal writes, fields in any order, and refuses everything else: whatever it does not know might change what the
// network computes. Errors are misuse. The result may still make no sense as a network: newPlan says.
func Unmarshal(file []byte) (*Model, error) {
	m := new(Model)
	if err := m.unmarshal(file); err != nil {
		return nil, misuse.Errorf("not an ONNX model as segnas writes them: %w", err)
	}
	return m, nil
}

// field is how one field of a message is read. A field that is not repeated must be there once.
type field struct {
	kind     protowire.Type
	repeated bool
	number   func(v int64) error  // of a varint
	bytes    func(v []byte) error // of a text or nested message
}

// read reads a message all of whose fields are in the table. what names the message in errors.
func read(what string, data []byte, table map[protowire.Number]field) error {
	seen := map[protowire.Number]bool{}
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%s: %w", what, protowire.ParseError(n))
		}
		data = data[n:]
		f, known := table[number]
		if !known || f.kind != kind {
			return fmt.Errorf("%s: field %d of wire type %d is not expected", what, number, kind)
		}
		if seen[number] && !f.repeated {
			return fmt.Errorf("%s: field %d is there twice", what, number)
		}
		seen[number] = true
		n, err := f.consume(data)
		if err != nil {
			return fmt.Errorf("%s: field %d: %w", what, number, err)
		}
		data = data[n:]
	}
	for _, number := range slices.Sorted(maps.Keys(table)) {
		if !table[number].repeated && !seen[number] {
			return fmt.Errorf("%s: field %d is missing", what, number)
		}
	}
	return nil
}

// consume reads one value and returns its length.
func (f field) consume(data []byte) (int, error) {
	if f.kind == protowire.VarintType {
		v, n := protowire.ConsumeVarint(data)
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		return n, f.number(int64(v))
	}
	v, n := protowire.ConsumeBytes(data)
	if n < 0 {
		return 0, protowire.ParseError(n)
	}
	return n, f.bytes(v)
}

// number is a field of one number.
func number[T ~int32 | ~int64](target *T) field {
	return field{kind: protowire.VarintType, number: func(v int64) error {
		*target = T(v)
		if int64(*target) != v {
			return fmt.Errorf("%d is too large", v)
		}
		return nil
	}}
}

// always is a field that must hold the one value that this program understands.
func always(want int64) field {
	return field{kind: protowire.VarintType, number: func(v int64) error {
		if v != want {
			return fmt.Errorf("%d, and %d alone is understood", v, want)
		}
		return nil
	}}
}

// numbers is a repeated number.
func numbers(target *[]int64) field {
	return field{kind: protowire.VarintType, repeated: true, number: func(v int64) error {
		*target = append(*target, v)
		return nil
	}}
}

// words is a field of text.
func words(target *string) field {
	return nested(func(v []byte) error {
		*target = string(v)
		return nil
	})
}

// nested is a field that holds a message.
func nested(take func([]byte) error) field { return field{kind: protowire.BytesType, bytes: take} }

// list is a repeated field of texts or messages.
func list[T any](target *[]T, take func(*T, []byte) error) field {
	return field{kind: protowire.BytesType, repeated: true, bytes: func(v []byte) error {
		var item T
		err := take(&item, v)
		*target = append(*target, item)
		return err
	}}
}

func (m *Model) unmarshal(data []byte) error {
	return read("model", data, map[protowire.Number]field{
		modelIRVersion:       always(irVersion),
		modelProducer:        words(&m.Producer),
		modelProducerVersion: words(&m.Version),
		modelDoc:             words(&m.Doc),
		modelOpset: nested(func(v []byte) error {
			return read("opset", v, map[protowire.Number]field{opsetNumber: always(opsetVersion)})
		}),
		modelMetadata: list(&m.Metadata, (*Property).unmarshal),
		modelGraph:    nested(m.Graph.unmarshal),
	})
}

func (p *Property) unmarshal(data []byte) error {
	return read("property", data, map[protowire.Number]field{propertyKey: words(&p.Key), propertyValue: words(&p.Value)})
}

func (g *Graph) unmarshal(data []byte) error {
	return read("graph", data, map[protowire.Number]field{
		graphNode:        list(&g.Nodes, (*Node).unmarshal),
		graphName:        words(&g.Name),
		graphInitializer: list(&g.Weights, (*Tensor).unmarshal),
		graphInput:       nested(g.Input.unmarshal),
		graphOutput:      nested(g.Output.unmarshal),
	})
}

func (n *Node) unmarshal(data []byte) error {
	return read("node", data, map[protowire.Number]field{
		nodeInput:     list(&n.Inputs, func(s *string, v []byte) error { *s = string(v); return nil }),
		nodeOutput:    words(&n.Output),
		nodeName:      words(&n.Name),
		nodeOp:        words(&n.Op),
		nodeAttribute: list(&n.Attributes, (*Attribute).unmarshal),
	})
}

// unmarshal reads the kind first: it says which other field there must be.
func (a *Attribute) unmarshal(data []byte) error {
	table := map[protowire.Number]field{attributeName: words(&a.Name), attributeKind: number(&a.Kind)}
	kind, err := attributeKindOf(data)
	if err != nil {
		return err
	}
	switch kind {
	case IntAttribute:
		table[attributeInt] = number(&a.Int)
	case TextAttribute:
		table[attributeText] = words(&a.Text)
	case IntsAttribute:
		table[attributeInts] = numbers(&a.Ints)
	default:
		return fmt.Errorf("attribute of type %d; integers, lists of them and texts are understood", kind)
	}
	return read("attribute", data, table)
}

// attributeKindOf looks for the kind among an attribute's fields.
func attributeKindOf(data []byte) (AttributeKind, error) {
	for len(data) > 0 {
		number, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return 0, fmt.Errorf("attribute: %w", protowire.ParseError(n))
		}
		if number == attributeKind && kind == protowire.VarintType {
			v, _ := protowire.ConsumeVarint(data[n:])
			return AttributeKind(min(v, math.MaxInt32)), nil
		}
		skip := protowire.ConsumeFieldValue(number, kind, data[n:])
		if skip < 0 {
			return 0, fmt.Errorf("attribute: %w", protowire.ParseError(skip))
		}
		data = data[n+skip:]
	}
	return 0, fmt.Errorf("attribute: field %d is missing", attributeKind)
}

func (t *Tensor) unmarshal(data []byte) error {
	var raw []byte
	err := read("constant", data, map[protowire.Number]field{
		tensorDim:  numbers(&t.Shape),
		tensorType: number(&t.Type),
		tensorName: words(&t.Name),
		tensorRaw:  nested(func(v []byte) error { raw = v; return nil }),
	})
	if err != nil {
		return err
	}
	size := elementBytes[t.Type]
	if size == 0 {
		return fmt.Errorf("constant %.100q has the element type %d; float32 (%d), uint8 (%d), int8 (%d) and int64 (%d) are understood", t.Name, t.Type, Float, Uint8, Int8, Int64)
	}
	n, err := elements(t.Shape)
	if err != nil || n*size != len(raw) {
		return fmt.Errorf("constant %.100q of shape %v has %d bytes", t.Name, t.Shape, len(raw))
	}
	for i := 0; i < len(raw); i += size {
		switch t.Type {
		case Float:
			t.Floats = append(t.Floats, math.Float32frombits(binary.LittleEndian.Uint32(raw[i:])))
		case Int64:
			t.Ints = append(t.Ints, int64(binary.LittleEndian.Uint64(raw[i:])))
		case Int8:
			t.Ints = append(t.Ints, int64(int8(raw[i])))
		case Uint8:
			t.Ints = append(t.Ints, int64(raw[i]))
		}
	}
	return nil
}

func (v *Value) unmarshal(data []byte) error {
	tensor := func(data []byte) error {
		return read("tensor type", data, map[protowire.Number]field{
			typeElem: number(&v.Type),
			typeShape: nested(func(data []byte) error {
				return read("shape", data, map[protowire.Number]field{shapeDim: list(&v.Shape, func(d *int64, data []byte) error {
					return read("dimension", data, map[protowire.Number]field{dimValue: number(d)})
				})})
			}),
		})
	}
	return read("value", data, map[protowire.Number]field{
		valueName: words(&v.Name),
		valueType: nested(func(data []byte) error {
			return read("type", data, map[protowire.Number]field{typeTensor: nested(tensor)})
		}),
	})
}

// maxElements bounds every tensor: 4 GiB in double precision.
const maxElements = 1 << 29

// elements returns the number of elements of a shape whose sides are at least 1.
func elements(shape []int64) (int, error) {
	n := int64(1)
	for _, d := range shape {
		if d < 1 || d > maxElements || n*d > maxElements {
			return 0, fmt.Errorf("shape %v: sides are at least 1 and elements at most %d", shape, maxElements)
		}
		n *= d
	}
	return int(n), nil
}
