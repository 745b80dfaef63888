// Command segment labels every pixel of a picture, or of all pictures of a folder, with a trained network.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Segment) }
