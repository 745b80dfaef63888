// Command stamp writes gobind/stamp.h: the hash of the interface that libsegnas and its plug-ins share (segnas.h and backend.h), which
// both are compiled with and compare when they meet. Run it in the repository's root after a change of either header.
//
//	go run ./tools/stamp          write the file
//	go run ./tools/stamp --check  exit 1 when it is not current
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	check := flag.Bool("check", false, "write nothing; exit 1 when gobind/stamp.h is not current")
	flag.Parse()
	if err := run(".", *check); err != nil {
		fmt.Fprintln(os.Stderr, "stamp:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	want, err := header(root)
	if err != nil {
		return err
	}
	target := filepath.Join(root, "gobind", "stamp.h")
	have, err := os.ReadFile(target)
	if err == nil && string(have) == want {
		return nil
	}
	if check {
		return fmt.Errorf("%s is not current: run go run ./tools/stamp", target)
	}
	return os.WriteFile(target, []byte(want), 0o644)
}

// header returns what stamp.h should hold.
func header(root string) (string, error) {
	hash := sha256.New()
	for _, name := range []string{"segnas.h", "backend.h"} {
		content, err := os.ReadFile(filepath.Join(root, "csrc", "include", "segnas", name))
		if err != nil {
			return "", fmt.Errorf("run this in the repository's root: %w", err)
		}
		fmt.Fprintf(hash, "%s %d\n", name, len(content))
		hash.Write(content)
	}
	return fmt.Sprintf(`/* Written by go run ./tools/stamp. */
#ifndef SEGNAS_STAMP_H
#define SEGNAS_STAMP_H
/* Of segnas.h and backend.h: a plug-in of another interface is refused. */
#define SEGNAS_INTERFACE_HASH 0x%016xull
#endif
`, binary.BigEndian.Uint64(hash.Sum(nil))), nil
}
