package run

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/space"
)

// archFlag is an architecture: its canonical text, or the name of a hand-made one.
type archFlag struct{ arch **space.Arch }

func (f archFlag) String() string {
	if f.arch == nil || *f.arch == nil {
		return ""
	}
	return (*f.arch).String()
}

func (f archFlag) Type() string { return "arch" }

func (f archFlag) Set(text string) error {
	a, err := archOf(text)
	*f.arch = &a
	return err
}

// archOf reads an architecture's text, or its name, which bit widths may follow: baseline-w8a8.
func archOf(text string) (space.Arch, error) {
	name, widths, quantised := strings.Cut(text, "-")
	if a, ok := map[string]space.Arch{"baseline": space.Baseline(), "hand": space.HandScaled()}[name]; ok {
		if !quantised {
			return a, nil
		}
		b, err := space.ParseBits(widths)
		return a.Quantised(b), err
	}
	a, err := space.Parse(text)
	if err != nil {
		return a, misuse.Errorf("%w; baseline and hand are known by name, also as baseline-w8a8", err)
	}
	return a, nil
}

// handMade returns the networks that a search begins with, at the largest bit widths of a quantised space.
func (c Config) handMade() []space.Arch {
	return []space.Arch{c.Space.Widest(space.Baseline()), c.Space.Widest(space.HandScaled())}
}

func archVar(fs *pflag.FlagSet, a **space.Arch, use string) {
	fs.Var(archFlag{a}, "arch", use+`: a text such as k3e6.k5e4_k3e3.k5e4_k3e6.k3e6, "baseline" or "hand", also with the bits of weights and activations, as baseline-w8a8`)
}
