package nvml

// Fake is a card that a test plays.
type Fake struct {
	About Info
	// Next is asked for each reading.
	Next func() (Reading, error)
	// Readings counts them.
	Readings int
}

// Info implements Card.
func (f *Fake) Info() Info { return f.About }

// Read implements Card.
func (f *Fake) Read() (Reading, error) {
	f.Readings++
	return f.Next()
}
