// Command profile fills the latency table of the device at hand, and verifies its predictions with --verify.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Profile) }
