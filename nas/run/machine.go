package run

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/nvml"
)

const (
	cpuDevice  = "cpu"
	autoDevice = "auto" // firstGPU, where it does all that the tool takes, else the CPU
	firstGPU   = "cuda:0"
)

// deviceVariable is --device where that is not given.
const deviceVariable = "SEGNAS_DEVICE"

// machineOptions choose the device. They are no part of a run's Config.
type machineOptions struct {
	device    string
	threads   int
	isa       string
	pluginDir string
	precision precisionFlag // of deployed networks
	sessions  string        // what the tool needs deployed networks for, if it does
}

func machineFlags(fs *pflag.FlagSet, o *machineOptions) {
	fs.StringVar(&o.device, "device", cmp.Or(os.Getenv(deviceVariable), autoDevice),
		"cpu, cuda:0 (any number), or auto: cuda:0 where it is there and does all that this takes, else cpu; "+deviceVariable+" says it for every tool")
	fs.IntVar(&o.threads, "threads", 0, "worker threads (default: one per processor)")
	fs.StringVar(&o.isa, "isa", "", "cap on the instruction set: "+strings.Join(gobind.AvailableISAs(), ", ")+" (default: the last)")
}

// machine is the device at hand, with the stream on which this process trains and evaluates.
type machine struct {
	context   *gobind.Context
	stream    *gobind.Stream
	identity  latency.Identity
	session   gobind.SessionOptions // of deployed networks, but those with bit widths: deployment, measures
	precision precisionFlag         // of session
	card      nvml.Card             // of a GPU whose clocks can be read, else nil
	release   func()                // of card
}

// openMachine opens the device, after a check that the program is built from the sources beside it, and prints the tool's
// first line.
func openMachine(o machineOptions, out io.Writer) (*machine, error) {
	if err := gobind.CheckStamp(); err != nil {
		return nil, err
	}
	context, device, why, err := chooseContext(o)
	if err != nil {
		return nil, err
	}
	stream, err := context.NewStream()
	if err != nil {
		context.Close()
		return nil, err
	}
	m := &machine{context: context, stream: stream, precision: o.precision, release: func() {}, identity: latency.Identity{
		Kind: cpuDevice, CPU: cpuName(), ISA: context.ISA(), Threads: context.Threads(), Library: gobind.Stamp(),
	}}
	clocks := ""
	if device != cpuDevice {
		m.identity.Kind, _, _ = strings.Cut(device, ":")
		m.identity.GPU = context.Device()
		if m.identity.Kind == "cuda" { // the only kind that NVML knows
			clocks = m.watch(openCards)
		}
	}
	if m.session.Precision = o.precision.Precision; m.session.Precision != gobind.Float32 {
		m.identity.Precision = m.session.Precision.String()
		if err := m.checkPrecision(); err != nil {
			m.close()
			return nil, err
		}
	}
	fmt.Fprintf(out, "segnas %s on %v%s; backends: %s\n%s", gobind.Version(), m.identity, why, backends(o.pluginDir), clocks)
	return m, nil
}

// chooseContext opens the device that the options name; why explains the choice that was left to auto.
func chooseContext(o machineOptions) (x *gobind.Context, device, why string, err error) {
	if o.device != autoDevice && o.device != "" {
		x, err = openContext(o, o.device)
		return x, o.device, "", err
	}
	x, gpuErr := openContext(o, firstGPU)
	if gpuErr == nil {
		return x, firstGPU, " (auto: " + firstGPU + " is there)", nil
	}
	x, err = openContext(o, cpuDevice)
	reason := gpuErr.Error()
	if gobind.StatusOf(gpuErr) == gobind.BackendMissing { // the backends that follow in the line say more
		reason = "no " + firstGPU
	}
	return x, cpuDevice, " (auto: " + reason + ")", err
}

// openContext opens a device. One that is not there, or that lacks what the tool needs, is misuse that says what to type.
func openContext(o machineOptions, device string) (*gobind.Context, error) {
	x, err := gobind.NewContext(gobind.Options{Device: device, Threads: o.threads, ISA: o.isa, PluginDir: o.pluginDir})
	switch gobind.StatusOf(err) {
	case gobind.OK:
	case gobind.InvalidArgument:
		return nil, misuse.Errorf("%w", err)
	case gobind.BackendMissing:
		return nil, misuse.Errorf("--device %s: %w; %s says what to type, --device cpu works without", device, err, command("devices"))
	default:
		return nil, err
	}
	if o.sessions == "" || device == cpuDevice {
		return x, nil
	}
	if !x.Runs(gobind.Float32) {
		x.Close()
		return nil, misuse.Errorf("%s has no sessions, which this needs to %s; train has --device %s, and for this type --device cpu", device, o.sessions, device)
	}
	return x, nil
}

// checkPrecision refuses a precision that the device's sessions do not have.
func (m *machine) checkPrecision() error {
	p := m.session.Precision
	switch {
	case m.context.Runs(p):
		return nil
	case p == gobind.Int8:
		return misuse.Errorf("--precision %v: %s has no sessions in integers; --device cpu has", p, m.processor())
	case m.identity.Kind != cpuDevice:
		return misuse.Errorf("--precision %v: %s has none; f32 works, and f16 where there are sessions at all", p, m.identity.GPU)
	case p == gobind.Float16:
		return misuse.Errorf("--precision %v is for GPUs; --device cuda:0 chooses one, and f32 or bf16 are for processors", p)
	}
	return misuse.Errorf("--precision %v: isa %s on this processor (%s) has no products of bfloat16s, which are part of AVX-512 BF16",
		p, m.identity.ISA, m.identity.CPU)
}

func (m *machine) close() {
	m.release()
	m.stream.Close()
	m.context.Close()
}

// arithmetic names what decides a result's last bits.
func (m *machine) arithmetic() string {
	if m.identity.Kind == cpuDevice {
		return m.identity.ISA
	}
	model, _, _ := strings.Cut(m.identity.GPU, ", GPU-") // another card of the model computes the same
	return m.identity.Kind + " " + model
}

// processor names what computes, for a person and for a file's name.
func (m *machine) processor() string {
	switch {
	case m.identity.Kind == cpuDevice:
		return m.identity.CPU
	case m.card != nil:
		return m.identity.Card.Name
	}
	return m.identity.GPU
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
