package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"time"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/export"
	"github.com/segnas/segnas/nas/space"
)

// weightStream tells the weights' random source from others of the same seed.
const weightStream = 1

// network returns a request's network, for int8 with 8 bits throughout. Its weights depend on architecture, classes and seed alone, whatever instruction set the
// session is capped at: they are made on the machine's best.
func network(q *request) (export.Network, error) {
	arch, err := space.Parse(q.Arch)
	if err != nil {
		return export.Network{}, err
	}
	if lower[q.Precision] == gobind.Int8 {
		arch = arch.Quantised(space.Bits{W: 8, A: 8})
	}
	ctx, err := gobind.NewContext(gobind.Options{})
	if err != nil {
		return export.Network{}, err
	}
	defer ctx.Close()
	model, err := export.NewRandom(ctx, space.DefaultNetwork(q.Classes), arch, rand.New(rand.NewPCG(q.Seed, weightStream)))
	if err != nil {
		return export.Network{}, err
	}
	defer model.Close()
	return export.Of(model)
}

// exported writes the request's network as an ONNX file, for the peers.
func exported(q *request) (reply, error) {
	n, err := network(q)
	if err != nil {
		return nil, err
	}
	about := export.About{Version: gobind.Version(), Std: 1}
	for class := range q.Classes {
		about.Classes = append(about.Classes, fmt.Sprint("class ", class))
		about.Colors = append(about.Colors, [3]int{class, class, class})
	}
	model, err := export.Build(n, about, export.Options{Batch: q.Batch, Height: q.Height, Width: q.Width, Output: export.Output(q.Output)})
	if err != nil {
		return nil, err
	}
	net := space.DefaultNetwork(q.Classes)
	return reply{"macs": net.MACs(n.Arch, q.Height, q.Width), "params": net.Params(n.Arch)}, os.WriteFile(q.Path, model.Marshal(), 0o644)
}

// inference is a session with its picture and the memory of its output.
type inference struct {
	session *gobind.Session
	picture []float32
	labels  []uint8
	logits  []float32
	shape   []int
	groups  []time.Duration // of the last run, on a GPU; nil elsewhere
}

func openInference(ctx *gobind.Context, q *request, s *server) (work, error) {
	n, err := network(q)
	if err != nil {
		return nil, err
	}
	layers, shape := n.Layers, []int{q.Height, q.Width}
	if export.Output(q.Output) == export.Logits {
		layers = layers[:len(layers)-1]
	}
	w := &inference{}
	if w.picture, err = readFloats(q.Picture, q.Height*q.Width*3); err != nil {
		return nil, err
	}
	s.settle()
	o := gobind.SessionOptions{Precision: lower[q.Precision]}
	if w.session, err = ctx.NewSession(layers, 1, q.Height, q.Width, 3, o); err != nil {
		return nil, err
	}
	if ctx.Device() != "cpu" {
		w.groups = make([]time.Duration, w.session.Groups())
	}
	if export.Output(q.Output) == export.Logits {
		w.logits, shape = make([]float32, w.session.OutputBytes()/4), []int{(q.Height + 7) / 8, (q.Width + 7) / 8, q.Classes}
	} else {
		w.labels = make([]uint8, w.session.OutputBytes())
	}
	w.shape = shape
	return w, nil
}

func (w *inference) run() error {
	if w.logits != nil {
		return w.session.RunFloat32(w.picture, w.logits, w.groups)
	}
	return w.session.Run(w.picture, w.labels, w.groups)
}

func (w *inference) onDevice() (sum time.Duration) {
	for _, g := range w.groups {
		sum += g
	}
	return sum
}

func (w *inference) answer(path string) (reply, error) {
	if w.logits == nil {
		return reply{"type": "uint8", "shape": w.shape}, os.WriteFile(path, w.labels, 0o644)
	}
	return reply{"type": "float32", "shape": w.shape}, writeFloats(path, w.logits)
}

func writeFloats(path string, values []float32) error {
	bytes := make([]byte, 0, 4*len(values))
	for _, v := range values {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
	}
	return os.WriteFile(path, bytes, 0o644)
}

func readFloats(path string, count int) ([]float32, error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if len(bytes) != 4*count {
		return nil, fmt.Errorf("%s has %d bytes, should have %d", path, len(bytes), 4*count)
	}
	values := make([]float32, count)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(bytes[4*i:]))
	}
	return values, nil
}
