package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/misuse"
)

func TestProgress_WritesALineEveryTenSecondsWithoutTerminal(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, "supernet", "steps", 10, 50)
	clock := p.began
	p.now = func() time.Time { return clock }
	for step := 11; step <= 50; step++ {
		clock = clock.Add(time.Second)
		p.Set(step, "loss 1.5")
	}
	p.Finish("loss 1.5")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 5 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	if want := "supernet   20/50 steps (40 %), 1 steps/s, 30s left, loss 1.5"; lines[0] != want {
		t.Errorf("line %q, want %q", lines[0], want)
	}
	if want := "supernet: 40 steps in 40s; loss 1.5"; lines[4] != want {
		t.Errorf("line %q, want %q", lines[4], want)
	}
	if strings.ContainsAny(out.String(), "\r\x1b") {
		t.Error("control characters outside a terminal")
	}
}

func TestProgress_RedrawsOnATerminal(t *testing.T) {
	var out bytes.Buffer
	p := NewProgress(&out, "search", "networks", 0, 4)
	p.terminal = true
	clock := p.began
	p.now = func() time.Time { return clock }
	for done := 1; done <= 4; done++ {
		clock = clock.Add(20 * time.Second)
		p.Set(done, "")
	}
	p.Say("a word")
	p.Finish("")
	text := out.String()
	if !strings.Contains(text, "[======                  ] 1/4 networks (25 %), 20.0 s each, 1m00s left") {
		t.Errorf("no bar in %q", text)
	}
	if strings.Count(text, "\n") != 2 || !strings.HasSuffix(text, "search: 4 networks in 1m20s\n") {
		t.Errorf("line ends of %q", text)
	}
}

func TestExit_CodesTellWhoseTurnItIs(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		text string
	}{
		{nil, 0, ""},
		{pflag.ErrHelp, 0, ""},
		{errors.New("disk full"), 1, "failed: disk full\n"},
		{fmt.Errorf("x: %w", misuse.Errorf("bad flag")), 2, "error: x: bad flag\n"},
		{fmt.Errorf("at step 3: %w", context.Canceled), 130, "interrupted: at step 3: context canceled\n"},
	} {
		var out bytes.Buffer
		if code := Exit(c.err, &out); code != c.code || out.String() != c.text {
			t.Errorf("%v: code %d, %q; want %d, %q", c.err, code, out.String(), c.code, c.text)
		}
	}
}
