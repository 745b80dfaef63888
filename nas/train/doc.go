// Package train trains and evaluates segmentation networks and supernets: learning-rate schedules and progressive shrinking,
// checkpoints, batch-norm recalibration, and the evaluator that a search calls.
//
// A training's state is weights, momentum, running statistics and the number of finished steps; all else, the batches, the
// augmentation, the architectures drawn and the learning rate, is a function of (configuration, seed, step). So a training that
// was killed and resumed from a checkpoint ends bit for bit as one that was not, on the same instruction set.
package train
