package run

import (
	"context"
	"fmt"
	"runtime"
	"strings"

	"github.com/klauspost/cpuid/v2"
	"github.com/spf13/pflag"

	"github.com/segnas/segnas/gobind"
	"github.com/segnas/segnas/nas/latency"
)

// Found is what tools/devices finds out.
type Found struct {
	Device   latency.Identity `json:"device"`
	ISAs     []string         `json:"instruction_sets"` // that this build has and this processor runs, the best last
	BF16     bool             `json:"bf16"`             // deployed networks can run in bfloat16
	Int8     bool             `json:"int8"`             // deployed networks with bit widths can run in integers
	Cores    int              `json:"cores"`            // physical; 0 where not known
	L2       int              `json:"l2_bytes"`         // of a core; -1 where not known
	L3       int              `json:"l3_bytes"`
	Backends []string         `json:"backends"` // what was looked for, and why it is or is not there
	CUDA     []Part           `json:"cuda"`     // what a run on a GPU consists of
	Advice   []string         `json:"advice"`   // what to type to get what is missing
}

// Devices is tools/devices: it says which devices there are, which are missing, and what to type.
func Devices(_ context.Context, args []string, s Streams) error {
	var o struct {
		machine machineOptions
		json    bool
	}
	fs := pflag.NewFlagSet("devices", pflag.ContinueOnError)
	machineFlags(fs, &o.machine)
	fs.StringVar(&o.machine.pluginDir, "plugin-dir", "", "where to look for backends first")
	fs.BoolVar(&o.json, "json", false, "print as JSON")
	if err := parse(fs, args, "", s); err != nil {
		return err
	}
	m, err := openMachine(o.machine, s.Err)
	if err != nil {
		return err
	}
	defer m.close()
	f := find(m, o.machine.pluginDir)
	if o.json {
		return printJSON(s.Out, f)
	}
	f.print(s)
	return nil
}

func find(m *machine, pluginDir string) Found {
	f := Found{
		Device: m.identity, ISAs: gobind.AvailableISAs(), BF16: m.context.Runs(gobind.BFloat16), Int8: m.context.Runs(gobind.Int8), Cores: cpuid.CPU.PhysicalCores, L2: cpuid.CPU.Cache.L2, L3: cpuid.CPU.Cache.L3,
		Backends: strings.Split(strings.TrimSpace(gobind.DescribeBackends(pluginDir)), "\n"),
	}
	f.CUDA = cudaParts(f.Backends)
	for _, p := range f.CUDA {
		if p.Missing {
			f.Advice = append(f.Advice, p.Type)
		}
	}
	f.Advice = append(f.Advice,
		command("profile")+" --size 360x480 --verify 50   measures this device",
		"--device cpu or --device cuda:0   chooses the device, in every tool",
		"SEGNAS_ISA="+f.ISAs[0]+" or --isa "+f.ISAs[0]+"   caps the instruction set; --threads N the threads",
	)
	return f
}

func (f Found) print(s Streams) {
	fmt.Fprintf(s.Out, "processor         %s, %s/%s, %d cores, %d threads in use\n", f.Device.CPU, runtime.GOOS, runtime.GOARCH, f.Cores, f.Device.Threads)
	fmt.Fprintf(s.Out, "caches            L2 %d KiB a core, L3 %d KiB\n", f.L2>>10, f.L3>>10)
	fmt.Fprintf(s.Out, "instruction sets  %s; in use: %s\n", strings.Join(f.ISAs, ", "), f.Device.ISA)
	precisions := "f32"
	if f.BF16 {
		precisions += ", bf16"
	}
	if f.Int8 {
		precisions += ", int8 (networks with bit widths)"
	}
	if !f.BF16 {
		precisions += "; bf16 needs AVX-512 BF16"
	}
	fmt.Fprintf(s.Out, "precisions        %s\n", precisions)
	fmt.Fprintf(s.Out, "library           %s, sources %s\n", gobind.Version(), gobind.Stamp())
	for _, line := range f.Backends {
		fmt.Fprintf(s.Out, "backend           %s\n", line)
	}
	for _, p := range f.CUDA {
		fmt.Fprintf(s.Out, "%-17s %s\n", p.Name, p.State)
	}
	for _, line := range f.Advice {
		fmt.Fprintf(s.Out, "to type           %s\n", line)
	}
}
