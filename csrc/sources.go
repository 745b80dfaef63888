// Package csrc carries the C++ sources of libsegnas.
//
// Package gobind compiles them, but Go's build cache looks only at a package's own files, and go mod vendor copies only folders
// that belong to a package. Embedding the sources in a package that gobind imports cures both: an edit changes this package, so
// gobind is compiled again, and vendoring copies what is embedded.
package csrc

import "embed"

// Sources holds everything that libsegnas is built from, and no more: the operations' ref.h and cases.inc belong to the tests. A program
// that does not look at it does not carry it.
//
//go:embed core/*.cc core/*.h include/segnas/*.h isa/*.cc isa/*.h model/*.cc model/*.h simd/*.h train/*.cc train/*[^f].h
//go:embed ops/*/*.cc ops/*/*[^f].h
var Sources embed.FS
