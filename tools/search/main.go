// Command search designs a network: it trains a supernet, measures the device, evolves architectures within a latency limit,
// trains the winner again and reports it beside hand-made networks. The same command goes on after an interruption.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Search) }
