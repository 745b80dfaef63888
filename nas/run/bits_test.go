package run

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/train"
)

func TestSearch_OfBitWidthsFromPicturesToReport(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: trains seven little networks")
	}
	folder := t.TempDir()
	args := tiny("--out", folder, "--bits", "4,6,8", "--limit-bitops", "200M", "--limit-bytes", "900k", "--json")
	var out, words bytes.Buffer
	if err := Search(context.Background(), args, Streams{&out, &words}); err != nil {
		t.Fatalf("%v\n%s", err, words.String())
	}
	var r Result
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Networks {
		if quantised := row.Name != baselineName; (row.BitOps > 0) != quantised || (row.Bytes > 0) != quantised || !(row.MeasuredMS > 0) {
			t.Errorf("%+v", row)
		}
	}
	if w := named(r, winnerName); !r.Winner.IsQuantised() || w.BitOps > 200e6 || w.Bytes > 900e3 || !*w.WithinLimit {
		t.Errorf("the winner %v has %d bit operations and %d bytes", r.Winner, w.BitOps, w.Bytes)
	}
	out.Reset()
	if err := Search(context.Background(), args, Streams{&out, io.Discard}); err != nil {
		t.Fatal(err)
	}
	var again Result
	if err := json.Unmarshal(out.Bytes(), &again); err != nil {
		t.Fatal(err)
	}
	if again.Winner != r.Winner || !reflect.DeepEqual(again.Networks, r.Networks) {
		t.Errorf("repeated: %+v, was %+v", again.Networks, r.Networks)
	}
	page, err := os.ReadFile(filepath.Join(folder, reportFile))
	if err != nil || !strings.Contains(string(page), "G bit ops") || !strings.Contains(string(page), "weights/activations:") {
		t.Errorf("the report says nothing of bits: %v", err)
	}
}

// The phase that learns bit widths does not depend on the flags' order, and settings that were printed have it once.
func TestBits_AddOnePhase(t *testing.T) {
	phases := func(args ...string) train.Schedule {
		t.Helper()
		o, err := parseSearch(args, Streams{io.Discard, io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		return o.cfg.Shrinking
	}
	first := phases("--bits", "4,8", "--supernet-steps", "90")
	if again := phases("--supernet-steps", "90", "--bits", "4,8"); !slices.Equal(first, again) {
		t.Errorf("%v in one order, %v in the other", first, again)
	}
	plain := phases("--supernet-steps", "90")
	if n := len(first); n != len(plain)+1 || !slices.Equal(first[:n-1], plain) || !first[n-1].Quantised || first[n-1].Steps != plain[n-2].Steps {
		t.Errorf("%v with bit widths, %v without", first, plain)
	}
	o, err := parseSearch([]string{"--bits", "4,8"}, Streams{io.Discard, io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	text, err := o.cfg.TOML()
	if err != nil {
		t.Fatal(err)
	}
	if again := phases("--config", settingsFile(t, text)); !slices.Equal(again, o.cfg.Shrinking) {
		t.Errorf("printed and read back: %v, was %v", again, o.cfg.Shrinking)
	}
}
