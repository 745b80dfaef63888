package run

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/segnas/segnas/nas/nvml"
)

// Part is one thing that a run on a GPU needs.
type Part struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Missing bool   `json:"missing"`
	Type    string `json:"type,omitempty"` // what to do about it
}

// driverVersion is where NVIDIA's kernel driver says that it is loaded.
const driverVersion = "/proc/driver/nvidia/version"

// toolkits are where CUDA toolkits are installed, beside the PATH.
const toolkits = "/usr/local/cuda*/bin/nvcc"

// cudaParts finds what is there of the way from the sources to a GPU, in the order in which one gets it. The backends are the lines of
// gobind.DescribeBackends.
func cudaParts(backends []string) []Part {
	toolkit, plugin := toolkitPart(exec.LookPath, filepath.Glob), pluginPart(backends)
	if !plugin.Missing { // nothing is left to build
		toolkit.Missing, toolkit.Type = false, ""
	}
	return []Part{toolkit, plugin, driverPart(driverVersion), nvmlPart(openCards)}
}

func toolkitPart(look func(string) (string, error), glob func(string) ([]string, error)) Part {
	p := Part{Name: "CUDA toolkit"}
	if path, err := look("nvcc"); err == nil {
		p.State = path
		return p
	}
	p.Missing = true
	if found, _ := glob(toolkits); len(found) > 0 {
		p.State = found[len(found)-1] + ", which is not on PATH"
		p.Type = "PATH=" + filepath.Dir(found[len(found)-1]) + ":$PATH " + buildCommand() + "   builds the GPU backend"
		return p
	}
	p.State = "no nvcc on PATH"
	p.Type = "install the CUDA toolkit, 12.0 or later, and put its bin folder on PATH"
	if buildCommand() == makeCUDA {
		p.Type += "; or type NVCC=$(cuda/wheels.sh .venv/cuda) make cuda, which takes nvcc from Python's index"
	}
	return p
}

const makeCUDA = "make cuda"

// buildCommand builds the plug-in: in the source tree, or in an unpacked bundle, where build.sh lies over the programs.
func buildCommand() string {
	if program, err := os.Executable(); err == nil {
		script := filepath.Join(filepath.Dir(filepath.Dir(program)), "build.sh")
		if _, err := os.Stat(script); err == nil {
			return script
		}
	}
	return makeCUDA
}

// pluginPart reads the line on cuda: "cuda: no plug-in", "cuda: refused FILE: WHY", "cuda: no device: WHY" or "cuda: N devices".
func pluginPart(backends []string) Part {
	p := Part{Name: "plug-in"}
	for _, line := range backends {
		words, found := strings.CutPrefix(line, "cuda: ")
		if !found {
			continue
		}
		p.State = "libsegnas_cuda.so: " + words
		switch {
		case words == "no plug-in":
			p.State, p.Missing = "no libsegnas_cuda.so", true
			p.Type = buildCommand() + "   builds the GPU backend; SEGNAS_PLUGIN_DIR names another place of it"
		case strings.HasPrefix(words, "refused"):
			p.Missing, p.Type = true, buildCommand()+"   builds the GPU backend of this version"
		}
	}
	return p
}

func driverPart(version string) Part {
	text, err := os.ReadFile(version)
	if err != nil {
		return Part{Name: "NVIDIA driver", State: "not loaded: there is no " + version, Missing: true,
			Type: "install NVIDIA's driver (in a container: start it with --gpus all), on a machine with a GPU"}
	}
	first, _, _ := strings.Cut(string(text), "\n")
	return Part{Name: "NVIDIA driver", State: oneLine(first)}
}

func nvmlPart(open func() ([]nvml.Card, func(), error)) Part {
	p := Part{Name: "clocks (NVML)"}
	cards, release, err := open()
	if err != nil {
		p.State, p.Missing = err.Error(), true
		p.Type = "install libnvidia-ml.so.1 (NVIDIA's driver has it; a container needs NVIDIA_DRIVER_CAPABILITIES=compute,utility)   shows clocks and throttling while measuring"
		return p
	}
	defer release()
	var lines []string
	for _, c := range cards {
		line := c.Info().String()
		if r, err := c.Read(); err != nil {
			line += ": " + err.Error()
		} else {
			line += fmt.Sprintf(", SM %d of %d MHz, memory %d of %d MHz, %d C, %.0f W, held by: %v",
				r.SMMHz, c.Info().MaxSMMHz, r.MemoryMHz, c.Info().MaxMemoryMHz, r.Celsius, r.Watts, r.Reasons)
		}
		if !c.Info().Energy {
			line += "; no energy counter"
		}
		lines = append(lines, line)
	}
	p.State = strings.Join(lines, "; ")
	if len(cards) == 0 {
		p.State, p.Missing, p.Type = "no card", true, "look into nvidia-smi: the driver sees no GPU"
	}
	return p
}
