package export

// The versions that files are written in. Opset 13 is the first with ArgMax, Cast and Resize in their present form, and every runtime of
// the last years takes it; IR version 8 is the format of its time.
const (
	irVersion    = 8
	opsetVersion = 13
)

// ElementType is what a tensor holds, by ONNX's number.
type ElementType int32

// The element types that segnas networks use.
const (
	Float ElementType = 1
	Uint8 ElementType = 2
	Int8  ElementType = 3
	Int64 ElementType = 7
)

// Model is an ONNX model, as far as segnas networks need the format.
type Model struct {
	Producer, Version string
	Doc               string
	Metadata          []Property // in the order of the file
	Graph             Graph
}

// Property is an entry of a model's metadata.
type Property struct{ Key, Value string }

// Graph is the network: nodes in an order in which inputs come first.
type Graph struct {
	Name    string
	Nodes   []Node
	Weights []Tensor // every input of a node that is neither the graph's nor another node's output
	Input   Value
	Output  Value
}

// Node is one operation with one output. An empty input name is an optional input that is left out.
type Node struct {
	Name, Op   string
	Inputs     []string
	Output     string
	Attributes []Attribute
}

// Attribute is a setting of a node. Which of the fields counts is Kind's to say.
type Attribute struct {
	Name string
	Kind AttributeKind
	Int  int64
	Text string
	Ints []int64
}

// AttributeKind is an attribute's type, by ONNX's number.
type AttributeKind int32

// The attribute types that segnas networks use.
const (
	IntAttribute  AttributeKind = 2
	TextAttribute AttributeKind = 3
	IntsAttribute AttributeKind = 7
)

// Value is the name, type and shape of the graph's input or output.
type Value struct {
	Name  string
	Type  ElementType
	Shape []int64
}

// Tensor is a constant: Floats, or Ints of the other types, row-major. Shape is empty for a single number.
type Tensor struct {
	Name   string
	Type   ElementType
	Shape  []int64
	Floats []float32
	Ints   []int64
}

// Property returns the metadata's value for a key, or "".
func (m *Model) Property(key string) string {
	for _, p := range m.Metadata {
		if p.Key == key {
			return p.Value
		}
	}
	return ""
}
