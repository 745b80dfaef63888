package nn

// Mode is how batch norm takes its statistics, and whether gradients are recorded.
type Mode int

const (
	// Infer normalises by the running statistics and records nothing.
	Infer Mode = iota
	// Train normalises by the batch's own statistics, moves the running ones, and records for Backward.
	Train
	// TrainFrozen normalises by the running statistics as constants, and records for Backward.
	TrainFrozen

	recalibrate
	calibrate = recalibrate + 1<<20
)

// Calibrate normalises by the batch's own statistics, leaves the running ones alone, and makes every quantiser's clips, for all of its bit widths, the
// mean over the batches 0 to batch of those that fit its input best. It records nothing.
func Calibrate(batch int) Mode { return calibrate + Mode(batch) }

func (m Mode) calibrates() bool { return m >= calibrate }

// calibrated is how many batches were before.
func (m Mode) calibrated() int { return int(m - calibrate) }

// Recalibrate normalises by the batch's own statistics and makes the running ones the mean over the batches 0 to batch. It records
// nothing. Batch 0 forgets what was there before.
func Recalibrate(batch int) Mode { return recalibrate + Mode(batch) }

// Trains reports whether the mode records for Backward.
func (m Mode) Trains() bool { return m == Train || m == TrainFrozen }

// batchUpdate returns the share by which a batch's statistics move the running ones.
func (m Mode) batchUpdate() float32 {
	switch {
	case m.calibrates():
		return 0
	case m >= recalibrate:
		return 1 / float32(m-recalibrate+1)
	}
	return runningUpdate
}

// batchStatistics reports whether the batch's own statistics are used.
func (m Mode) batchStatistics() bool { return m == Train || m >= recalibrate }
