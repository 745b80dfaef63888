package safetensors

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/segnas/segnas/nas/misuse"
)

// conversion turns a file's numbers of one type into float32.
type conversion struct {
	bytes int64 // of a number
	one   func(data []byte) float32
}

// conversions holds the types that are read, by their names in headers.
var conversions = map[string]*conversion{
	"F32":  {4, func(d []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(d)) }},
	"F64":  {8, func(d []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(d))) }},
	"BF16": {2, func(d []byte) float32 { return math.Float32frombits(uint32(binary.LittleEndian.Uint16(d)) << 16) }},
	"F16":  {2, func(d []byte) float32 { return half(binary.LittleEndian.Uint16(d)) }},
}

func (c *conversion) all(data []byte) []float32 {
	values := make([]float32, int64(len(data))/c.bytes)
	for i := range values {
		values[i] = c.one(data[int64(i)*c.bytes:])
	}
	return values
}

// Convert returns the numbers of one of the types F32, F64, BF16 and F16, little endian, as float32; nil and false for another type, or where
// the last number is cut off.
func Convert(dtype string, data []byte) ([]float32, bool) {
	c := conversions[dtype]
	if c == nil || int64(len(data))%c.bytes != 0 {
		return nil, false
	}
	return c.all(data), true
}

// half returns the value of a number of IEEE 754's binary16. Its exponent is 15 less than what is kept, and that of its subnormal numbers -14.
func half(bits uint16) float32 {
	sign, exponent, mantissa := uint32(bits>>15)<<31, uint32(bits>>10&31), uint32(bits&0x3ff)
	switch exponent {
	case 0:
		return float32(math.Copysign(math.Ldexp(float64(mantissa), -24), float64(1-2*int(bits>>15))))
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | mantissa<<13)
}

// UnmarshalForeign reads the bytes of a container by any writer, without a checksum. Numbers of 16, 32 and 64 bits become float32. Tensors
// that skip names, of whatever type, are left out.
func UnmarshalForeign(file []byte, skip func(name string) bool) (File, error) {
	if len(file) < lengthBytes {
		return File{}, misuse.Errorf("%d bytes are too few for a safetensors file; it is truncated or of another kind", len(file))
	}
	length := binary.LittleEndian.Uint64(file)
	if length > maxHeader {
		return File{}, misuse.Errorf("the header claims %d bytes; this is no safetensors file, or a damaged one", length)
	}
	if int64(length) > int64(len(file)-lengthBytes) {
		return File{}, misuse.Errorf("the header claims %d bytes but the file has %d; it is truncated", length, len(file))
	}
	return parse(file[lengthBytes:lengthBytes+length], file[lengthBytes+length:], func(name, is string) (*conversion, error) {
		if skip(name) {
			return nil, nil
		}
		if c := conversions[is]; c != nil {
			return c, nil
		}
		return nil, fmt.Errorf("F32, F16, BF16 and F64 are read")
	})
}
