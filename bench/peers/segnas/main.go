// Command segnas is the worker for this project's own side of the comparison with other runtimes: it answers the requests that
// ../README.md describes, one JSON object a line.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/segnas/segnas/gobind"
)

// request is one line of the driver's. Which fields count is Do's to say.
type request struct {
	Do        string `json:"do"`
	Work      string `json:"work"`
	Arch      string `json:"arch"`
	Seed      uint64 `json:"seed"`
	Classes   int    `json:"classes"`
	Batch     int    `json:"batch"`
	Height    int    `json:"height"`
	Width     int    `json:"width"`
	Threads   int    `json:"threads"`
	Precision string `json:"precision"`
	Device    string `json:"device"` // empty: cpu
	Output    string `json:"output"`
	Picture   string `json:"picture"` // file of float32 [Batch,Height,Width,3]
	Labels    string `json:"labels"`  // file of uint8 [Batch,Height,Width], to train with
	Path      string `json:"path"`    // file to write
	Warm      int    `json:"warm"`
	Runs      int    `json:"runs"`
	Peak      bool   `json:"peak"`
}

type reply map[string]any

// isa caps the instruction set of each precision that this side offers; empty is the machine's best.
var isa = map[string]string{"fp32": "", "fp32-avx2": "avx2", "bf16": "", "fp16": "", "int8": ""}

var precisions = []string{"fp32", "fp32-avx2", "bf16", "fp16", "int8"}

// lower are the precisions below float32.
var lower = map[string]gobind.Precision{"bf16": gobind.BFloat16, "fp16": gobind.Float16, "int8": gobind.Int8}

// skip is a job that cannot be done here; its text is the reason.
type skip string

func (s skip) Error() string { return string(s) }

// work is what is timed.
type work interface {
	run() error
	// answer writes the last run's output to a file.
	answer(path string) (reply, error)
}

// device is work that a GPU's own clock can time: without the copies of its input and output.
type device interface {
	// onDevice returns what the last run took there, 0 where there is no such clock.
	onDevice() time.Duration
}

type server struct {
	work   work
	before float64
}

func main() {
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "failed: %v\n", err)
		os.Exit(1)
	}
}

// serve answers requests until the input ends.
func serve(in io.Reader, out io.Writer) error {
	debug.SetGCPercent(400) // what is timed makes no garbage; loading does
	lines, encoder := bufio.NewScanner(in), json.NewEncoder(out)
	var s server
	for lines.Scan() {
		if err := encoder.Encode(s.reply(lines.Bytes())); err != nil {
			return err
		}
	}
	return lines.Err()
}

func (s *server) reply(line []byte) reply {
	var q request
	err := json.Unmarshal(line, &q)
	var r reply
	if err == nil {
		r, err = s.do(&q)
	}
	if reason, ok := err.(skip); ok {
		return reply{"skip": string(reason)}
	}
	if err != nil {
		return reply{"error": strings.Join(strings.Fields(err.Error()), " ")}
	}
	return r
}

func (s *server) do(q *request) (reply, error) {
	switch q.Do {
	case "about":
		return reply{"version": gobind.Version(), "precisions": precisions, "stamp": gobind.Stamp(), "isas": gobind.AvailableISAs()}, nil
	case "export":
		return exported(q)
	case "parameters":
		return parameters(q)
	case "load":
		return s.load(q)
	case "memory":
		return reply{"peak_mb": status("VmHWM"), "before_mb": s.before}, nil
	}
	if s.work == nil {
		return nil, fmt.Errorf("%q before anything is loaded", q.Do)
	}
	switch q.Do {
	case "answer":
		if err := s.work.run(); err != nil {
			return nil, err
		}
		return s.work.answer(q.Path)
	case "time":
		return s.time(q)
	}
	return nil, fmt.Errorf("request %q is not known", q.Do)
}

func (s *server) load(q *request) (reply, error) {
	cap, ok := isa[q.Precision]
	if !ok {
		return nil, skip("has no " + q.Precision)
	}
	ctx, err := gobind.NewContext(gobind.Options{Threads: q.Threads, ISA: cap, Device: q.Device})
	if gobind.StatusOf(err) == gobind.BackendMissing {
		return nil, skip(err.Error())
	}
	if err != nil {
		return nil, err
	}
	if cap != "" && ctx.ISA() != cap {
		return nil, skip("this machine has no " + cap)
	}
	if p, ok := lower[q.Precision]; ok && (!ctx.Runs(p) || (q.Work == "train" && (ctx.Device() == "cpu" || p == gobind.Int8))) {
		return nil, skip("has no " + q.Precision + map[bool]string{true: " training", false: ""}[q.Work == "train"] + " on this device")
	}
	open := openInference
	if q.Work == "train" {
		open = openTraining
	}
	if s.work, err = open(ctx, q, s); err == nil {
		err = s.work.run()
	}
	if gobind.StatusOf(err) == gobind.NoKernel {
		return nil, skip(err.Error())
	}
	if err != nil {
		return nil, err
	}
	if ctx.Device() != "cpu" {
		return reply{"variant": ctx.Device()}, nil
	}
	return reply{"variant": ctx.ISA()}, nil
}

// settle collects what loading left behind and notes the resident memory: what comes now is the work's own.
func (s *server) settle() {
	debug.FreeOSMemory()
	s.before = status("VmRSS")
}

func (s *server) time(q *request) (reply, error) {
	for range q.Warm {
		if err := s.work.run(); err != nil {
			return nil, err
		}
	}
	if q.Peak {
		forgetPeak()
	}
	ms := make([]float64, q.Runs)
	for i := range ms {
		begin := time.Now()
		if err := s.work.run(); err != nil {
			return nil, err
		}
		ms[i] = time.Since(begin).Seconds() * 1e3
		if d, ok := s.work.(device); ok && d.onDevice() > 0 {
			ms[i] = d.onDevice().Seconds() * 1e3
		}
	}
	runtime.KeepAlive(s)
	return reply{"ms": ms}, nil
}

// status returns a figure of /proc/self/status in MB, 0 where there is none.
func status(field string) float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes float64
		if n, _ := fmt.Sscanf(line, field+": %f kB", &kilobytes); n == 1 {
			return kilobytes / 1024
		}
	}
	return 0
}

// forgetPeak makes the peak of the resident memory count anew. Where the system does not let it, the peak includes loading.
func forgetPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }
