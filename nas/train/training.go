package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"reflect"
	"time"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/supernet"
)

// MetricsFile is the name of the metrics log in a training's folder.
const MetricsFile = "metrics.jsonl"

// Training is the training of one model: all that its end depends on, and where its state is kept.
type Training struct {
	Model supernet.Model // with the weights to begin with
	About Description

	Data                 data.Dataset
	Batch, Height, Width int
	Augment              *data.AugmentConfig
	Schedule             Schedule
	Optimiser            Optimiser
	Sample               Sampler
	// ClassWeights weigh the pixels of each class in the loss; nil: all alike.
	ClassWeights []float32
	Seed         uint64
	// ConfigHash names what else the end depends on; a checkpoint with another one is refused.
	ConfigHash string

	// Folder holds the checkpoints and the metrics log. It must exist.
	Folder string
	// SaveEvery is the time between two checkpoints; the last step and a cancelled context save too.
	SaveEvery time.Duration
	// Check evaluates the model, Checks times at steps evenly spread, the last one included. It must leave the model as it was.
	Check  func(ctx context.Context) (miou float64, err error)
	Checks int

	Begin    func(step int) // before anything else, with the finished steps; may be nil
	Progress func(Event)    // after every step; may be nil
	Notice   func(string)   // what the user should know, such as a damaged checkpoint that was passed over; may be nil
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
	step, err := t.resume()
	if err != nil {
		return err
	}
	if t.Begin != nil {
		t.Begin(step)
	}
	path := filepath.Join(t.Folder, MetricsFile)
	log, err := OpenLog(path, step)
	if err != nil {
		return err
	}
	defer log.Close()
	r := runningTraining{Training: t, worker: w, log: log, step: step, saved: time.Now(), logged: time.Now()}
	if r.checked, err = lastCheck(path); err != nil {
		return err
	}
	if err := r.check(ctx); err != nil || step == t.Schedule.Steps() {
		return err
	}
	r.loader, err = data.NewLoader(t.Data, data.LoaderConfig{
		Batch: t.Batch, H: t.Height, W: t.Width, Augment: t.Augment, Seed: t.Seed, StartStep: step,
	})
	if err != nil {
		return err
	}
	defer r.loader.Close()
	return r.run(ctx)
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

// resume loads the folder's checkpoint into the model and returns its step; 0 without one.
func (t Training) resume() (int, error) {
	c, notice, err := Load(t.Folder)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, misuse.Errorf("%w; remove %s to train afresh", err, t.Folder)
	}
	if notice != "" && t.Notice != nil {
		t.Notice(notice)
	}
	if c.Seed != t.Seed || c.ConfigHash != t.ConfigHash || c.Step > t.Schedule.Steps() {
		return 0, misuse.Errorf("%s is of another training (seed %d, settings %s; this one has seed %d, settings %s): train in another folder",
			filepath.Join(t.Folder, CheckpointFile), c.Seed, c.ConfigHash, t.Seed, t.ConfigHash)
	}
	if c.Model.Kind != t.About.Kind || !reflect.DeepEqual(c.Model.Arch, t.About.Arch) {
		return 0, misuse.Errorf("%s is of another network: train in another folder", filepath.Join(t.Folder, CheckpointFile))
	}
	return c.Step, c.Restore(t.Model)
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
	speed   float64 // pictures a second of the last step
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
	if r.loss, err = r.worker.step(&r.Training, r.step, b); err != nil {
		return fmt.Errorf("step %d of %d: %w", r.step+1, r.Schedule.Steps(), err)
	}
	r.step++
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
	if err := r.worker.settle(); err != nil {
		return err
	}
	miou, err := r.Check(ctx)
	if err != nil {
		return fmt.Errorf("evaluation after step %d: %w", r.step, err)
	}
	r.miou, r.checked, r.logged = miou, r.step, time.Now()
	return r.log.Write(Record{Step: r.step, MIoU: &miou})
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
	c.Model, c.Step, c.Seed, c.ConfigHash = r.About, r.step, r.Seed, r.ConfigHash
	if err := c.Save(r.Folder); err != nil {
		return err
	}
	r.saved = time.Now()
	return nil
}
