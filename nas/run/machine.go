package run

import (
	"fmt"
	"io"
	"runtime"
	"strings"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
)

// machineOptions choose the device. They are no part of a run's Config.
type machineOptions struct {
	threads   int
	isa       string
	pluginDir string
	precision precisionFlag // of deployed networks
}

// precisionFlag is the precision of deployed networks. Training is float32 always.
type precisionFlag gobind.Precision

func (f *precisionFlag) String() string { return gobind.Precision(*f).String() }
func (f *precisionFlag) Type() string   { return "precision" }

func (f *precisionFlag) Set(text string) error {
	for _, p := range []gobind.Precision{gobind.Float32, gobind.BFloat16} {
		if text == p.String() {
			*f = precisionFlag(p)
			return nil
		}
	}
	return misuse.Errorf("give %v or %v", gobind.Float32, gobind.BFloat16)
}

// deployedFlags are machineFlags of a tool that runs deployed networks.
func deployedFlags(fs *pflag.FlagSet, o *machineOptions) {
	machineFlags(fs, o)
	fs.Var(&o.precision, "precision", "of the deployed network: f32, or bf16 (values and weights rounded to bfloat16), where the processor has it")
}

func machineFlags(fs *pflag.FlagSet, o *machineOptions) {
	fs.IntVar(&o.threads, "threads", 0, "worker threads (default: one per processor)")
	fs.StringVar(&o.isa, "isa", "", "cap on the instruction set: "+strings.Join(gobind.AvailableISAs(), ", ")+" (default: the last)")
}

// machine is the device at hand, with the stream on which this process trains and evaluates.
type machine struct {
	context  *gobind.Context
	stream   *gobind.Stream
	identity latency.Identity
	session  gobind.SessionOptions // of deployed networks
}

// openMachine opens the device, after a check that the program is built from the sources beside it, and prints the tool's
// first line.
func openMachine(o machineOptions, out io.Writer) (*machine, error) {
	if err := gobind.CheckStamp(); err != nil {
		return nil, err
	}
	context, err := gobind.NewContext(gobind.Options{Threads: o.threads, ISA: o.isa, PluginDir: o.pluginDir})
	if err != nil {
		if gobind.StatusOf(err) == gobind.InvalidArgument {
			return nil, misuse.Errorf("%w", err)
		}
		return nil, err
	}
	stream, err := context.NewStream()
	if err != nil {
		context.Close()
		return nil, err
	}
	m := &machine{context: context, stream: stream, identity: latency.Identity{
		Kind: context.Device(), CPU: cpuName(), ISA: context.ISA(), Threads: context.Threads(), Library: gobind.Stamp(),
	}}
	if m.session.Precision = gobind.Precision(o.precision); m.session.Precision != gobind.Float32 {
		m.identity.Precision = m.session.Precision.String()
		if !context.BF16() {
			m.close()
			return nil, misuse.Errorf("--precision %v: isa %s on this processor (%s) has no products of bfloat16s, which are part of AVX-512 BF16",
				m.session.Precision, m.identity.ISA, m.identity.CPU)
		}
	}
	fmt.Fprintf(out, "segnas %s on %v; backends: %s\n", gobind.Version(), m.identity, backends(o.pluginDir))
	return m, nil
}

func (m *machine) close() {
	m.stream.Close()
	m.context.Close()
}

// cpuName is the processor's own name for itself, or its architecture's where it has none.
func cpuName() string {
	if name := strings.Join(strings.Fields(cpuid.CPU.BrandName), " "); name != "" {
		return name
	}
	return runtime.GOARCH
}

// backends says in one line which backends there are; tools/devices tells why others are not.
func backends(pluginDir string) string {
	var list []string
	for line := range strings.Lines(gobind.DescribeBackends(pluginDir)) {
		if line == strings.TrimLeft(line, " \t") {
			list = append(list, strings.TrimSpace(line))
		}
	}
	return strings.Join(list, "; ")
}
