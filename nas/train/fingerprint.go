package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"

	"github.com/segnas/segnas/nas/data"
)

// Fingerprint names the batches of feeds: their sizes, pictures and labels. Feeds that give the same batches have the same name, wherever they
// read them from.
func Fingerprint(ctx context.Context, feeds ...Feed) (string, error) {
	h := sha256.New()
	var chunk []byte
	for _, f := range feeds {
		h.Write([]byte("feed"))
		err := f.Each(ctx, func(b *data.Batch) error {
			chunk = chunk[:0]
			for _, n := range []int{b.N, b.H, b.W} {
				chunk = binary.LittleEndian.AppendUint64(chunk, uint64(n))
			}
			for _, v := range b.X {
				chunk = binary.LittleEndian.AppendUint32(chunk, math.Float32bits(v))
			}
			h.Write(chunk)
			h.Write(b.Y)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), nil
}
