package run

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

const (
	barCells   = 24
	usualWidth = 100 // of a terminal that does not tell
	// redrawEvery and lineEvery bound how often a terminal's bar is redrawn and how often a log file gets a line.
	redrawEvery = 100 * time.Millisecond
	lineEvery   = 10 * time.Second
)

// Progress shows how far one stage has come, with its rate and the time left: a bar that redraws itself on a terminal, a line
// every ten seconds elsewhere. One goroutine uses it.
type Progress struct {
	out      io.Writer
	terminal bool
	now      func() time.Time

	stage, unit  string
	total        int
	first        int // done before this process began: no part of the rate
	done         int
	note         string
	began, shown time.Time
	drawn        int // characters of the bar on the terminal
}

// NewProgress begins a stage of total units, of which done are there already. It shows nothing yet.
func NewProgress(out io.Writer, stage, unit string, done, total int) *Progress {
	file, isFile := out.(*os.File)
	p := &Progress{
		out: out, terminal: isFile && term.IsTerminal(int(file.Fd())), now: time.Now,
		stage: stage, unit: unit, first: done, done: done, total: total,
	}
	p.began = p.now()
	p.shown = p.began
	return p
}

// Set tells how many units are done; note is a word on the state, such as the loss.
func (p *Progress) Set(done int, note string) {
	p.done, p.note = done, note
	every := lineEvery
	if p.terminal {
		every = redrawEvery
	}
	if now := p.now(); now.Sub(p.shown) >= every {
		p.shown = now
		p.draw(p.line(now))
	}
}

// Rate returns the units done by this process a second, since the stage began.
func (p *Progress) Rate() float64 {
	return float64(p.done-p.first) / max(p.now().Sub(p.began).Seconds(), 1e-9)
}

// SetTotal changes the number of units in all, for stages that learn it as they go.
func (p *Progress) SetTotal(total int) { p.total = total }

// Finish leaves a last line behind, with what came out of the stage.
func (p *Progress) Finish(result string) {
	elapsed := p.now().Sub(p.began)
	text := fmt.Sprintf("%s: %d %s in %s", p.stage, p.done-p.first, p.unit, short(elapsed))
	if result != "" {
		text += "; " + result
	}
	p.draw(text)
	if p.terminal {
		fmt.Fprintln(p.out)
		p.drawn = 0
	}
}

// Say prints a line of its own without damage to the bar.
func (p *Progress) Say(format string, args ...any) {
	p.wipe()
	fmt.Fprintf(p.out, format+"\n", args...)
}

func (p *Progress) wipe() {
	if p.drawn > 0 {
		fmt.Fprintf(p.out, "\r%s\r", strings.Repeat(" ", p.drawn))
		p.drawn = 0
	}
}

func (p *Progress) draw(text string) {
	if !p.terminal {
		fmt.Fprintln(p.out, text)
		return
	}
	p.wipe()
	line := []rune(text)
	line = line[:min(len(line), p.width()-1)] // a line that wraps cannot be wiped
	fmt.Fprint(p.out, string(line))
	p.drawn = len(line)
}

// width is the terminal's, in characters.
func (p *Progress) width() int {
	if file, ok := p.out.(*os.File); ok {
		if width, _, err := term.GetSize(int(file.Fd())); err == nil && width > 1 {
			return width
		}
	}
	return usualWidth
}

func (p *Progress) line(now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-10s ", p.stage)
	share := 0.0
	if p.total > 0 {
		share = float64(p.done) / float64(p.total)
	}
	if p.terminal {
		full := min(barCells, int(share*barCells))
		fmt.Fprintf(&b, "[%s%s] ", strings.Repeat("=", full), strings.Repeat(" ", barCells-full))
	}
	fmt.Fprintf(&b, "%d/%d %s (%.0f %%)", p.done, p.total, p.unit, 100*share)
	if elapsed := now.Sub(p.began); p.done > p.first && elapsed > 0 {
		rate := p.Rate()
		left := time.Duration(float64(p.total-p.done) / rate * float64(time.Second))
		fmt.Fprintf(&b, ", %s, %s left", rateText(rate, p.unit), short(left))
	}
	if p.note != "" {
		b.WriteString(", " + p.note)
	}
	return b.String()
}

func rateText(perSecond float64, unit string) string {
	if perSecond < 0.5 {
		return fmt.Sprintf("%.1f s each", 1/perSecond)
	}
	return fmt.Sprintf("%.3g %s/s", perSecond, unit)
}

// short writes a duration as people say it: 4.2s, 3m05s, 2h10m.
func short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%.0fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}
