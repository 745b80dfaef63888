// Package gobind is the Go side of libsegnas: contexts, streams, buffers, tensor views, every operation and deployed networks. It is
// the project's only package with import "C" (bindings of vendors' libraries aside).
//
// # Building
//
// The package compiles ../csrc itself through its own .cc files, which are lists of #include lines, so that go build needs nothing but
// Go and a C++ compiler. They are several so that they compile side by side; each operation has one of its own because the operations'
// anonymous namespaces may share names. An edit in csrc is noticed (see package csrc). The build tag segnas_system links an installed
// libsegnas through pkg-config instead.
//
// # Memory and threads
//
// Tensors are plain views of Buffers, which live in C. Host slices are borrowed for the length of a call; C never keeps Go memory.
// A Context may be used by any goroutine. A Stream has one user at a time: a second one gets an error of status Busy. What has a Close
// method should be closed; a cleanup of the garbage collector is only the net below.
//
// Calls of operations allocate nothing on the Go heap unless they fail. The operations' formulas, layouts, aliasing rules and statuses
// are documented in csrc/include/segnas/segnas.h; a failed call returns an *Error.
package gobind
