package nn

import (
	"math/rand/v2"
	"testing"
)

// TestArena_BlocksNeverOverlapAndAllComesBack takes and drops at random.
func TestArena_BlocksNeverOverlapAndAllComesBack(t *testing.T) {
	b := newBench(t, 1)
	a := &b.tape.arena
	rng := rand.New(rand.NewPCG(1, 2))
	var held []int32
	for range 2000 {
		if len(held) > 40 || (len(held) > 0 && rng.IntN(2) == 0) {
			i := rng.IntN(len(held))
			a.drop(held[i])
			held = append(held[:i], held[i+1:]...)
			continue
		}
		handle, err := a.take(1 + rng.IntN(2<<20))
		if err != nil {
			t.Fatal(err)
		}
		taken := a.blocks[handle].span
		for _, other := range held {
			o := a.blocks[other].span
			if o.chunk == taken.chunk && o.offset < taken.offset+taken.bytes && taken.offset < o.offset+o.bytes {
				t.Fatalf("%+v overlaps %+v", taken, o)
			}
		}
		if taken.offset%alignment != 0 || taken.offset+taken.bytes > a.chunks[taken.chunk].Bytes() {
			t.Fatalf("%+v is not aligned or not inside its chunk", taken)
		}
		held = append(held, handle)
	}
	for _, handle := range held {
		a.drop(handle)
	}
	free := 0
	for _, f := range a.free {
		free += f.bytes
	}
	if free != a.bytes() || len(a.free) != len(a.chunks) {
		t.Errorf("%d of %d bytes are free, in %d spans of %d chunks", free, a.bytes(), len(a.free), len(a.chunks))
	}
}

func TestArena_SharedBlockStaysUntilTheLastDrop(t *testing.T) {
	b := newBench(t, 1)
	a := &b.tape.arena
	first, err := a.take(1000)
	if err != nil {
		t.Fatal(err)
	}
	a.share(first)
	if a.sole(first) {
		t.Error("a shared block counts as nobody else's")
	}
	a.drop(first)
	second, err := a.take(1000)
	if err != nil {
		t.Fatal(err)
	}
	if a.blocks[second].offset == a.blocks[first].offset || !a.sole(first) {
		t.Error("a block was given away while in use")
	}
}

// TestArena_PrefersWhatWasFreedLast: equal spans come back newest first, still in cache.
func TestArena_PrefersWhatWasFreedLast(t *testing.T) {
	b := newBench(t, 1)
	a := &b.tape.arena
	var handles [6]int32
	for i := range handles {
		handles[i], _ = a.take(4096)
	}
	offset := a.blocks[handles[2]].offset
	a.drop(handles[0])
	a.drop(handles[4])
	a.drop(handles[2])
	if again, err := a.take(4096); err != nil || a.blocks[again].offset != offset {
		t.Errorf("taken at %d, freed last at %d, %v", a.blocks[again].offset, offset, err)
	}
}
