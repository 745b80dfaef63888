//go:build segnas_system

package gobind

// Stamp names the library that this program runs with.
func Stamp() string { return "system libsegnas " + Version() }

// CheckStamp has nothing to compare an installed library with.
func CheckStamp() error { return nil }
