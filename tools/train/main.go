// Command train trains one network from random weights. The same command goes on after an interruption.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Train) }
