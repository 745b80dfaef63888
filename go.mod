module github.com/segnas/segnas

go 1.24.0

require gonum.org/v1/gonum v0.17.0

require (
	github.com/klauspost/cpuid/v2 v2.3.0 // indirect
	github.com/spf13/pflag v1.0.10 // indirect
	golang.org/x/sys v0.35.0 // indirect
	golang.org/x/term v0.34.0 // indirect
)
