// Command submit labels all pictures of a split at their own size and writes the label pictures that a benchmark's server takes.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Submit) }
