package misuse

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestIs_SeesThroughWrapping(t *testing.T) {
	inner := Errorf("table.jsonl: %w", fs.ErrNotExist)
	if err := fmt.Errorf("profile: %w", inner); !Is(err) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("wrapped misuse is not recognised: %v", err)
	}
	if Is(fs.ErrNotExist) || Is(nil) {
		t.Error("an ordinary error counts as misuse")
	}
}
