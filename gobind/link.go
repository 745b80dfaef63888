package gobind

/*
#cgo CFLAGS: -I${SRCDIR} -I${SRCDIR}/../csrc/include
#cgo !segnas_system CXXFLAGS: -I${SRCDIR}/../csrc/include -O3 -g0 -std=c++20 -Wall -Wextra -fvisibility=hidden -fvisibility-inlines-hidden
#cgo !segnas_system LDFLAGS: -lpthread -ldl
#cgo segnas_system pkg-config: segnas
#include "call.h"
*/
import "C"

import (
	"strings"
	"unsafe"
)

// Version returns the library's version, such as "0.1.0".
func Version() string { return C.GoString(C.segnas_version()) }

// AvailableISAs returns the instruction sets that this build has and this machine runs, the best last.
func AvailableISAs() []string {
	const size = 128
	text := (*C.char)(C.calloc(size, 1))
	defer C.free(unsafe.Pointer(text))
	C.segnas_available_isas(text, size)
	return strings.Fields(C.GoString(text))
}

// DescribeBackends says in one or more lines which backends were looked for, where, and why each is or is not there. The given folder is
// looked at first; it may be empty, as in Options.
func DescribeBackends(given string) string {
	const size = 16 << 10
	text := (*C.char)(C.calloc(size, 1))
	defer C.free(unsafe.Pointer(text))
	dir, free := optionalString(pluginDir(given))
	defer free()
	C.segnas_describe_backends(dir, text, size)
	return C.GoString(text)
}

// optionalString is NULL for the empty string.
func optionalString(s string) (text *C.char, free func()) {
	if s == "" {
		return nil, func() {}
	}
	text = C.CString(s)
	return text, func() { C.free(unsafe.Pointer(text)) }
}
