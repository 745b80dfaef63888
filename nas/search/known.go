package search

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"slices"
)

// knownSum names a list of scores; "" for none.
func knownSum(list []Accuracy) string {
	if len(list) == 0 {
		return ""
	}
	h := crc32.NewIEEE()
	for _, a := range list {
		fmt.Fprintln(h, a.Arch, a.MIoU)
	}
	return fmt.Sprintf("%d scores %08x", len(list), h.Sum32())
}

// bestKnown returns up to n of the best known networks that are new and within all limits; of a front's limits each in turn chooses its best.
func (b *breeder) bestKnown(n int) (candidates []candidate, err error) {
	ranked := slices.Clone(b.cfg.Known)
	slices.SortStableFunc(ranked, func(x, y Accuracy) int { return cmp.Compare(y.MIoU, x.MIoU) })
	misses := 0 // turns in a row in which nothing was found
	for turns := 0; len(candidates) < n && misses <= len(b.spent); turns++ {
		misses++
		if b.turn(turns) < 0 {
			break
		}
		for _, known := range ranked {
			if b.known[known.Arch] || !b.sp.Contains(known.Arch) {
				continue
			}
			costs, worst, err := b.costs(known.Arch)
			if err != nil {
				return nil, err
			}
			if worst >= 0 || b.unspent(costs) {
				continue
			}
			b.known[known.Arch] = true
			candidates = append(candidates, candidate{arch: known.Arch, origin: Known, costs: costs})
			misses = 0
			break
		}
	}
	return candidates, nil
}
