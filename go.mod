module github.com/segnas/segnas

go 1.24.0

require gonum.org/v1/gonum v0.17.0

require golang.org/x/sync v0.16.0

require google.golang.org/protobuf v1.36.11

require github.com/NVIDIA/go-nvml v0.13.0-1

require github.com/BurntSushi/toml v1.6.0 // indirect

require (
	codeberg.org/go-fonts/liberation v0.5.0 // indirect
	codeberg.org/go-latex/latex v0.2.0 // indirect
	codeberg.org/go-pdf/fpdf v0.11.1 // indirect
	git.sr.ht/~sbinet/gg v0.7.0 // indirect
	github.com/ajstarks/svgo v0.0.0-20211024235047-1546f124cd8b // indirect
	github.com/golang/freetype v0.0.0-20170609003504-e2365dfdc4a0 // indirect
	github.com/klauspost/cpuid/v2 v2.3.0
	github.com/spf13/pflag v1.0.10
	golang.org/x/image v0.30.0
	golang.org/x/sys v0.35.0 // indirect
	golang.org/x/term v0.34.0
	golang.org/x/text v0.28.0 // indirect
	gonum.org/v1/plot v0.17.0
)
