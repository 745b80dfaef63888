// Package segnas_test holds the rules of the house: which folder may know which, and what every folder and file must be like.
package segnas_test

import (
	"bytes"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/segnas/segnas"

// tracked returns the repository's files, slashed and sorted; where there is no git, all files but those of builds and runs.
func tracked(t *testing.T) []string {
	t.Helper()
	if out, err := exec.Command("git", "ls-files").Output(); err == nil && len(out) > 0 {
		files := strings.Fields(string(out))
		return slices.DeleteFunc(files, func(name string) bool { _, err := os.Stat(name); return err != nil })
	}
	var files []string
	err := filepath.WalkDir(".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && slices.Contains([]string{".git", "build", "out", "runs", "vendor"}, name) {
			return fs.SkipDir
		}
		if err == nil && !entry.IsDir() {
			files = append(files, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// matching returns the tracked files with one of the given endings.
func matching(t *testing.T, endings ...string) []string {
	t.Helper()
	return slices.DeleteFunc(tracked(t), func(name string) bool {
		return !slices.ContainsFunc(endings, func(ending string) bool { return strings.HasSuffix(name, ending) })
	})
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestHouse_PureGoPackagesDoNotReachTheLibrary(t *testing.T) {
	for _, folder := range []string{"space", "quant", "graph", "search", "latency", "metrics", "report", "data", "misuse", "nvml"} {
		out, err := exec.Command("go", "list", "-deps", "./nas/"+folder+"/...").Output()
		if err != nil {
			t.Fatalf("go list -deps ./nas/%s/...: %v", folder, err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if dep == module+"/gobind" || dep == module+"/csrc" {
				t.Errorf("nas/%s depends on %s; it should build and pass its tests with CGO_ENABLED=0", folder, dep)
			}
		}
	}
}

// go-nvml links with flags that let a C function pass that is nowhere defined: such a program starts, and dies when it calls it. Only what
// looks for cards carries them; the library's own tests and benchmarks are linked without, and so is what stays without cgo.
func TestHouse_TheLibraryIsLinkedOnceWithoutNVML(t *testing.T) {
	for _, folder := range []string{"gobind", "bench", "nas/nn", "nas/latency", "nas/nvml"} {
		out, err := exec.Command("go", "list", "-deps", "-test", "./"+folder).Output()
		if err != nil {
			t.Fatalf("go list -deps -test ./%s: %v", folder, err)
		}
		for _, dep := range strings.Fields(string(out)) {
			if strings.HasPrefix(dep, "github.com/NVIDIA/") {
				t.Errorf("%s depends on %s; only nas/nvml/driver and what uses it may", folder, dep)
			}
		}
	}
}

func TestHouse_OnlyGobindImportsC(t *testing.T) {
	for _, name := range matching(t, ".go") {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			if spec.Path.Value == `"C"` && path.Dir(name) != "gobind" {
				t.Errorf(`%s imports "C"; only package gobind may`, name)
			}
		}
	}
}

var include = regexp.MustCompile(`(?m)^\s*#\s*include\s+"([^"]+)"`)

func TestHouse_OpsDoNotIncludeEachOther(t *testing.T) {
	for _, name := range matching(t, ".h", ".cc", ".inc") {
		parts := strings.Split(name, "/")
		if len(parts) < 4 || parts[0] != "csrc" || parts[1] != "ops" {
			continue
		}
		for _, match := range include.FindAllStringSubmatch(read(t, name), -1) {
			target := path.Join(path.Dir(name), match[1])
			if strings.HasPrefix(target, "csrc/ops/") && !strings.HasPrefix(target, "csrc/ops/"+parts[2]+"/") {
				t.Errorf("%s includes %s; what two ops share belongs in csrc/simd or csrc/core", name, target)
			}
		}
	}
}

func TestHouse_CUDASeesTheInterfaceAlone(t *testing.T) {
	allowed := regexp.MustCompile(`^(cuda/.*|csrc/include/segnas/(backend|segnas)\.h|csrc/ops/(\w+)/\w+\.h|gobind/stamp\.h)$`)
	for _, name := range matching(t, ".cu", ".cuh", ".h", ".cc") {
		if !strings.HasPrefix(name, "cuda/") {
			continue
		}
		for _, match := range include.FindAllStringSubmatch(read(t, name), -1) {
			if target := path.Join(path.Dir(name), match[1]); !allowed.MatchString(target) {
				t.Errorf("%s includes %s; cuda sees backend.h and the ops' descriptors only", name, target)
			}
		}
	}
}

func TestHouse_GobindCompilesEverySourceOnce(t *testing.T) {
	included := map[string]int{}
	for _, name := range matching(t, ".cc") {
		if path.Dir(name) != "gobind" {
			continue
		}
		for _, match := range include.FindAllStringSubmatch(read(t, name), -1) {
			included[path.Join("gobind", match[1])]++
		}
	}
	for _, name := range matching(t, ".cc") {
		if strings.HasPrefix(name, "csrc/") && !strings.HasPrefix(name, "csrc/test/") && included[name] != 1 {
			t.Errorf("%s is included by %d unity files in gobind, should be 1", name, included[name])
		}
	}
}

func TestHouse_EveryOpFolderIsComplete(t *testing.T) {
	files := tracked(t)
	seen := map[string]bool{}
	for _, name := range files {
		parts := strings.Split(name, "/")
		if len(parts) < 4 || parts[0] != "csrc" || parts[1] != "ops" || seen[parts[2]] {
			continue
		}
		op := parts[2]
		seen[op] = true
		for _, want := range []string{op + ".h", op + ".cc", op + ".inl.h", "ref.h", "cases.inc"} {
			if !slices.Contains(files, path.Join("csrc/ops", op, want)) {
				t.Errorf("csrc/ops/%s has no %s", op, want)
			}
		}
	}
}

func TestHouse_PluginTableHoldsEveryOperation(t *testing.T) {
	operation := regexp.MustCompile(`SEGNAS_API segnas_status segnas_(\w+)\(segnas_stream \*s,`)
	backend := read(t, "csrc/include/segnas/backend.h")
	for _, match := range operation.FindAllStringSubmatch(read(t, "csrc/include/segnas/segnas.h"), -1) {
		if !strings.Contains(backend, "(*"+match[1]+")(void *stream,") {
			t.Errorf("segnas_backend_ops lacks %s", match[1])
		}
	}
}

func TestHouse_FilesAreShort(t *testing.T) {
	limits := []struct {
		lines int
		match func(name string) bool
	}{
		{80, func(name string) bool { return path.Dir(path.Dir(name)) == "tools" && path.Base(name) == "main.go" }},
		{150, func(name string) bool { return path.Base(name) == "README.md" }},
		{500, func(name string) bool {
			return slices.Contains([]string{".go", ".cc", ".c", ".h", ".cu", ".cuh", ".sh"}, path.Ext(name))
		}},
	}
	for _, name := range tracked(t) {
		for _, limit := range limits {
			if !limit.match(name) {
				continue
			}
			if lines := strings.Count(read(t, name), "\n"); lines > limit.lines {
				t.Errorf("%s has %d lines, should have at most %d: split it by subject", name, lines, limit.lines)
			}
			break
		}
	}
}

func TestHouse_GoFunctionsAreShort(t *testing.T) {
	const most = 60
	for _, name := range matching(t, ".go") {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Body == nil {
				continue
			}
			if lines := set.Position(function.End()).Line - set.Position(function.Pos()).Line + 1; lines > most {
				t.Errorf("%s: %s has %d lines, should have at most %d", set.Position(function.Pos()), function.Name.Name, lines, most)
			}
		}
	}
}

func TestHouse_GoIsFormatted(t *testing.T) {
	for _, name := range matching(t, ".go") {
		source := []byte(read(t, name))
		if formatted, err := format.Source(source); err != nil || !bytes.Equal(source, formatted) {
			t.Errorf("%s: gofmt would change it (make fmt)", name)
		}
	}
}

// What belongs to one machine or to unfinished work stays out of the tree.
func TestHouse_SourcesSpeakOfTheProjectAlone(t *testing.T) {
	foreign := regexp.MustCompile(`(?i)/hom[e]/\w|/roo[t]/|/tm[p]/|/wor[k]/|https?://[^ ]*(proxy|registry|pypi)`)
	promise := regexp.MustCompile(`TO[D]O|FIX[M]E|X[X]X|HAC[K]`)
	for _, name := range tracked(t) {
		if name == "house_test.go" || slices.Contains([]string{".png", ".sum"}, path.Ext(name)) {
			continue
		}
		for i, line := range strings.Split(read(t, name), "\n") {
			if !strings.HasSuffix(name, "_test.go") && foreign.MatchString(line) {
				t.Errorf("%s:%d names a place of one machine: %s", name, i+1, strings.TrimSpace(line))
			}
			if promise.MatchString(line) {
				t.Errorf("%s:%d promises instead of doing: %s", name, i+1, strings.TrimSpace(line))
			}
		}
	}
}

// Pictures and scans that others own are not ours to pass on, and large files make every clone slow.
func TestHouse_TreeHoldsNoDataSets(t *testing.T) {
	for _, name := range tracked(t) {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > 1<<20 {
			t.Errorf("%s has %d bytes, should have at most 1 MiB", name, info.Size())
		}
		if slices.Contains([]string{".bin", ".label", ".segnas"}, path.Ext(name)) {
			t.Errorf("%s looks like data", name)
		}
	}
}

func TestHouse_ReadmesNameWhatExists(t *testing.T) {
	makefile := read(t, "Makefile")
	target := regexp.MustCompile("(?m)(?:^ {4}|`)make ([a-z0-9-]+)")
	tool := regexp.MustCompile(`\./((?:tools|bench|gobind|nas)(?:/[a-z]+)*)`)
	link := regexp.MustCompile(`\[[^\]]*\]\(([^)#:]+)\)`)
	for _, folder := range []string{".", "csrc", "cuda", "gobind", "nas", "bench", "tools"} {
		name := path.Join(folder, "README.md")
		text := read(t, name)
		for _, match := range target.FindAllStringSubmatch(text, -1) {
			if !regexp.MustCompile(`(?m)^` + match[1] + `:`).MatchString(makefile) {
				t.Errorf("%s: there is no make %s", name, match[1])
			}
		}
		for _, match := range tool.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(match[1]); err != nil {
				t.Errorf("%s: there is no ./%s", name, match[1])
			}
		}
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(folder, match[1])); err != nil {
				t.Errorf("%s: a link leads to %s, which is not there", name, match[1])
			}
		}
	}
}

// A command that nobody runs is wrong one day.
func TestHouse_ReadmeCommandsRunInCI(t *testing.T) {
	guard := read(t, ".ci/run")
	command := regexp.MustCompile(`(?m)^ {4}(?:(go run \./tools/\w+)|make (\w+)|(go test \./\.\.\.))`)
	for _, match := range command.FindAllStringSubmatch(read(t, "README.md"), -1) {
		found := match[1] != "" && strings.Contains(guard, match[1]) ||
			match[2] != "" && regexp.MustCompile(`make( --no-print-directory)? `+match[2]+`\b`).MatchString(guard) ||
			match[3] != "" && strings.Contains(guard, "./...")
		if !found {
			t.Errorf(".ci/run does not run README's %s", strings.TrimSpace(match[0]))
		}
	}
}
