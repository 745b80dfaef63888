// Command devices says which devices and backends were found, which are missing, and what to type to get them.
package main

import "github.com/segnas/segnas/nas/run"

func main() { run.Main(run.Devices) }
