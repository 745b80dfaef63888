// Command eval evaluates a checkpoint on a split of a data set: mIoU and the IoU of every class.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Evaluate) }
