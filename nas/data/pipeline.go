package data

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// pipeline fills batches on worker goroutines and hands them out in order.
type pipeline struct {
	ready  chan *Batch   // in order, filled or being filled; closed after the last
	jobs   chan job      // slots to be filled
	stop   chan struct{} // closed by close
	ended  sync.WaitGroup
	once   sync.Once
	due    *Batch // the next to hand out, once it is full; the consumer's alone
	failed error  // of the batch that is due; the consumer's alone
	mu     sync.Mutex
	free   []*Batch
	work   atomic.Int64 // nanoseconds
}

type job struct {
	b            *Batch
	slot, sample int
}

// startPipeline runs ahead by up to prefetch batches. prepare readies the next batch and lists the samples that fill it, none
// after the last; worker makes a function that fills a slot, for one goroutine.
func startPipeline(workers, prefetch int, prepare func(*Batch) []int, worker func() func(b *Batch, slot, sample int) error) *pipeline {
	p := &pipeline{ready: make(chan *Batch, prefetch), jobs: make(chan job), stop: make(chan struct{})}
	p.ended.Add(1 + workers)
	go func() {
		defer p.ended.Done()
		defer close(p.jobs)
		defer close(p.ready)
		for {
			b := p.take()
			samples := prepare(b)
			if len(samples) == 0 || !p.dispatch(b, samples) {
				return
			}
		}
	}()
	for i := 0; i < workers; i++ {
		go func() {
			defer p.ended.Done()
			p.fill(worker())
		}()
	}
	return p
}

// take is a released batch or a new one.
func (p *pipeline) take() *Batch {
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.free); n > 0 {
		b := p.free[n-1]
		p.free = p.free[:n-1]
		return b
	}
	return &Batch{full: make(chan struct{}, 1)}
}

func (p *pipeline) release(b *Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.free = append(p.free, b)
}

// dispatch queues a batch and its slots; false when the pipeline was stopped.
func (p *pipeline) dispatch(b *Batch, samples []int) bool {
	b.pending.Store(int32(len(samples)))
	if cap(b.errs) < len(samples) {
		b.errs = make([]error, len(samples))
	}
	b.errs = b.errs[:len(samples)]
	clear(b.errs)
	select {
	case p.ready <- b:
	case <-p.stop:
		return false
	}
	for slot, sample := range samples {
		select {
		case p.jobs <- job{b, slot, sample}:
		case <-p.stop:
			return false
		}
	}
	return true
}

func (p *pipeline) fill(one func(b *Batch, slot, sample int) error) {
	for j := range p.jobs {
		began := time.Now()
		j.b.errs[j.slot] = one(j.b, j.slot, j.sample)
		p.work.Add(int64(time.Since(began)))
		if j.b.pending.Add(-1) == 0 {
			j.b.full <- struct{}{}
		}
	}
}

// next is the next filled batch, nil after the last. After a failed batch it returns that failure again.
func (p *pipeline) next(ctx context.Context) (*Batch, error) {
	select {
	case <-p.stop:
		return nil, ErrClosed
	default:
	}
	if p.due == nil {
		select {
		case p.due = <-p.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if p.due == nil {
			return nil, nil
		}
	}
	if p.failed == nil {
		select {
		case <-p.due.full:
		case <-ctx.Done():
			return nil, ctx.Err() // the batch stays due
		}
		p.failed = firstError(p.due.errs)
	}
	if p.failed != nil {
		return nil, p.failed
	}
	b := p.due
	p.due = nil
	return b, nil
}

func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// close stops the goroutines and waits until they have ended.
func (p *pipeline) close() {
	p.once.Do(func() { close(p.stop) })
	p.ended.Wait()
}
