// Package supernet builds the segmentation network of nas/space as trainable models: the elastic supernet that shares weights over
// kernel sizes, expand ratios and depths; the naive one-shot supernet that shares none; and the plain network of one architecture, which
// is also what a sub-network is cut out to.
//
// All three run through Model. A sub-network run inside a supernet and the same sub-network cut out of it give the same bits, in training
// and in inference.
package supernet
