package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"reflect"
	"time"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/metrics"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/supernet"
)

// Training is the training of one model: all that its end depends on, and where its state is kept.
type Training struct {
	Model supernet.Model // with the weights to begin with
	About Description

	Data                 data.Dataset
	Batch, Height, Width int
	// MicroBatch is how many of the Batch pictures go through the network at a time; 0 is all. Batch norm then takes the statistics of so many.
	MicroBatch int
	Augment    *data.AugmentConfig
	Schedule   Schedule
	Optimiser  Optimiser
	Sample     Sampler
	// ClassWeights weigh the pixels of each class in the loss; nil: all alike.
	ClassWeights []float32
	// HardPixels mines the main head's pixels; Sandwich says what the networks of a step learn from one another.
	HardPixels HardPixels
	Sandwich   Sandwich
	// ClassUniform is the share of samples chosen by class (data.LoaderConfig), and ClassIndex, which may be nil, Data's index for it.
	ClassUniform float64
	ClassIndex   *data.ClassIndex
	Seed         uint64
	// ConfigHash names what else the end depends on; a checkpoint with another one is refused.
	ConfigHash string

	// Folder holds the checkpoints and the metrics log. It must exist.
	Folder string
	// SaveEvery is the time between two checkpoints; the last step and a cancelled context save too.
	SaveEvery time.Duration
	// Check evaluates the model, Checks times at steps evenly spread, the last one included. It must leave the model as it was. With a moving average
	// the model has its weights meanwhile.
	Check  func(ctx context.Context) (Checked, error)
	Checks int

	Begin    func(step int) // before anything else, with the finished steps; may be nil
	Progress func(Event)    // after every step; may be nil
	Notice   func(string)   // what the user should know, such as a damaged checkpoint that was passed over; may be nil
}

// Checked is what an evaluation during a training found.
type Checked struct {
	Confusion *metrics.Confusion // of the network, or of a supernet's largest one
	Random    []float64          // mean IoU of networks drawn from a supernet at random
}

// Event is a finished step.
type Event struct {
	Step, Steps int // finished steps, and in all
	Loss        float64
	// PicturesPerSecond is the speed of the last step, data included.
	PicturesPerSecond float64
	MIoU              float64 // of the last check in this process; 0 before one
}

// Train trains to the end of the schedule, from the folder's checkpoint where it has one. A cancelled context saves a checkpoint and
// returns an error that wraps the context's and names the step.
func (w *Worker) Train(ctx context.Context, t Training) error {
	if err := t.Schedule.Validate(); err != nil {
		return err
	}
	c, step, err := t.resume()
	if err != nil {
		return err
	}
	average, err := w.resumeAverage(t, c)
	if err != nil {
		return err
	}
	defer average.close()
	if t.Begin != nil {
		t.Begin(step)
	}
	log, err := OpenLog(t.Folder, step, t.About.Classes.Names)
	if err != nil {
		return err
	}
	defer log.Close()
	w.tape.SetClipGradient(t.Optimiser.clipGradient())
	r := runningTraining{Training: t, worker: w, log: log, step: step, saved: time.Now(), logged: time.Now(), average: average}
	if r.checked, err = lastCheck(filepath.Join(t.Folder, MetricsFile)); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil {
		return err
	}
	if step < t.Schedule.Steps() {
		if r.loader, err = t.loader(step, itself); err != nil {
			return err
		}
		defer r.loader.Close()
		if err := r.run(ctx); err != nil {
			return err
		}
	}
	if average != nil { // it is what the training leaves
		return average.exchange()
	}
	return nil
}

// loader makes the training's batches from a step on. Their sizes are those of the steps that at returns for them.
func (t Training) loader(step int, at func(step int) int) (*data.Loader, error) {
	return data.NewLoader(t.Data, data.LoaderConfig{
		Batch: t.Batch, H: t.Height, W: t.Width, Augment: t.Augment, Seed: t.Seed, StartStep: step,
		ClassUniform: t.ClassUniform, Index: t.ClassIndex, Half: func(step int) bool { return t.Schedule.Small(at(step)) },
	})
}

// itself is the step that a training's batch is for.
func itself(step int) int { return step }

// resumeAverage returns the moving average of a training that goes on from a checkpoint, or begins where there is none; nil without one.
func (w *Worker) resumeAverage(t Training, c *Checkpoint) (*average, error) {
	if t.Optimiser.Average == 0 {
		return nil, nil
	}
	a, err := w.newAverage(t.Model, t.Optimiser.Average)
	if err != nil || c == nil {
		return a, err
	}
	if err := a.restore(*c); err != nil {
		a.close()
		return nil, misuse.Errorf("%s: %w", filepath.Join(t.Folder, CheckpointFile), err)
	}
	return a, nil
}

// lastCheck returns the step of a log's last evaluation.
func lastCheck(path string) (step int, err error) {
	records, err := ReadLog(path)
	for _, r := range records {
		if r.MIoU != nil {
			step = r.Step
		}
	}
	return step, err
}

// resume loads the folder's checkpoint into the model and returns it with its step; nil and 0 without one.
func (t Training) resume() (*Checkpoint, int, error) {
	c, notice, err := Load(t.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, misuse.Errorf("%w; remove %s to train afresh", err, t.Folder)
	}
	if notice != "" && t.Notice != nil {
		t.Notice(notice)
	}
	if c.Seed != t.Seed || c.ConfigHash != t.ConfigHash || c.Step > t.Schedule.Steps() {
		return nil, 0, misuse.Errorf("%s is of another training (seed %d, settings %s; this one has seed %d, settings %s): train in another folder",
			filepath.Join(t.Folder, CheckpointFile), c.Seed, c.ConfigHash, t.Seed, t.ConfigHash)
	}
	if c.Model.Kind != t.About.Kind || c.Model.Name != t.About.Name || !reflect.DeepEqual(c.Model.Arch, t.About.Arch) {
		return nil, 0, misuse.Errorf("%s is of another network: train in another folder", filepath.Join(t.Folder, CheckpointFile))
	}
	return &c, c.Step, c.stepping().Restore(t.Model)
}

type runningTraining struct {
	Training
	worker  *Worker
	loader  *data.Loader
	log     *Log
	step    int // finished
	checked int // step of the last evaluation
	saved   time.Time
	logged  time.Time
	loss    float64
	speed   float64  // pictures a second of the last step
	average *average // nil: none
	miou    float64
}

func (r *runningTraining) run(ctx context.Context) error {
	steps := r.Schedule.Steps()
	for r.step < steps {
		err := r.one(ctx)
		if err == nil {
			err = r.check(ctx)
		}
		if ctx.Err() != nil {
			if err := r.save(); err != nil {
				return err
			}
			return fmt.Errorf("stopped after step %d of %d, which is saved: %w", r.step, steps, ctx.Err())
		}
		if err != nil {
			return err
		}
		if r.Progress != nil {
			r.Progress(Event{Step: r.step, Steps: steps, Loss: r.loss, PicturesPerSecond: r.speed, MIoU: r.miou})
		}
		if r.step == steps || time.Since(r.saved) >= r.SaveEvery {
			if err := r.save(); err != nil {
				return err
			}
		}
	}
	return nil
}

// one makes a step.
func (r *runningTraining) one(ctx context.Context) error {
	b, err := r.loader.Next(ctx)
	if err != nil {
		return err
	}
	defer r.loader.Release(b)
	phase, within := r.Schedule.At(r.step)
	if phase > 0 && within == 0 { // each phase starts from the weights of the last one alone
		if err := r.worker.forgetMomentum(r.Model); err != nil {
			return err
		}
	}
	if within == 0 && r.Sample(r.step)[0].IsQuantised() {
		if err := r.fitQuantisers(ctx, r.worker); err != nil {
			return fmt.Errorf("calibration before step %d: %w", r.step+1, err)
		}
	}
	if r.loss, err = r.worker.step(&r.Training, r.step, b); err != nil {
		return fmt.Errorf("step %d of %d: %w", r.step+1, r.Schedule.Steps(), err)
	}
	r.step++
	if r.average != nil {
		if err := r.average.update(r.step); err != nil {
			return fmt.Errorf("moving average after step %d: %w", r.step, err)
		}
	}
	now := time.Now()
	r.speed = float64(r.Batch) / now.Sub(r.logged).Seconds()
	r.logged = now
	return r.log.Write(Record{Step: r.step, Loss: r.loss, LR: r.Schedule[phase].LearningRate(within), PicturesPerSecond: r.speed})
}

// check evaluates the model where an evaluation is due after the last finished step.
func (r *runningTraining) check(ctx context.Context) error {
	if r.Check == nil || r.step <= r.checked || !dueAt(r.step, r.Checks, r.Schedule.Steps()) {
		return nil
	}
	checked, err := r.evaluate(ctx)
	if err != nil {
		return fmt.Errorf("evaluation after step %d: %w", r.step, err)
	}
	miou, _ := checked.Confusion.MeanIoU()
	record := Record{Step: r.step, MIoU: &miou, Random: checked.Random}
	for _, v := range checked.Confusion.IoU() {
		if math.IsNaN(v) {
			record.ClassIoU = append(record.ClassIoU, nil)
			continue
		}
		record.ClassIoU = append(record.ClassIoU, &v)
	}
	r.miou, r.checked, r.logged = miou, r.step, time.Now()
	return r.log.Write(record)
}

// evaluate calls Check, on the moving average where there is one.
func (r *runningTraining) evaluate(ctx context.Context) (checked Checked, err error) {
	if err := r.worker.settle(); err != nil {
		return checked, err
	}
	if r.average != nil {
		if err := r.average.exchange(); err != nil {
			return checked, err
		}
		defer func() { err = errors.Join(err, r.average.exchange()) }()
	}
	return r.Check(ctx)
}

// dueAt spreads checks evenly over steps; the last one is at the last step.
func dueAt(step, checks, steps int) bool {
	return step*checks/steps > (step-1)*checks/steps
}

func (r *runningTraining) save() error {
	if err := r.worker.settle(); err != nil {
		return err
	}
	c, err := Capture(r.Model, true)
	if err != nil {
		return err
	}
	if r.average != nil {
		averages, err := r.average.capture()
		if err != nil {
			return err
		}
		c.Tensors = append(c.Tensors, averages...)
	}
	c.Model, c.Step, c.Seed, c.ConfigHash = r.About, r.step, r.Seed, r.ConfigHash
	if err := r.log.Sync(); err != nil {
		return err
	}
	if err := c.Save(r.Folder); err != nil {
		return err
	}
	r.saved = time.Now()
	return nil
}
