// Package misuse marks errors that the user of a tool can mend: a bad flag, a damaged file, a limit that cannot be met.
// Tools print such an error as one line and exit with status 2; every other error is a failure and exits with status 1.
package misuse

import (
	"errors"
	"fmt"
)

type misuseError struct{ err error }

func (e *misuseError) Error() string { return e.err.Error() }
func (e *misuseError) Unwrap() error { return e.err }

// Errorf formats like fmt.Errorf and marks the result as misuse. The text names the file, what was wrong and what would be right.
func Errorf(format string, args ...any) error {
	return &misuseError{fmt.Errorf(format, args...)}
}

// Is reports whether err, or an error that it wraps, was marked by Errorf.
func Is(err error) bool {
	var m *misuseError
	return errors.As(err, &m)
}
