package gobind

import "errors"

// Status says what kind of failure an Error is.
type Status int

// The statuses of segnas.h.
const (
	OK              Status = iota
	InvalidArgument        // a shape, dtype, stride or value that the call does not take
	OutOfMemory
	NoKernel       // legal, but no kernel of this backend does it
	Busy           // the stream or session is in use by another goroutine
	BackendMissing // the plug-in or its device is not there
	BackendFailed
	Internal
)

// Error is a refusal or failure of libsegnas.
type Error struct {
	Status Status
	Text   string // one line
}

func (e *Error) Error() string { return e.Text }

// StatusOf returns the status of the *Error that err is or wraps, OK for nil, and Internal for any other error.
func StatusOf(err error) Status {
	if err == nil {
		return OK
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Status
	}
	return Internal
}
