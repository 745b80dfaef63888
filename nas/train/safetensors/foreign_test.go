package safetensors

import (
	"encoding/binary"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

// foreign returns a file of another writer: a header and data.
func foreign(header string, data ...byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func keepAll(string) bool { return false }

func TestUnmarshalForeign_ConvertsNumbersExactly(t *testing.T) {
	file := foreign(`{"h":{"dtype":"F16","shape":[5],"data_offsets":[0,10]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[10,12]},`+
		`"d":{"dtype":"F64","shape":[],"data_offsets":[12,20]},"f":{"dtype":"F32","shape":[1,1],"data_offsets":[20,24]}}`,
		0x00, 0x3c, 0x00, 0xc0, 0xff, 0x7b, 0x01, 0x00, 0x01, 0x80, // 1, -2, 65504, 2^-24, -2^-24
		0x49, 0x40, // 3.140625
		0, 0, 0, 0, 0, 0, 0xd0, 0x3f, // 0.25
		0, 0, 0x40, 0xc0, // -3
	)
	got, err := UnmarshalForeign(file, keepAll)
	want := []Tensor{
		{"h", []int{5}, []float32{1, -2, 65504, 1.0 / (1 << 24), -1.0 / (1 << 24)}}, {"b", []int{1}, []float32{3.140625}},
		{"d", []int{}, []float32{0.25}}, {"f", []int{1, 1}, []float32{-3}},
	}
	if err != nil || !reflect.DeepEqual(got.Tensors, want) {
		t.Errorf("%+v, %v", got, err)
	}
}

// Half precision has 65536 numbers: each is checked against its definition.
func TestHalf_IsTheStandards(t *testing.T) {
	for bits := range 1 << 16 {
		exponent, mantissa := bits>>10&31, float64(bits&0x3ff)/1024
		want := math.Ldexp(1+mantissa, exponent-15)
		switch {
		case exponent == 0:
			want = math.Ldexp(mantissa, -14)
		case exponent == 31 && mantissa == 0:
			want = math.Inf(1)
		case exponent == 31:
			want = math.NaN()
		}
		if bits>>15 == 1 {
			want = -want
		}
		got := float64(half(uint16(bits)))
		if got != want && !(math.IsNaN(got) && math.IsNaN(want)) || math.Signbit(got) != (bits>>15 == 1) {
			t.Fatalf("%#04x is %v, should be %v", bits, got, want)
		}
	}
}

func TestUnmarshalForeign_SkipsAndNamesWhatItCannotRead(t *testing.T) {
	count := `"bn.num":{"dtype":"I64","shape":[],"data_offsets":[0,8]}`
	file := foreign(`{`+count+`,"w":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}`, make([]byte, 12)...)
	got, err := UnmarshalForeign(file, func(name string) bool { return name == "bn.num" })
	if err != nil || len(got.Tensors) != 1 || !slices.Equal(got.Tensors[0].Data, []float32{0}) {
		t.Errorf("%+v, %v", got, err)
	}
	for want, file := range map[string][]byte{
		`tensor "bn.num" is of type "I64"`: file,
		"too few":                          file[:7],
		"is truncated":                     file[:40],
		"claims bytes 0 to 4 of 3":         foreign(`{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1, 2, 3),
		"header is not JSON":               foreign(`{"a":`),
		"bytes follow":                     foreign(`{}`, 1),
		"claims bytes 0 to 8 of 8":         foreign(`{"w":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}}`, make([]byte, 8)...),
		"no safetensors file":              []byte("PK\x03\x04 and more bytes of a zip file"),
	} {
		if _, err := UnmarshalForeign(file, keepAll); !misuse.Is(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func FuzzUnmarshalForeign(f *testing.F) {
	f.Add(foreign(`{"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}`, 1, 2))
	f.Add(foreign(`{"__metadata__":{"format":"pt"},"n":{"dtype":"I64","shape":[0],"data_offsets":[0,0]}}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		got, err := UnmarshalForeign(file, func(name string) bool { return name == "n" })
		if err != nil {
			if !misuse.Is(err) {
				t.Fatalf("not misuse: %v", err)
			}
			return
		}
		for _, tensor := range got.Tensors {
			if n, err := elements(tensor.Shape); err != nil || n != int64(len(tensor.Data)) {
				t.Fatalf("%v of %d values, %v", tensor.Shape, len(tensor.Data), err)
			}
		}
	})
}
