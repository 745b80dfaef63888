package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/segnas/segnas/nas/data"
	"github.com/segnas/segnas/nas/latency"
	"github.com/segnas/segnas/nas/misuse"
	"github.com/segnas/segnas/nas/search"
	"github.com/segnas/segnas/nas/space"
	"github.com/segnas/segnas/nas/supernet"
	"github.com/segnas/segnas/nas/train"
)

const (
	// saveEvery bounds what a kill can cost.
	saveEvery = 15 * time.Second
	// keepBytes bounds the memory of pictures that the search goes through for every network.
	keepBytes = 1 << 30
	// evaluationBatch is the number of pictures evaluated at a time.
	evaluationBatch = 8
	// balancePictures is the number of training pictures whose classes are counted at most.
	balancePictures = 256
)

// pipeline is a run under way: the pieces that its stages share.
type pipeline struct {
	cfg     Config
	folder  *folder
	shared  string // the folder of an ablation's folder, which holds what ablations share
	machine *machine
	worker  *train.Worker
	data    data.Splits
	net     space.Network
	streams Streams

	from       *source            // whose supernet is searched; nil for the run's own
	accuracies *search.Accuracies // of the supernet's networks
	scored     string             // where the search's scores came from, in words

	classWeights []float32        // nil: all alike
	classIndex   *data.ClassIndex // of TrainAll, for class-uniform sampling; nil without
	memory       string           // the plan's line on it

	table     *latency.Table
	predictor *latency.Predictor
	space     search.Profile // on this device
	limits    []search.Limit // of the search
	limitMS   float64        // the latency that was asked for, which the search's limit lies below
}

// stageTime is what a stage took, in all processes that worked on it.
type stageTime struct {
	Name   string        `json:"name"`
	Took   time.Duration `json:"took_ns"`
	Detail string        `json:"detail"`
}

// stage runs a part of the run and adds its time to the run folder's account.
func (p *pipeline) stage(name string, part func() (detail string, err error)) error {
	began := time.Now()
	detail, err := part()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	times, err := p.stageTimes()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(times, func(s stageTime) bool { return s.Name == name })
	if i < 0 {
		i = len(times)
		times = append(times, stageTime{Name: name})
	}
	times[i].Took += time.Since(began)
	times[i].Detail = cmp.Or(detail, times[i].Detail)
	return writeJSON(p.folder.file(timesFile), account{times})
}

// account is the run folder's times.json.
type account struct {
	Stages []stageTime `json:"stages"`
}

// stageTimes reads the run folder's account.
func (p *pipeline) stageTimes() ([]stageTime, error) {
	var a account
	_, err := finished(p.folder.file(timesFile), &a)
	return a.Stages, err
}

// fillTable measures what the folder's latency table lacks, after it was begun with the given one, if any.
func (p *pipeline) fillTable(ctx context.Context) error {
	setup, err := p.setup()
	if err != nil {
		return err
	}
	if err := p.bringTable(setup); err != nil {
		return err
	}
	if p.table, err = latency.Open(p.folder.file(tableFile), setup); err != nil {
		return err
	}
	if n := len(p.table.Missing(p.cfg.Space)); n > 0 && p.folder.has(traceFile) { // measured anew, costs would no longer be those in the trace
		return misuse.Errorf("%s lacks %d entries that the search in %s was made with: it was cut off, or is of another version of the library; "+
			"restore it, or remove both to measure and search afresh", p.table.Path(), n, p.folder.file(traceFile))
	}
	if err := fillTable(ctx, p.table, p.machine, p.cfg.Space, p.cfg.TableRounds, p.streams); err != nil {
		return err
	}
	if p.predictor, err = p.table.Predictor(); err != nil {
		return err
	}
	if p.limits, p.limitMS, err = limits(p.cfg, p.net, p.machine, p.predictor); err != nil {
		return err
	}
	p.space, err = profileSpace(p.cfg.Space, p.predictor, p.limits, p.rng(profiledNetworks))
	return err
}

// fillTable measures what a table lacks, with progress.
func fillTable(ctx context.Context, table *latency.Table, m *machine, sp space.Space, rounds int, s Streams) error {
	if len(table.Missing(sp)) == 0 {
		return nil
	}
	bar := NewProgress(s.Err, "table", "turns", 0, 0)
	if _, err := table.Fill(ctx, m.device(sp), sp, withEnergy(measuring(bar, rounds))); err != nil {
		return err
	}
	bar.Finish(fmt.Sprintf("%d entries", len(table.Entries())))
	return nil
}

// about describes a model for its checkpoints.
func (p *pipeline) about(kind train.ModelKind, a *space.Arch) train.Description {
	d := train.Description{
		Kind: kind, Network: p.net, Arch: a, Height: p.cfg.Height, Width: p.cfg.Width,
		Dataset: p.data.Train.Name(), Classes: described(p.data.Train.Classes()),
	}
	if a == nil {
		d.Space = &p.cfg.Space
	}
	return d
}

// job is one training of the run.
type job struct {
	name     string // of the stage and its folder
	model    supernet.Model
	about    train.Description
	schedule train.Schedule
	sample   train.Sampler
	data     data.Dataset
	check    func(context.Context) (train.Checked, error) // nil for none
	checks   int
}

// training returns a job's training, but for the folder and what is reported.
func (p *pipeline) training(j job) train.Training {
	return train.Training{
		Model: j.model, About: j.about, Data: j.data, Batch: p.cfg.Batch, Height: p.cfg.Height, Width: p.cfg.Width,
		Augment: p.cfg.Augmentation.config(), Schedule: j.schedule, Optimiser: p.cfg.Optimiser, Sample: j.sample,
		Seed: p.cfg.Seed, ConfigHash: p.hash(), SaveEvery: saveEvery, Check: j.check, Checks: j.checks,
		ClassWeights: p.classWeights, MicroBatch: p.cfg.MicroBatch, HardPixels: p.cfg.HardPixels, Sandwich: p.cfg.Sandwich, ClassUniform: p.cfg.ClassUniform,
		ClassIndex: p.classIndex.First(j.data.Len()),
	}
}

// balance counts the classes of the training pictures, or of as many as tell enough.
func (p *pipeline) balance(ctx context.Context) (err error) {
	feed := train.All{
		Data: firstOf{p.data.Train, min(p.data.Train.Len(), balancePictures)}, Batch: evaluationBatch, Height: p.cfg.Height, Width: p.cfg.Width,
	}
	if p.classWeights, err = train.Balance(ctx, feed, p.net.Classes, p.cfg.Balance); err != nil {
		return err
	}
	return p.indexClasses(ctx)
}

// train brings a model to the end of its training, from wherever the run folder says that it is.
func (p *pipeline) train(ctx context.Context, j job) error {
	t := p.training(j)
	var err error
	if t.Folder, err = p.folder.sub(j.name); err != nil {
		return err
	}
	var bar *Progress
	t.Begin = func(step int) {
		bar = NewProgress(p.streams.Err, cmp.Or(j.name, "train"), "steps", step, j.schedule.Steps())
	}
	note := ""
	t.Progress = func(e train.Event) {
		note = fmt.Sprintf("loss %.3f", e.Loss)
		if e.MIoU > 0 {
			note += fmt.Sprintf(", mIoU %.1f %%", 100*e.MIoU)
		}
		bar.Set(e.Step, fmt.Sprintf("%.0f pictures/s, %s", e.PicturesPerSecond, note))
	}
	t.Notice = func(text string) { fmt.Fprintln(p.streams.Err, text) }
	if err := p.worker.Train(ctx, t); err != nil {
		return err
	}
	if note != "" { // steps were made
		bar.Finish(fmt.Sprintf("%.1f pictures/s, data included; %s", bar.Rate()*float64(p.cfg.Batch), note))
	}
	return nil
}

// feeds returns the fixed batches over which statistics are recalibrated, and all of a data set.
func (p *pipeline) feeds(calibrate, evaluate data.Dataset) (recalibration, evaluation train.Feed) {
	recalibration = train.Some{
		Data: calibrate, Batch: p.cfg.Batch, Height: p.cfg.Height, Width: p.cfg.Width, Seed: p.cfg.Seed, Batches: p.cfg.RecalibrationBatches,
	}
	return recalibration, p.all(evaluate)
}

// all feeds a whole data set.
func (p *pipeline) all(ds data.Dataset) train.Feed {
	return train.All{Data: ds, Batch: evaluationBatch, Height: p.cfg.Height, Width: p.cfg.Width}
}

// supernetName is the supernet's stage and folder.
const supernetName = "supernet"

// rng is the random source of a model's first weights.
func (p *pipeline) rng(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(p.cfg.Seed, stream)) }

// Streams of random numbers, apart from those of nas/data and nas/train.
const (
	supernetWeights = 0x5e70 + iota
	baselineWeights
	verifyNetworks
	exportedWeights
	verifiedPicture
	checkedNetworks
	ablationNetworks
	profiledNetworks
)

// newSupernet makes the supernet with its first weights.
func (p *pipeline) newSupernet() (supernet.Model, error) {
	return p.about(p.cfg.Supernet, nil).Build(p.machine.context, p.rng(supernetWeights))
}

// supernet trains the supernet, or loads it when it is trained already.
func (p *pipeline) supernet(ctx context.Context) (supernet.Model, error) {
	if err := p.bringSupernet(); err != nil {
		return nil, err
	}
	m, err := p.newSupernet()
	if err != nil {
		return nil, err
	}
	evaluator, err := p.evaluator(ctx, m)
	if err == nil {
		j := p.supernetJob(m)
		j.check = func(ctx context.Context) (train.Checked, error) { return p.checkSupernet(ctx, evaluator) }
		err = p.train(ctx, j)
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// supernetJob is the supernet's training but for its evaluations.
func (p *pipeline) supernetJob(m supernet.Model) job {
	return job{
		name: supernetName, model: m, about: p.about(p.cfg.Supernet, nil), schedule: p.cfg.Shrinking,
		sample: train.Draw(p.cfg.Space, p.cfg.Shrinking, p.cfg.Sandwich, p.cfg.Seed), data: p.data.Train, checks: p.cfg.Checks,
	}
}

// checkSupernet evaluates the largest network, and some drawn at random, the same ones every time: in floating point until bit widths are learned.
func (p *pipeline) checkSupernet(ctx context.Context, evaluator *train.Evaluator) (c train.Checked, err error) {
	sp := p.cfg.Space
	if fitted, err := train.Fitted(evaluator.Supernet); err != nil {
		return c, err
	} else if !fitted {
		sp = sp.Float()
	}
	if c.Confusion, err = evaluator.Confusion(ctx, sp.Largest()); err != nil {
		return c, err
	}
	rng := p.rng(checkedNetworks)
	for range p.cfg.RandomChecks {
		score, err := evaluator.Evaluate(ctx, sp.Sample(rng))
		if err != nil {
			return c, err
		}
		c.Random = append(c.Random, score.MIoU)
	}
	return c, nil
}

// evaluator scores the supernet's networks on the search's validation pictures.
func (p *pipeline) evaluator(ctx context.Context, super supernet.Model) (*train.Evaluator, error) {
	recalibration, validation := p.feeds(p.data.Train, p.data.SearchVal)
	var err error
	if recalibration, err = train.Keep(ctx, recalibration, keepBytes); err != nil {
		return nil, err
	}
	if validation, err = train.Keep(ctx, validation, keepBytes); err != nil {
		return nil, err
	}
	return &train.Evaluator{Worker: p.worker, Supernet: super, Recalibration: recalibration, Clips: p.cfg.RecalibrateClips, Validation: validation}, nil
}

// search evolves architectures within the limits.
func (p *pipeline) search(ctx context.Context, super supernet.Model) (*search.Result, error) {
	evaluator, err := p.evaluator(ctx, super)
	if err != nil {
		return nil, err
	}
	cached, err := p.cached(ctx, evaluator)
	if err != nil {
		return nil, err
	}
	cfg := p.cfg.Search
	if cfg.Known, err = p.known(cached); err != nil {
		return nil, err
	}
	cfg.Seed, cfg.TracePath = p.cfg.Seed, p.folder.file(traceFile)
	cfg.Given = p.cfg.handMade()
	if err := p.overFront(&cfg); err != nil {
		return nil, err
	}
	if cfg.Fingerprint, err = fingerprint(p.folder.file(supernetName, train.CheckpointFile), p.hash()); err != nil {
		return nil, err
	}
	var bar *Progress
	cfg.Progress = func(e search.Event) {
		if bar == nil {
			done := e.Done - 1
			bar = NewProgress(p.streams.Err, "search", "networks", done, e.Total)
		}
		bar.Set(e.Done, fmt.Sprintf("best mIoU %.1f %%", 100*e.Best.MIoU))
	}
	result, err := search.Run(ctx, cfg, p.cfg.Space, cached, p.limits)
	if err != nil {
		if errors.Is(err, context.Canceled) && result != nil {
			err = fmt.Errorf("stopped after %d of %d networks, which are saved: %w", len(result.All), cfg.Evaluations(), err)
		}
		return nil, err
	}
	if bar != nil {
		bar.Finish(fmt.Sprintf("best mIoU %.1f %%", 100*result.Best.MIoU))
	}
	p.scored = scoresText(result, cached)
	return result, nil
}
