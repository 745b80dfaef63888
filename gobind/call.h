/* What a Go stream or context keeps in C memory, so that a call passes no Go pointer and allocates nothing. */
#ifndef SEGNAS_GOBIND_CALL_H
#define SEGNAS_GOBIND_CALL_H

#include <stdlib.h>

#include <segnas/segnas.h>

#define GOBIND_MOST_TENSORS 11 /* batchnorm_backward's */

typedef struct gobind_call {
  segnas_tensor tensor[GOBIND_MOST_TENSORS];
  segnas_quantiser quantiser;
  segnas_error err;
} gobind_call;

#endif
