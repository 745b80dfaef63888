// Command import makes a checkpoint of a PyTorch state_dict, and a state_dict of a checkpoint.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Import) }
