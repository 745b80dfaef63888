package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/misuse"
)

// The exit codes of every tool.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitMisuse      = 2
	ExitInterrupted = 130
)

// Streams are where a tool writes: results to Out, progress and everything else to Err.
type Streams struct{ Out, Err io.Writer }

// Tool is a command: it parses its own arguments, and stops soon after ctx is done, with everything saved that a repetition of
// the same command goes on from.
type Tool func(ctx context.Context, args []string, streams Streams) error

// Main runs a tool as a process: with the process's arguments and streams, cancelled by SIGINT and SIGTERM, ended with an exit code.
// A second signal ends it at once.
func Main(tool Tool) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(Exit(tool(ctx, os.Args[1:], Streams{os.Stdout, os.Stderr}), os.Stderr))
}

// ofTheDisk reports whether a file could not be read or written for a reason that its owner can mend: no right, something else in its
// place. The error names the file.
func ofTheDisk(err error) bool {
	for _, reason := range []error{
		syscall.EFBIG, syscall.EROFS, syscall.EACCES, syscall.EPERM, syscall.EISDIR, syscall.ENOTDIR, syscall.EEXIST,
		syscall.ENOTEMPTY, syscall.ENAMETOOLONG, syscall.ELOOP,
	} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}

// Exit prints an error as one line and returns its exit code. A request for help is no error.
func Exit(err error, stderr io.Writer) int {
	switch {
	case err == nil || errors.Is(err, pflag.ErrHelp):
		return ExitDone
	case errors.Is(err, context.Canceled):
		fmt.Fprintf(stderr, "interrupted: %v\n", err)
		return ExitInterrupted
	case gobind.StatusOf(err) == gobind.NoKernel:
		fmt.Fprintf(stderr, "error: %v; this device cannot do it yet, --device cpu can\n", err)
		return ExitMisuse
	case errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT):
		fmt.Fprintf(stderr, "error: %v; make room, and the same command goes on\n", err)
		return ExitMisuse
	case misuse.Is(err) || ofTheDisk(err):
		fmt.Fprintf(stderr, "error: %v\n", err)
		return ExitMisuse
	default:
		fmt.Fprintf(stderr, "failed: %v\n", err)
		return ExitFailed
	}
}
