// Command ablate trains variants of one thing, each over several seeds, and says by how much they differ.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Ablate) }
