package data

// The network sees x = (u8/255 - Mean) / Std in every channel: values in [-2, 2], mid grey at 0. One constant for all
// channels and data sets keeps a trained network's input contract in one line.
const (
	Mean = 0.5
	Std  = 0.25
)

// normalised is the table of x for every u8.
var normalised = func() (t [256]float32) {
	for v := range t {
		t[v] = float32((float64(v)/255 - Mean) / Std)
	}
	return t
}()

// Normalise writes the network's input for 8-bit values (a picture of H*W*3 bytes, or a part of one) to x, which must be as
// long as pixels.
func Normalise(x []float32, pixels []byte) {
	x = x[:len(pixels)]
	for i, v := range pixels {
		x[i] = normalised[v]
	}
}

// Denormalise is the inverse of Normalise, rounded and clamped to 8 bits.
func Denormalise(pixels []byte, x []float32) {
	pixels = pixels[:len(x)]
	for i, v := range x {
		pixels[i] = byte(min(max((v*Std+Mean)*255+0.5, 0), 255))
	}
}
