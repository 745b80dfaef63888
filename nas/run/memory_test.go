package run

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/segnas/segnas/nas/misuse"
)

func TestMemory_IsReadFromTheSystemsFiles(t *testing.T) {
	if got := readAvailable(strings.NewReader("MemTotal: 9 kB\nMemAvailable:    1234 kB\n")); got != 1234<<10 {
		t.Errorf("MemAvailable is %d bytes", got)
	}
	if got := readAvailable(strings.NewReader("MemAvailable: lots\n")); got != 0 {
		t.Errorf("no number gives %d", got)
	}
	group := t.TempDir()
	for _, c := range []struct {
		most, current string
		want          int
	}{{"max\n", "5\n", 0}, {"1000\n", "400\n", 600}, {"1000\n", "2000\n", 1}, {"", "", 0}} {
		for name, text := range map[string]string{"memory.max": c.most, "memory.current": c.current} {
			if err := os.WriteFile(filepath.Join(group, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := memoryLimit(group); got != c.want {
			t.Errorf("a limit of %q with %q in use leaves %d, want %d", c.most, c.current, got, c.want)
		}
	}
}

// The published preset does not fit into a common machine: it is refused in one line that says what would fit, before anything is drawn or trained.
func TestTrain_WithoutTheMemoryIsRefusedWithASizeThatFits(t *testing.T) {
	var stderr bytes.Buffer
	err := Train(context.Background(), []string{"--size", "4096x8192", "--batch", "100000", "--train-scenes", "1", "--search-scenes", "1", "--test-scenes", "1", "--balance", "0",
		"--out", t.TempDir(), "--checks", "0"}, Streams{io.Discard, &stderr})
	if !misuse.Is(err) || !strings.Contains(err.Error(), "--micro-batch") && !strings.Contains(err.Error(), "smaller --size") {
		t.Errorf("%v\n%s", err, stderr.String())
	}
}
