package train

import (
	"strings"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// averageSuffix ends the names of averages in a checkpoint.
const averageSuffix = ".average"

// average is a moving average of a model's weights and running statistics (Polyak and Juditsky 1992; with a constant decay as in Tarvainen and
// Valpola 2017). It belongs to the worker's stream.
type average struct {
	decay   float64
	stream  *gobind.Stream
	tensors []averaged
	memory  *gobind.Buffer
	scratch gobind.Tensor // as long as the longest
}

type averaged struct {
	name         string
	value, shade gobind.Tensor // the model's, and its average; of one shape
}

// averageAlignment keeps averages apart by a cache line, in floats.
const averageAlignment = 16

// newAverage returns an average that begins with the model's present weights.
func (w *Worker) newAverage(m supernet.Model, decay float64) (*average, error) {
	a := &average{decay: decay, stream: w.tape.Stream()}
	add := func(name string, value gobind.Tensor) {
		a.tensors = append(a.tensors, averaged{name: name, value: value})
	}
	for _, p := range m.Params() {
		add(p.Name, p.Value)
	}
	for _, b := range m.Norms() {
		add(b.Name+".mean", b.Mean)
		add(b.Name+".variance", b.Variance)
	}
	total, longest := 0, 0
	for _, t := range a.tensors {
		n := t.value.Elements()
		total += (n + averageAlignment - 1) / averageAlignment * averageAlignment
		longest = max(longest, n)
	}
	var err error
	if a.memory, err = w.context.NewBuffer(4 * (total + longest)); err != nil {
		return nil, err
	}
	at := 0
	for i := range a.tensors {
		t := &a.tensors[i]
		t.shade = gobind.NewTensor(a.memory, gobind.F32, at, t.value.Shape[:t.value.Rank]...)
		at += (t.value.Elements() + averageAlignment - 1) / averageAlignment * averageAlignment
		if err := a.stream.Copy(t.value, t.shade); err != nil {
			a.close()
			return nil, err
		}
	}
	a.scratch = gobind.NewTensor(a.memory, gobind.F32, at, longest)
	return a, nil
}

func (a *average) close() {
	if a != nil {
		a.memory.Close()
	}
}

// like is scratch memory of a tensor's shape.
func (a *average) like(t gobind.Tensor) gobind.Tensor {
	return gobind.NewTensor(a.memory, gobind.F32, a.scratch.Offset, t.Shape[:t.Rank]...)
}

// update takes the weights after a step into the average: a += (1-d)(w-a), d as Optimiser.Average says. step counts finished steps.
func (a *average) update(step int) error {
	d := min(a.decay, float64(1+step)/float64(10+step))
	for _, t := range a.tensors {
		difference := a.like(t.value)
		if err := a.stream.Copy(t.value, difference); err != nil {
			return err
		}
		if err := a.stream.Axpy(-1, t.shade, difference); err != nil {
			return err
		}
		if err := a.stream.Axpy(float32(1-d), difference, t.shade); err != nil {
			return err
		}
	}
	return nil
}

// exchange swaps the model's weights with their averages, and back.
func (a *average) exchange() error {
	for _, t := range a.tensors {
		kept := a.like(t.value)
		for _, pair := range [][2]gobind.Tensor{{t.value, kept}, {t.shade, t.value}, {kept, t.shade}} {
			if err := a.stream.Copy(pair[0], pair[1]); err != nil {
				return err
			}
		}
	}
	return a.stream.Synchronize()
}

// capture copies the averages into tensors of a checkpoint.
func (a *average) capture() ([]safetensors.Tensor, error) {
	var all []safetensors.Tensor
	for _, t := range a.tensors {
		saved := safetensors.Tensor{Name: t.name + averageSuffix, Shape: append([]int(nil), t.shade.Shape[:t.shade.Rank]...), Data: make([]float32, t.shade.Elements())}
		if err := gobind.Download(a.stream, saved.Data, t.shade); err != nil {
			return nil, err
		}
		all = append(all, saved)
	}
	return all, nil
}

// restore sets the averages to a checkpoint's.
func (a *average) restore(c Checkpoint) error {
	given := map[string]safetensors.Tensor{}
	for _, t := range c.Tensors {
		given[t.Name] = t
	}
	for _, t := range a.tensors {
		saved, found := given[t.name+averageSuffix]
		if !found || len(saved.Data) != t.shade.Elements() {
			return misuse.Errorf("the checkpoint has no moving average of %s", t.name)
		}
		if err := gobind.Upload(a.stream, t.shade, saved.Data); err != nil {
			return err
		}
	}
	return a.stream.Synchronize()
}

// trained returns the checkpoint without averages: with them in the weights' place where there are any, and then without momentum, which belongs to
// the weights.
func (c Checkpoint) trained() Checkpoint {
	averages := map[string]safetensors.Tensor{}
	for _, t := range c.Tensors {
		if name, found := strings.CutSuffix(t.Name, averageSuffix); found {
			averages[name] = t
		}
	}
	if len(averages) == 0 {
		return c
	}
	var kept []safetensors.Tensor
	for _, t := range c.Tensors {
		if average, found := averages[t.Name]; found {
			t.Data = average.Data
			kept = append(kept, t)
		}
	}
	c.Tensors = kept
	return c
}

// stepping returns the checkpoint's weights, momentum and statistics alone, as a training goes on from them.
func (c Checkpoint) stepping() Checkpoint {
	var kept []safetensors.Tensor
	for _, t := range c.Tensors {
		if !strings.HasSuffix(t.Name, averageSuffix) {
			kept = append(kept, t)
		}
	}
	c.Tensors = kept
	return c
}
