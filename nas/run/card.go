package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/segnas/segnas/nas/nvml"
	"github.com/segnas/segnas/nas/nvml/driver"
)

// openCards lists the cards that NVML knows; release ends the reading.
func openCards() (cards []nvml.Card, release func(), err error) {
	library, err := driver.Open()
	if err != nil {
		return nil, nil, err
	}
	if cards, err = library.Cards(); err != nil {
		library.Close()
		return nil, nil, err
	}
	return cards, library.Close, nil
}

// watch finds the card of a GPU and returns a line on it. Without one the machine is measured all the same, and the line says so.
func (m *machine) watch(open func() ([]nvml.Card, func(), error)) string {
	cards, release, err := open()
	if err == nil {
		if m.card, err = nvml.Choose(cards, m.identity.GPU); err == nil {
			m.release, m.identity.Card = release, m.card.Info()
			energy := ""
			if !m.identity.Card.Energy {
				energy = "; it counts no energy"
			}
			return fmt.Sprintf("clocks: %v, SM up to %d MHz, memory up to %d MHz%s\n", m.identity.Card, m.identity.Card.MaxSMMHz, m.identity.Card.MaxMemoryMHz, energy)
		}
		release()
	}
	return fmt.Sprintf("clocks: %v; going on without them: running medians tell when the device is warm\n", err)
}

// command is how a tool of this project is called from where this program runs: beside its neighbours, or by go run.
func command(tool string) string {
	if program, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(program), tool)
		if info, err := os.Stat(beside); err == nil && info.Mode().IsRegular() {
			return beside
		}
	}
	return "go run ./tools/" + tool
}

// oneLine joins the lines of a text.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
