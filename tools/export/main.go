// Command export writes a network as an ONNX model, for other runtimes.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Export) }
