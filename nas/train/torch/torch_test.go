package torch

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/train/safetensors"
)

// ours are tensors of every layout.
func ours() []safetensors.Tensor {
	rng := rand.New(rand.NewPCG(1, 1))
	var all []safetensors.Tensor
	for _, t := range []safetensors.Tensor{
		{Name: "stem.conv.weight", Shape: []int{27, 4}}, {Name: "stem.conv.bn.gamma", Shape: []int{4}}, {Name: "stem.conv.bn.mean", Shape: []int{4}},
		{Name: "stem.conv.bn.variance", Shape: []int{4}}, {Name: "stage1.block1.depthwise.weight", Shape: []int{25, 3}},
		{Name: "stage1.block1.expand.weight", Shape: []int{2, 6}}, {Name: "head.classifier.weight", Shape: []int{5, 2}},
		{Name: "head.classifier.bias", Shape: []int{2}}, {Name: "aux.stem.sep.pointwise.bn.beta", Shape: []int{3}},
	} {
		n := 1
		for _, d := range t.Shape {
			n *= d
		}
		for range n {
			t.Data = append(t.Data, rng.Float32())
		}
		all = append(all, t)
	}
	return all
}

func zeroed(list []safetensors.Tensor) []safetensors.Tensor {
	all := slices.Clone(list)
	for i := range all {
		all[i].Data = make([]float32, len(all[i].Data))
	}
	return all
}

func TestFromState_InvertsToState(t *testing.T) {
	got := zeroed(ours())
	auxiliary, err := FromState(got, ToState(ours()))
	if err != nil || !auxiliary || !reflect.DeepEqual(got, ours()) {
		t.Errorf("%v, %v, %v", got, auxiliary, err)
	}
}

func TestToState_PutsEveryAxisInItsPlace(t *testing.T) {
	state := map[string]safetensors.Tensor{}
	for _, s := range ToState(ours()) {
		state[s.Name] = s
	}
	dense := state["stem.conv.conv.weight"] // [4][3][3][3] of [(y*3+x)*3+in][out]
	if got, want := dense.Data[((1*3+2)*3+0)*3+2], ours()[0].Data[((0*3+2)*3+2)*4+1]; got != want || !slices.Equal(dense.Shape, []int{4, 3, 3, 3}) {
		t.Errorf("output 1, input 2, row 0, column 2 is %v, should be %v", got, want)
	}
	depthwise := state["stage1.block1.depthwise.conv.weight"]
	if got, want := depthwise.Data[2*25+7], ours()[4].Data[7*3+2]; got != want || !slices.Equal(depthwise.Shape, []int{3, 1, 5, 5}) {
		t.Errorf("channel 2, tap 7 is %v, should be %v", got, want)
	}
	expand := state["stage1.block1.expand.conv.weight"]
	if got, want := expand.Data[5*2+1], ours()[5].Data[1*6+5]; got != want || !slices.Equal(expand.Shape, []int{6, 2, 1, 1}) {
		t.Errorf("output 5, input 1 is %v, should be %v", got, want)
	}
}

func TestFromState_NamesWhatDoesNotFit(t *testing.T) {
	for want, change := range map[string]func(s []safetensors.Tensor) []safetensors.Tensor{
		"tensor stem.conv.conv.weight of shape [4 3 3 3] is missing": func(s []safetensors.Tensor) []safetensors.Tensor { return s[1:] },
		"tensor more.weight is none of this network's": func(s []safetensors.Tensor) []safetensors.Tensor {
			return append(s, safetensors.Tensor{Name: "more.weight"})
		},
		"head.classifier.weight has shape [2 5]; [2 5 1 1]": func(s []safetensors.Tensor) []safetensors.Tensor { s[6].Shape = []int{2, 5}; return s },
		"running_mean holds the value NaN":                  func(s []safetensors.Tensor) []safetensors.Tensor { s[2].Data[1] = float32(math.NaN()); return s },
		"running_var holds the value -1":                    func(s []safetensors.Tensor) []safetensors.Tensor { s[3].Data[0] = -1; return s },
		"tensor aux.stem.sep.pointwise.bn.bias of shape [3] is missing": func(s []safetensors.Tensor) []safetensors.Tensor {
			s[8].Name = "aux.other"
			return s
		},
	} {
		if _, err := FromState(zeroed(ours()), change(ToState(ours()))); !misuse.Is(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	plain := ToState(ours()) // a deployed network has no auxiliary heads
	if auxiliary, err := FromState(zeroed(ours()), plain[:8]); auxiliary || err != nil {
		t.Errorf("without auxiliary heads: %v, %v", auxiliary, err)
	}
}

// example is what testdata's files hold by PyTorch's word.
func example(t *testing.T) (want struct {
	Arch    space.Arch
	Classes int
	Widths  [space.Stages]int
	Strides [space.Stages]int
}) {
	t.Helper()
	text, err := os.ReadFile("testdata/f32.json")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	return want
}

func TestReadState_ReadsWhatPyTorchWroteInEveryForm(t *testing.T) {
	want := example(t)
	files := map[string]map[string]safetensors.Tensor{}
	for _, name := range []string{"f32.safetensors", "f32.pth", "f16.pth"} {
		state, _, err := ReadState(filepath.Join("testdata", name))
		if err != nil {
			t.Fatal(err)
		}
		n, a, err := Describe(state, want.Strides)
		if err != nil || n != (space.Network{Classes: want.Classes, Strides: want.Strides, Widths: want.Widths}) || a != want.Arch {
			t.Errorf("%s: %+v, %v, %v", name, n, a, err)
		}
		files[name] = map[string]safetensors.Tensor{}
		for _, tensor := range state {
			files[name][tensor.Name] = tensor
		}
	}
	for name, got := range files { // the weights have few digits: half precision holds them exactly
		if !reflect.DeepEqual(got, files["f32.safetensors"]) {
			t.Errorf("%s differs from f32.safetensors", name)
		}
	}
}

func TestDescribe_NamesWhatIsMissing(t *testing.T) {
	state, _, err := ReadState("testdata/f32.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"head.classifier.weight", "stage1.block1.depthwise.conv.weight", "stage3.block2.expand.conv.weight"} {
		i := slices.IndexFunc(state, func(t safetensors.Tensor) bool { return t.Name == name })
		if _, _, err := Describe(slices.Delete(slices.Clone(state), i, i+1), [space.Stages]int{1, 2, 2}); !misuse.Is(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
		short := slices.Clone(state)
		short[i].Shape = []int{3}
		if _, _, err := Describe(short, [space.Stages]int{1, 2, 2}); !misuse.Is(err) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s of one axis: %v", name, err)
		}
	}
}

// archive packs a pickle as torch.save does.
func archive(t testing.TB, pickle []byte, method uint16) []byte {
	t.Helper()
	var file bytes.Buffer
	z := zip.NewWriter(&file)
	for name, content := range map[string][]byte{"x/data.pkl": pickle, "x/data/0": {0, 0, 0x80, 0x3f}} {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: method})
		if err == nil {
			_, err = w.Write(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// pickled is a state_dict of one tensor "w", with a shape and strides of one byte each.
func pickled(shape, stride byte) []byte {
	return []byte("\x80\x02}X\x01\x00\x00\x00wctorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x01tQK\x00K" +
		string(shape) + "\x85K" + string(stride) + "\x85\x89ccollections\nOrderedDict\n)RtRs.")
}

func TestReadState_RunsNothingAndNamesWhatItRefuses(t *testing.T) {
	f, err := parseState(archive(t, pickled(1, 1), zip.Store))
	if err != nil || len(f.Tensors) != 1 || !reflect.DeepEqual(f.Tensors[0], safetensors.Tensor{Name: "w", Shape: []int{1}, Data: []float32{1}}) {
		t.Fatalf("%+v, %v", f, err)
	}
	for want, pickle := range map[string][]byte{
		`wants "posix.system"`:       []byte("\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R."),
		`wants "builtins.eval"`:      []byte("\x80\x04\x8c\x08builtins\x8c\x04eval\x93)R."),
		"instruction 0x69":           []byte("\x80\x02(iposix\nsystem\n."),
		"protocol 1":                 []byte("\x80\x01}."),
		"is cut off":                 pickled(1, 1)[:60],
		"no state_dict":              []byte("\x80\x02K\x01."),
		`entry "epoch" is no tensor`: []byte("\x80\x02}X\x05\x00\x00\x00epochK\x01s."),
		"empty stack":                []byte("\x80\x02."),
		"lies outside":               pickled(2, 1),
		"lacks a mark":               []byte("\x80\x02t."),
	} {
		if _, err := parseState(archive(t, pickle, zip.Store)); !misuse.Is(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
	if _, err := parseState(archive(t, pickled(1, 1), zip.Deflate)); !misuse.Is(err) || !strings.Contains(err.Error(), "compressed") {
		t.Errorf("a compressed archive: %v", err)
	}
	whole := archive(t, pickled(1, 1), zip.Store)
	for n := range whole { // any cut is found: a zip's directory lies at its end
		if _, err := parseState(whole[:n]); !misuse.Is(err) {
			t.Fatalf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestTensor_StridesOfChannelsLast(t *testing.T) {
	// [2][3] of numbers stored column by column.
	got, err := (&tensor{shape: []int{2, 3}, stride: []int{1, 2}, offset: 1}).gather([]float32{9, 0, 1, 2, 3, 4, 5})
	if err != nil || !slices.Equal(got, []float32{0, 2, 4, 1, 3, 5}) {
		t.Errorf("%v, %v", got, err)
	}
}

func FuzzUnpickle(f *testing.F) {
	f.Add(pickled(1, 1))
	f.Add([]byte("\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00}(\x8c\x01a\x94K\x01u."))
	if text, err := zip.OpenReader("testdata/f16.pth"); err == nil {
		defer text.Close()
		if r, err := text.Open("f16/data.pkl"); err == nil {
			content, _ := io.ReadAll(r)
			f.Add(content)
		}
	}
	f.Fuzz(func(t *testing.T, pickle []byte) {
		top, err := unpickle(pickle)
		if err == nil {
			_, err = tensorsOf(top, func(string) ([]byte, error) { return make([]byte, 64), nil })
		}
		if err != nil && !misuse.Is(err) {
			t.Fatalf("not misuse: %v", err)
		}
	})
}
