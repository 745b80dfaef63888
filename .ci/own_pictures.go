//go:build ignore

// Writes a few drawn scenes as a folder of pictures and labels, in the layout that users give their own in.
//
//	go run .ci/own_pictures.go DIR
package main

import (
	"fmt"
	"os"

	"github.com/segnas/segnas/nas/data"
)

func main() {
	scenes, err := data.Scenes(data.ScenesConfig{H: 72, W: 120, Seed: 3, Train: 8, SearchVal: 2, Val: 2})
	if err == nil {
		err = data.WriteFolder(os.Args[1], scenes, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "own_pictures:", err)
		os.Exit(1)
	}
}
