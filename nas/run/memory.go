package run

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

// memoryUse is the share of the memory at hand that a step is planned to take at most: the pictures that are made ahead, the allocator's gaps and the
// rest of the machine want some too.
const memoryUse = 0.9

// checkMemory estimates what a step of a model's training takes and refuses, before anything is trained, one that the device has no memory for. The
// estimate becomes a line of the plan.
func (p *pipeline) checkMemory(m supernet.Model) error {
	a := p.cfg.Space.Largest()
	if plain, ok := m.(*supernet.Plain); ok {
		a = plain.Arch()
	}
	precision, err := p.cfg.precision()
	if err != nil {
		return err
	}
	activations, _ := train.Mixed(precision)
	batch := p.cfg.Batch
	if p.cfg.MicroBatch > 0 {
		batch = min(batch, p.cfg.MicroBatch)
	}
	need, err := train.StepBytes(p.machine.context, m, a, activations, batch, p.cfg.Height, p.cfg.Width)
	if err != nil {
		return err
	}
	have := p.machine.memoryBytes()
	if have > 0 && float64(need) > memoryUse*float64(have) {
		fits := int(memoryUse * float64(have) / float64(need) * float64(batch))
		if fits == 0 {
			return misuse.Errorf("one picture of %dx%d takes about %s in training, and %s are there; a smaller --size is needed",
				p.cfg.Height, p.cfg.Width, bytesText(need/batch), bytesText(have))
		}
		return misuse.Errorf("a step with %d pictures of %dx%d takes about %s of memory, and %s are there; --micro-batch %d would fit",
			batch, p.cfg.Height, p.cfg.Width, bytesText(need), bytesText(have), fits)
	}
	p.memory = fmt.Sprintf("  memory    about %s for a training step", bytesText(need))
	if have > 0 {
		p.memory += " of " + bytesText(have)
	}
	if batch < p.cfg.Batch {
		p.memory += fmt.Sprintf("\n  note      the gradients of %d pictures are added up over a batch of %d; batch norm takes the statistics of the %d, which is not the same as a batch of %d",
			batch, p.cfg.Batch, batch, p.cfg.Batch)
	}
	return nil
}

// checkSupernetMemory is checkMemory for the largest training of a search.
func (p *pipeline) checkSupernetMemory() error {
	super, err := p.newSupernet()
	if err != nil {
		return err
	}
	defer super.Close()
	return p.checkMemory(super)
}

// bytesText writes a number of bytes for people.
func bytesText(n int) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", math.Ceil(float64(n)/1e3))
}

// memoryBytes is the memory that a training may take on the device; 0 where nobody says.
func (m *machine) memoryBytes() int {
	switch {
	case m.card != nil:
		return int(m.card.Info().MemoryBytes)
	case m.identity.Kind != cpuDevice:
		return 0
	}
	have := availableMemory("/proc/meminfo")
	if limit := memoryLimit("/sys/fs/cgroup"); limit > 0 && (have == 0 || limit < have) {
		have = limit
	}
	return have
}

// availableMemory reads MemAvailable of a file like /proc/meminfo, in bytes; 0 where there is none.
func availableMemory(path string) int {
	file, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer file.Close()
	return readAvailable(file)
}

func readAvailable(r io.Reader) int {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) >= 2 && fields[0] == "MemAvailable:" {
			if kB, err := strconv.Atoi(fields[1]); err == nil {
				return kB << 10
			}
		}
	}
	return 0
}

// memoryLimit is what a container (cgroup v2) still allows, in bytes; 0 for no limit.
func memoryLimit(group string) int {
	number := func(name string) int {
		text, err := os.ReadFile(group + "/" + name)
		if err != nil {
			return 0
		}
		n, _ := strconv.Atoi(strings.TrimSpace(string(text))) // "max" is no limit
		return n
	}
	if most := number("memory.max"); most > 0 {
		return max(1, most-number("memory.current"))
	}
	return 0
}
