package run

import (
	"context"
	"fmt"
	"io"
)

// folderOptions are what a tool is told that works in a folder of its own and goes on there when it is typed again.
type folderOptions struct {
	cfg     Config
	machine machineOptions
	out     string
	json    bool
	printed bool // the settings, which was all that was asked for
}

// printer is a tool's result, which prints itself for people.
type printer interface{ print(w io.Writer) error }

// run opens the device, the pictures and the folder, does the work, and prints what came out.
func (o folderOptions) run(ctx context.Context, s Streams, work func(p *pipeline) (printer, error)) error {
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	p, err := openPipeline(o.cfg, m, s)
	if err != nil {
		return err
	}
	defer p.close()
	if p.folder, err = openFolder(o.out); err != nil {
		return err
	}
	result, err := work(p)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w; the same command goes on from here", err)
	case err != nil:
		return err
	case o.json:
		return printJSON(s.Out, result)
	}
	return result.print(s.Out)
}
