package search

import "github.com/segnas/segnas/nas/misuse"

// weighLargest finds what spending can mean: no network can be asked to cost much more than the largest.
func (b *breeder) weighLargest() error {
	if b.cfg.Spend == 0 {
		return nil
	}
	for _, l := range b.limits {
		v, err := costOf(l, b.sp.Largest())
		if err != nil {
			return err
		}
		b.largest = append(b.largest, v)
	}
	return nil
}

// unspent tells whether a network of these costs leaves more of every limit than it should.
func (b *breeder) unspent(costs map[string]float64) bool {
	for i, most := range b.largest {
		if l := b.limits[i]; costs[l.Name] >= b.cfg.Spend*min(l.Max, most) {
			return false
		}
	}
	return len(b.largest) > 0
}

// nothing says why a first generation is empty.
func (b *breeder) nothing() error {
	if n := b.refused.Unspent; n > 0 {
		return misuse.Errorf("%w: none of %d draws that are uses %g of a limit; ask for a smaller share", ErrInfeasible, n, b.cfg.Spend)
	}
	return misuse.Errorf("%w", b.nearest)
}
