// Package data turns pictures and their label pictures into training batches.
//
// A Dataset hands out samples: an 8-bit RGB picture and a class index for every pixel. Four of them are here: Scenes (street
// scenes drawn by the program itself, the default), Folder (the user's own pictures), CamVid and Cityscapes. A Loader reads, augments and
// normalises samples ahead of the training step on goroutines of its own; EvalBatches does the same, in order and without
// augmentation, for evaluation.
//
// Layouts: pictures are rows of interleaved R,G,B bytes (H,W,3), labels are rows of class indices (H,W), network input is
// float32 N,H,W,3 normalised by Normalise. Everything random is a function of a seed that the caller passes in.
//
// Errors that the user can mend (an empty folder, a truncated picture, a label value outside the class list) satisfy
// misuse.Is and are one line that names the file, what is wrong and what would be right.
package data
