// Command networks compares known networks with the hand-made baseline: multiply-adds, parameters, memory, and the latency on the device at hand.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Networks) }
