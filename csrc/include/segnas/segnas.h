/* segnas.h: the public C interface of libsegnas: elastic convolutions and everything else that training, measuring and running a
 * searched segmentation network needs.
 *
 * Conventions
 *   Handles    are opaque and made by _create, ended by _destroy; destroying NULL does nothing.
 *   Statuses   every call that can fail returns a segnas_status and, when err is not NULL, fills *err with the status and one line of
 *              text. Nothing is thread-local. The library never prints, aborts, exits, throws across this border, or reads the
 *              environment after a context was created.
 *   Memory     tensors live in segnas_buffer objects. Host pointers given to a call are borrowed for that call only.
 *   Threads    a context may be used from any thread. A stream has one user at a time: a second one gets SEGNAS_BUSY, not a race.
 *              A call returns when its work is done (CPU) or enqueued (other backends; segnas_stream_synchronize waits).
 *   Layouts    activations are N,H,W,C; pointwise weights [Cin][Cout]; depthwise weights [k*k][C]; dense 3x3 weights [9*Cin][Cout]
 *              (tap-major, then input channel). The innermost stride is 1 everywhere.
 *              Activations are "rows of pixels": stride[1] = W*stride[2] and stride[0] = H*stride[1]; stride[2] >= C is free, so a slice of
 *              the channels is a legal activation. Weights may be views on larger arrays: rows may be any distance >= their length apart.
 *   Padding    a convolution with kernel k pads k/2 on each side; taps outside contribute nothing. Output size with stride s is
 *              (n-1)/s+1.
 *   Aliasing   an output overlaps no input unless the call says so.
 *   Numbers    float32 with float32 accumulation over fixed blocks whose order depends on shapes alone: never on strides, alignment
 *              or thread count. So 1, 2 and 3 threads give the same bits, and so do a sub-network run inside its supernet and cut out of it.
 *              Different instruction sets give different bits. ReLU(NaN) = NaN.
 */
#ifndef SEGNAS_SEGNAS_H
#define SEGNAS_SEGNAS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define SEGNAS_API
#else
#define SEGNAS_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define SEGNAS_VERSION_MAJOR 0
#define SEGNAS_VERSION_MINOR 1
#define SEGNAS_MAX_RANK 5

/* ---------------------------------------------------------------- errors */

typedef enum segnas_status {
  SEGNAS_OK = 0,
  SEGNAS_INVALID_ARGUMENT = 1, /* a shape, dtype, stride or value that the call does not take; the text says which */
  SEGNAS_OUT_OF_MEMORY = 2,
  SEGNAS_NO_KERNEL = 3,        /* legal, but no kernel of this backend does it */
  SEGNAS_BUSY = 4,             /* the stream is in use by another thread */
  SEGNAS_BACKEND_MISSING = 5,  /* the plug-in or its device is not there; the text says what was tried */
  SEGNAS_BACKEND_FAILED = 6,
  SEGNAS_INTERNAL = 7
} segnas_status;

typedef struct segnas_error {
  segnas_status status;
  char text[252];
} segnas_error;

/* The name of a status, e.g. "no kernel"; never NULL. */
SEGNAS_API const char *segnas_status_name(segnas_status status);

/* "MAJOR.MINOR.PATCH" */
SEGNAS_API const char *segnas_version(void);

/* ---------------------------------------------------------------- context, stream, buffer */

typedef struct segnas_context segnas_context;
typedef struct segnas_stream segnas_stream;
typedef struct segnas_buffer segnas_buffer;

typedef struct segnas_context_options {
  uint32_t size;          /* sizeof(segnas_context_options) */
  uint32_t threads;       /* worker threads, the caller's included; 0: one per available processor */
  const char *device;     /* "cpu" or NULL; "cuda:N" loads the plug-in */
  const char *isa;        /* cap on the CPU's instruction set: "scalar", "avx2", "avx512", "neon"; NULL: SEGNAS_ISA, else the best */
  const char *plugin_dir; /* where to look for plug-ins first; NULL: SEGNAS_PLUGIN_DIR, then beside the library, then the build folder */
} segnas_context_options;

/* Makes a context: picks kernels for the CPU's instruction set (checked with the operating system) and starts its threads.
 * options may be NULL. Reads SEGNAS_ISA, SEGNAS_THREADS (when threads is 0) and SEGNAS_PLUGIN_DIR, here and nowhere else. An unknown or
 * unavailable isa is SEGNAS_INVALID_ARGUMENT whose text lists what there is. */
SEGNAS_API segnas_status segnas_context_create(const segnas_context_options *options, segnas_context **context, segnas_error *err);
/* Ends the threads. All streams, buffers and sessions of the context must be gone. */
SEGNAS_API void segnas_context_destroy(segnas_context *context);
SEGNAS_API uint32_t segnas_context_threads(const segnas_context *context);
/* The instruction set in use: "scalar", "avx2", "avx512", "neon". */
SEGNAS_API const char *segnas_context_isa(const segnas_context *context);
/* 1 where sessions keep their numbers in that segnas_precision, else 0. */
SEGNAS_API int32_t segnas_context_precision(const segnas_context *context, int32_t precision);
/* "cpu" or the plug-in's device name. */
SEGNAS_API const char *segnas_context_device(const segnas_context *context);
/* Writes the instruction sets that this build has and this machine runs, best last, separated by spaces ("scalar avx2"). */
SEGNAS_API void segnas_available_isas(char *text, size_t text_bytes);
/* Says in one or more lines which backends were looked for, where, and why each is or is not there. Always terminated. */
SEGNAS_API void segnas_describe_backends(const char *plugin_dir, char *text, size_t text_bytes);

SEGNAS_API segnas_status segnas_stream_create(segnas_context *context, segnas_stream **stream, segnas_error *err);
SEGNAS_API void segnas_stream_destroy(segnas_stream *stream);
/* Waits until everything enqueued on the stream is done. */
SEGNAS_API segnas_status segnas_stream_synchronize(segnas_stream *stream, segnas_error *err);
/* Scratch bytes that the stream holds for its calls (grown on demand, kept until the stream is destroyed). */
SEGNAS_API size_t segnas_stream_scratch_bytes(const segnas_stream *stream);

/* bytes of zeroed memory, aligned to 64 bytes (large ones to 2 MiB, huge pages asked for). */
SEGNAS_API segnas_status segnas_buffer_create(segnas_context *context, size_t bytes, segnas_buffer **buffer, segnas_error *err);
SEGNAS_API void segnas_buffer_destroy(segnas_buffer *buffer);
SEGNAS_API size_t segnas_buffer_bytes(const segnas_buffer *buffer);
/* The host address of a CPU buffer; NULL where the device's memory is not the host's. */
SEGNAS_API void *segnas_buffer_host(segnas_buffer *buffer);
SEGNAS_API segnas_status segnas_buffer_write(segnas_stream *stream, segnas_buffer *buffer, size_t offset_bytes, const void *source, size_t bytes, segnas_error *err);
SEGNAS_API segnas_status segnas_buffer_read(segnas_stream *stream, segnas_buffer *buffer, size_t offset_bytes, void *target, size_t bytes, segnas_error *err);

/* ---------------------------------------------------------------- tensor views */

typedef enum segnas_dtype {
  SEGNAS_F32 = 0,
  SEGNAS_U8 = 1, /* labels, pictures */
  SEGNAS_I64 = 2, /* counts */
  SEGNAS_F64 = 3, /* sums handed back to the host */
  SEGNAS_F16 = 4, /* activations and their gradients, on GPUs: IEEE binary16 */
  SEGNAS_BF16 = 5 /* the same: the upper half of a float32 */
} segnas_dtype;

/* A view: plain data, owns nothing. offset and stride count elements. */
typedef struct segnas_tensor {
  segnas_buffer *buffer;
  int64_t offset;
  int32_t dtype; /* segnas_dtype */
  int32_t rank;  /* 1..SEGNAS_MAX_RANK */
  int64_t shape[SEGNAS_MAX_RANK];
  int64_t stride[SEGNAS_MAX_RANK];
} segnas_tensor;

SEGNAS_API size_t segnas_dtype_bytes(segnas_dtype dtype);

/* ---------------------------------------------------------------- convolutions
 * Activations and their gradients ([N,H,W,C] or [P,C]) are float32; a plug-in may take them as SEGNAS_F16 or SEGNAS_BF16 too, all of a call alike but
 * for two: the picture that conv3x3 reads is float32, and so may be what pwconv writes (logits), with its gradient. Sums are float32 and rounded once,
 * moments and sums are of what was not rounded yet; pwconv's products round to that type what they multiply, a weight and what a norm makes of x or dy. Weights, norms and statistics are float32 always. The CPU has float32 (SEGNAS_NO_KERNEL).
 * accumulate: 0 overwrites the gradient, 1 adds to it. */

/* Dense 3x3, padding 1, stride 1 or 2. x [N,H,W,Cin], w [9*Cin,Cout], y [N,Ho,Wo,Cout]; Cin <= 16 (the stem).
 * y[n,i,j,o] = sum_{u,v,c} x[n, i*s+u-1, j*s+v-1, c] w[(3u+v)*Cin+c, o] */
SEGNAS_API segnas_status segnas_conv3x3_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err);
SEGNAS_API segnas_status segnas_conv3x3_backward_input(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx, segnas_error *err);
SEGNAS_API segnas_status segnas_conv3x3_backward_weight(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);

/* Depthwise k x k, k in {3,5,7}, stride 1 or 2. x [N,H,W,C], w [k*k,C], y [N,Ho,Wo,C].
 * y[n,i,j,c] = sum_{u,v} x[n, i*s+u-k/2, j*s+v-k/2, c] w[u*k+v, c] */
SEGNAS_API segnas_status segnas_dwconv_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, segnas_error *err);
SEGNAS_API segnas_status segnas_dwconv_backward_input(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *w, int32_t stride, const segnas_tensor *dx, segnas_error *err);
SEGNAS_API segnas_status segnas_dwconv_backward_weight(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, int32_t stride, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);

/* Pointwise (1x1). x [N,H,W,Cin] or [P,Cin], w [Cin,Cout] (rows may be strided), bias [Cout] or NULL, y [N,H,W,Cout] or [P,Cout].
 * y = x w + bias.  backward_bias: db[o] = sum over pixels of dy. */
SEGNAS_API segnas_status segnas_pwconv_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, const segnas_tensor *bias, const segnas_tensor *y, segnas_error *err);
SEGNAS_API segnas_status segnas_pwconv_backward_input(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *w, const segnas_tensor *dx, segnas_error *err);
SEGNAS_API segnas_status segnas_pwconv_backward_weight(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);
SEGNAS_API segnas_status segnas_pwconv_backward_bias(segnas_stream *s, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *db, segnas_error *err);

/* The kernel transform of once-for-all's elastic kernels (Cai et al. 2020, section 3.3), shared over channels.
 * w_large [kl*kl, C] (a view), t [ks*ks, ks*ks], w_small [ks*ks, C], (kl, ks) in {(5,3), (7,5)}:
 * w_small[i, c] = sum_j t[i, j] centre(w_large)[j, c], where centre picks the ks x ks middle taps in row-major order. */
SEGNAS_API segnas_status segnas_ktransform_forward(segnas_stream *s, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *w_small, segnas_error *err);
/* Adds to dw_large (its outer ring is left alone) and to dt. dw_small is the gradient of w_small. */
SEGNAS_API segnas_status segnas_ktransform_backward(segnas_stream *s, const segnas_tensor *w_large, const segnas_tensor *t, const segnas_tensor *dw_small, const segnas_tensor *dw_large, const segnas_tensor *dt, segnas_error *err);

/* ---------------------------------------------------------------- batch norm, ReLU, add
 * x, y [N,H,W,C] or [P,C]; gamma, beta, mean, var, inv_std and the gradients [C]. Per channel over P = N*H*W pixels.
 * relu: 0 or 1, applies max(0, .) to the result (and its mask in the backward pass).
 * y may be x itself (same view). */

/* Batch statistics: mean = E[x], var = E[(x-mean)^2], inv_std = 1/sqrt(var+eps), y = (x-mean) inv_std gamma + beta.
 * mean and inv_std are written (the backward pass needs them). running_mean and running_var (both or neither may be NULL) become
 * (1-update) old + update new, the variance with P/(P-1) as in PyTorch (P = 1 keeps var). update in [0,1]. */
SEGNAS_API segnas_status segnas_batchnorm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta, float eps, float update, int32_t relu, const segnas_tensor *running_mean, const segnas_tensor *running_var, const segnas_tensor *mean, const segnas_tensor *inv_std, const segnas_tensor *y, segnas_error *err);
/* Given statistics: y = (x-mean)/sqrt(var+eps) gamma + beta. */
SEGNAS_API segnas_status segnas_batchnorm_inference(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *gamma, const segnas_tensor *beta, const segnas_tensor *mean, const segnas_tensor *var, float eps, int32_t relu, const segnas_tensor *y, segnas_error *err);
/* Gradients. frozen = 0: of segnas_batchnorm_forward, the statistics depend on x; frozen = 1: mean and inv_std are constants.
 * With relu, the mask is (x-mean) inv_std gamma + beta > 0, recomputed in exactly the forward pass's arithmetic.
 * xh = (x-mean) inv_std; g = dy masked; dgamma = sum g xh, dbeta = sum g (added when accumulate);
 * dx = gamma inv_std (g - [frozen = 0] (mean(g) + xh mean(g xh))). dx may be dy itself. */
SEGNAS_API segnas_status segnas_batchnorm_backward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *dy, const segnas_tensor *gamma, const segnas_tensor *beta, const segnas_tensor *mean, const segnas_tensor *inv_std, int32_t relu, int32_t frozen, int32_t accumulate, const segnas_tensor *dgamma, const segnas_tensor *dbeta, const segnas_tensor *dx, segnas_error *err);

/* y = max(x, 0), any shape; y may be x. */
SEGNAS_API segnas_status segnas_relu_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);
/* dx = dy where y > 0, else 0; dx may be dy. */
SEGNAS_API segnas_status segnas_relu_backward(segnas_stream *s, const segnas_tensor *y, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err);
/* y = a + b, then max(., 0) when relu; same shapes; y may be a or b. */
SEGNAS_API segnas_status segnas_add_forward(segnas_stream *s, const segnas_tensor *a, const segnas_tensor *b, int32_t relu, const segnas_tensor *y, segnas_error *err);

/* ---------------------------------------------------------------- training with batch norm in passing
 * A convolution that batch norm follows leaves its raw result x [N,H,W,C] (or [P,C]) and a norm, f32 [6,C] (rows any distance apart):
 *   rows  mean, scale = inv_std gamma, beta, inv_std, centre, slope
 * Whoever reads x computes the activation and, in the backward pass, x's gradient from the activation's, da, on the way:
 *   a  = (x - mean) scale + beta, then max(., 0) with relu
 *   g  = da where a > 0, else 0 (without relu: da);   dx = scale (g - centre - (x - mean) slope)
 * so neither a nor dx passes through memory. This is segnas_batchnorm_forward and _backward taken apart: moments of x, then
 * segnas_norm_from_moments, then readers; sums over g, then segnas_norm_backward, then readers.
 * A norm of 10 rows, f32 [10,C], quantises the activation as well ("fake quantisation" below); its last rows are low, high, r, s, from
 * segnas_norm_quantise. Readers then take a' = round(min(max(a, low), high) r) s for a, with the bits of segnas_norm_forward followed by
 * segnas_fakequant_forward, and da for the gradient of a': g = da where low < a < high too, else 0. Its sums are f64 [3,C], the third row for the
 * clip's gradient: the sum of da where a >= high, less that where a <= low < 0. Of activations in 16 bits readers quantise the float32 value. */

/* norm from moments f64 [2,C]: mean and variance E[(x-mean)^2] of x over `pixels` pixels. inv_std = 1/sqrt(var+eps); centre = slope = 0.
 * running_mean and running_var as in segnas_batchnorm_forward (both or neither may be NULL). */
SEGNAS_API segnas_status segnas_norm_from_moments(segnas_stream *s, const segnas_tensor *moments, int64_t pixels, const segnas_tensor *gamma, const segnas_tensor *beta, float eps, float update, const segnas_tensor *running_mean, const segnas_tensor *running_var, const segnas_tensor *norm, segnas_error *err);
/* norm from given statistics, mean and var [C]; centre = slope = 0. */
SEGNAS_API segnas_status segnas_norm_from_statistics(segnas_stream *s, const segnas_tensor *mean, const segnas_tensor *var, const segnas_tensor *gamma, const segnas_tensor *beta, float eps, const segnas_tensor *norm, segnas_error *err);
/* y = the activation of x, for a reader that takes no norm; y may be x. */
SEGNAS_API segnas_status segnas_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *y, segnas_error *err);
/* sums f64 [2,C] = sum of g and sum of g (x - mean) over the pixels; of a norm of 10 rows f64 [3,C]. */
SEGNAS_API segnas_status segnas_norm_sums(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da, const segnas_tensor *sums, segnas_error *err);
/* From those sums over `pixels` pixels: dgamma = inv_std sums[1], dbeta = sums[0] (added when accumulate), and into norm's last rows centre =
 * sums[0]/pixels, slope = inv_std^2 sums[1]/pixels. frozen = 1, for given statistics: centre = slope = 0.
 * A third row of sums is left to segnas_norm_quantise_backward. */
SEGNAS_API segnas_status segnas_norm_backward(segnas_stream *s, const segnas_tensor *sums, int64_t pixels, int32_t frozen, int32_t accumulate, const segnas_tensor *norm, const segnas_tensor *dgamma, const segnas_tensor *dbeta, segnas_error *err);
/* dx from da, for a reader that takes no norm; dx may be da. */
SEGNAS_API segnas_status segnas_norm_gradient(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *norm, int32_t relu, const segnas_tensor *da, const segnas_tensor *dx, segnas_error *err);

/* The convolutions of the section above between normalised activations. x is raw when x_norm is given (x_relu is its relu), an activation
 * when x_norm is NULL. y is raw; the pointwise one adds bias [Cout] unless NULL. moments f64 [2,Cout] receives mean and variance of y over its pixels; NULL: they are not wanted.
 * Statistics are summed in float32 over at most 256 pixels about a value near their mean, then in double: a constant channel has variance 0. */
SEGNAS_API segnas_status segnas_conv3x3_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err);
SEGNAS_API segnas_status segnas_dwconv_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err);
SEGNAS_API segnas_status segnas_pwconv_norm_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, const segnas_tensor *bias, const segnas_tensor *y, const segnas_tensor *moments, segnas_error *err);
/* Their backward passes, from da, the gradient of the activation that y_norm makes of y; where the pointwise one gets neither y nor y_norm, da
 * is y's own. dw is the weight's gradient (added when accumulate).
 * dx is the gradient of x's activation (x_norm's mask and centring are left to its readers); NULL: not wanted. sums f64 [2,C] = what
 * segnas_norm_sums makes of dx ([3,C] where x_norm has 10 rows); NULL: not wanted (it needs x_norm and dx). */
SEGNAS_API segnas_status segnas_conv3x3_norm_backward_weight(segnas_stream *s, const segnas_tensor *x, int32_t stride, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate, const segnas_tensor *dw, segnas_error *err);
SEGNAS_API segnas_status segnas_dwconv_norm_backward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, int32_t stride, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate, const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums, segnas_error *err);
SEGNAS_API segnas_status segnas_pwconv_norm_backward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *x_norm, int32_t x_relu, const segnas_tensor *w, const segnas_tensor *y, const segnas_tensor *y_norm, int32_t y_relu, const segnas_tensor *da, int32_t accumulate, const segnas_tensor *dw, const segnas_tensor *dx, const segnas_tensor *sums, segnas_error *err);

/* ---------------------------------------------------------------- fake quantisation
 * What quantised arithmetic makes of a tensor, in float32, with gradients that pass straight through the rounding (Bengio et al. 2013), so that a
 * network can be trained for it. With k bits, a clip a > 0 and round half to even:
 *   unsigned   L = 2^k - 1,      y = round(min(max(x, 0), a) r) s    activations after ReLU (PACT, Choi et al. 2018, equations 1 and 2)
 *   signed     L = 2^(k-1) - 1,  y = round(min(max(x, -a), a) r) s   weights, sums of activations
 * where r = L / a and s = a / L, each rounded to float32 once; no FMA, so instruction sets agree to the bit. NaN stays NaN. Clips below 2^-20 (NaN
 * among them) count as 2^-20; an infinite one makes NaN of everything. The clip is of the whole tensor, [1], or of each channel (of the last axis),
 * [C]. x is an activation ([N,H,W,C] or [P,C], in the types that convolutions take) or a weight's view ([rows,C]). */
typedef enum segnas_clip_gradient {
  SEGNAS_CLIP_PACT = 0, /* da = sum of dy where x is beyond the clip, times its sign (the same, equation 3) */
  SEGNAS_CLIP_STEP = 1  /* and inside the sum of dy (round(x r) - x r) / L: learned step sizes (Esser et al. 2020, equation 3, of a = L step) */
} segnas_clip_gradient;

typedef struct segnas_quantiser {
  uint32_t size;      /* sizeof(segnas_quantiser) */
  int32_t bits;       /* k, 2 to 8 */
  int32_t is_signed;  /* 0 or 1 */
  int32_t gradient;   /* segnas_clip_gradient */
  float scale;        /* finite; the clip's gradient is multiplied by it, at last, in double: 1, or with learned steps 1/sqrt(elements L) */
} segnas_quantiser;

/* y may be x. */
SEGNAS_API segnas_status segnas_fakequant_forward(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip, const segnas_tensor *y, segnas_error *err);
/* dx = dy where 0 < x < a (unsigned) or -a < x < a (signed), else 0; dx may be dy. dclip, like clip, is overwritten, or added to when accumulate; beyond
 * the clip means x >= a, and with a sign -x >= a too. Sums are float32 over blocks, the blocks' in double, in an order that the shape alone decides. */
SEGNAS_API segnas_status segnas_fakequant_backward(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *x, const segnas_tensor *clip, const segnas_tensor *dy, int32_t accumulate, const segnas_tensor *dx, const segnas_tensor *dclip, segnas_error *err);

/* In passing: the rows low (0, or -a), high = a, r and s of norm f32 [10,C], whose other rows stay as they are. clip f32 [1] or [C]. */
SEGNAS_API segnas_status segnas_norm_quantise(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *clip, const segnas_tensor *norm, segnas_error *err);
/* dclip, [1] or [C], from the third row of sums f64 [3,C]. The gradient is SEGNAS_CLIP_PACT. */
SEGNAS_API segnas_status segnas_norm_quantise_backward(segnas_stream *s, const segnas_quantiser *q, const segnas_tensor *sums, int32_t accumulate, const segnas_tensor *dclip, segnas_error *err);

/* ---------------------------------------------------------------- resizing
 * x [N,H,W,C], y [N,Ho,Wo,C], any sizes. Half-pixel centres: source = (i+0.5) H/Ho - 0.5, clamped to [0, H-1]; positions and weights
 * are computed from integers, so they are the same on every backend. */
typedef enum segnas_resize { SEGNAS_BILINEAR = 0, SEGNAS_NEAREST = 1 /* source = floor((i+0.5) H/Ho) */ } segnas_resize;

SEGNAS_API segnas_status segnas_upsample_forward(segnas_stream *s, const segnas_tensor *x, int32_t mode, const segnas_tensor *y, segnas_error *err);
/* y = a + upsample(x): the fuse of SPEC's two branches in one pass. a [N,Ho,Wo,C]; y may be a. */
SEGNAS_API segnas_status segnas_upsample_add_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *a, int32_t mode, const segnas_tensor *y, segnas_error *err);
/* dx = transpose of the upsampling applied to dy (overwrites). */
SEGNAS_API segnas_status segnas_upsample_backward(segnas_stream *s, const segnas_tensor *dy, int32_t mode, const segnas_tensor *dx, segnas_error *err);

/* ---------------------------------------------------------------- pooling
 * Adaptive average pooling to b x b' bins, 1 <= b <= H, 1 <= b' <= W: of pyramid pooling (Zhao et al. 2017, section 3.2), and with one bin the image
 * pooling of Chen et al. 2017. Bin i averages rows floor(i H/b) to ceil((i+1) H/b), the latter not included, columns likewise (as PyTorch's
 * adaptive_avg_pool2d); where b does not divide H neighbours share a row. Bins have the same counts on every backend; sums are float32 over
 * blocks, the blocks' in double. */

/* x [N,H,W,C], y [N,b,b',C]. */
SEGNAS_API segnas_status segnas_avg_pool_forward(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);
/* dx [N,H,W,C] = transpose of the pooling applied to dy [N,b,b',C] (overwrites). */
SEGNAS_API segnas_status segnas_avg_pool_backward(segnas_stream *s, const segnas_tensor *dy, const segnas_tensor *dx, segnas_error *err);

/* ---------------------------------------------------------------- loss and evaluation
 * logits [N,h,w,K], K <= 64, are upsampled bilinearly to the labels' size N,H,W inside the kernel; full-size logits never exist.
 * labels u8 [N,H,W]; the value ignore (0..255) takes no part; any other label >= K is SEGNAS_INVALID_ARGUMENT (the outputs are then
 * unspecified). */

/* Mean weighted cross-entropy L = sum_p cw[y_p] (-log softmax(z_p)[y_p]) / sum_p cw[y_p] over labelled pixels p (class_weights [K] or
 * NULL: all 1), and its gradient: dlogits = scale dL/dlogits (overwritten; dlogits may be NULL: loss alone). result f64 [2] receives L and
 * sum_p cw[y_p]; with no labelled pixel L = 0 and dlogits = 0. */
SEGNAS_API segnas_status segnas_cross_entropy(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore, const segnas_tensor *class_weights, float scale, const segnas_tensor *result, const segnas_tensor *dlogits, segnas_error *err);
/* Distillation from a teacher's logits (Hinton et al. 2015; from the largest network to those it shares weights with: Yu & Huang 2019, section 3.3): the mean
 * over the P = N*h*w positions of -sum_k softmax(t)_k log softmax(z)_k. logits z and teacher t f32 [N,h,w,K], not enlarged. dlogits =
 * scale (softmax(z) - softmax(t)) / P (overwritten; NULL: loss alone). result f64 [2] receives the loss and P. */
SEGNAS_API segnas_status segnas_distillation(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *teacher, float scale, const segnas_tensor *result, const segnas_tensor *dlogits, segnas_error *err);
/* Hard pixels, for the cross-entropy of those alone (Shrivastava et al. 2016; by pixels, as here: Wu et al. 2016, section 2.2): hard u8 [N,H,W] = the label where
 * the pixel's loss is at least min(loss, the least-th largest loss of all labelled pixels), else ignore. A pixel's loss is -log softmax(z_p)[y_p], as in
 * segnas_cross_entropy. With fewer than `least` labelled pixels all are hard; pixels tied at the bound all are, and so are losses that are NaN.
 * loss >= 0 (may be infinite), least >= 0. hard may be labels. The loss map f32 [N,H,W] is scratch of the stream's. */
SEGNAS_API segnas_status segnas_hard_pixels(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *labels, int32_t ignore, float loss, int64_t least, const segnas_tensor *hard, segnas_error *err);
/* labels[n,i,j] = argmax_k of the upsampled logits; the least k among equals. */
SEGNAS_API segnas_status segnas_argmax(segnas_stream *s, const segnas_tensor *logits, const segnas_tensor *labels, segnas_error *err);
/* counts i64 [K,K] += 1 at [truth, predicted] for every pixel whose truth is not ignore. Both u8, same shape; values < K else
 * SEGNAS_INVALID_ARGUMENT. */
SEGNAS_API segnas_status segnas_confusion(segnas_stream *s, const segnas_tensor *truth, const segnas_tensor *predicted, int32_t ignore, const segnas_tensor *counts, segnas_error *err);

/* ---------------------------------------------------------------- optimiser (views of any rank; unused slices are simply not in the view) */

/* result f64 [1] = sum of squares of x, in double over fixed blocks. accumulate adds to it (gradient clipping over many tensors). */
SEGNAS_API segnas_status segnas_sum_squares(segnas_stream *s, const segnas_tensor *x, int32_t accumulate, const segnas_tensor *result, segnas_error *err);
/* SGD with momentum (Sutskever et al. 2013 as in PyTorch): g' = g*clip + decay*w; m = momentum*m + g'; w -= lr * (nesterov ? g' + momentum*m
 * : m). clip is the factor that gradient clipping asks for (1: none). w, m, g: same shape. The same bits on every instruction set. */
SEGNAS_API segnas_status segnas_sgd(segnas_stream *s, const segnas_tensor *w, const segnas_tensor *m, const segnas_tensor *g, float lr, float momentum, float decay, float clip, int32_t nesterov, segnas_error *err);

/* x = value everywhere in the view (f32). */
SEGNAS_API segnas_status segnas_fill(segnas_stream *s, const segnas_tensor *x, float value, segnas_error *err);
/* y = x, same shape, any strides (f32). */
SEGNAS_API segnas_status segnas_copy(segnas_stream *s, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);
/* y += alpha x (f32, same shape). */
SEGNAS_API segnas_status segnas_axpy(segnas_stream *s, float alpha, const segnas_tensor *x, const segnas_tensor *y, segnas_error *err);

/* ---------------------------------------------------------------- deployed networks
 * A session is a whole network with batch norm folded, planned once (fusion, weight packing, memory reuse) and replayed without
 * allocating. Layer i makes value i+1; value 0 is the input. Layers are given in an order in which inputs come first; all values but the last, which is
 * the output, are read by a layer. */
typedef enum segnas_layer_kind {
  SEGNAS_LAYER_CONV3X3 = 0, /* weights [9*Cin][channels], bias [channels] */
  SEGNAS_LAYER_DWCONV = 1,  /* weights [kernel*kernel][C], bias [C] */
  SEGNAS_LAYER_PWCONV = 2,  /* weights [Cin][channels], bias [channels]; input2 >= 0: added after the bias (residual) */
  SEGNAS_LAYER_UPSAMPLE_ADD = 3, /* input: bilinear to input2's size, added to input2 */
  SEGNAS_LAYER_LABELS = 4,  /* logits `input` upsampled bilinearly to the network input's size and argmaxed: u8 [N,H,W]; last layer */
  SEGNAS_LAYER_AVG_POOL = 5, /* input averaged over kernel x kernel bins, no more than it has rows or columns: of b bins, bin i takes rows floor(i H/b)
                              * to ceil((i+1) H/b), columns likewise */
  SEGNAS_LAYER_UPSAMPLE = 6, /* input: bilinear to input2's size, of which nothing else is used */
  SEGNAS_LAYER_NEAREST_ADD = 7 /* input: nearest neighbour (SEGNAS_NEAREST) to input2's size, added to input2; sessions of SEGNAS_PRECISION_INT8 alone */
} segnas_layer_kind;

typedef struct segnas_layer {
  uint32_t size;    /* sizeof(segnas_layer) */
  int32_t kind;     /* segnas_layer_kind */
  int32_t input;    /* value index */
  int32_t input2;   /* value index or -1 */
  int32_t channels; /* output channels (CONV3X3, PWCONV; 0 elsewhere) */
  int32_t kernel;   /* DWCONV: 3, 5, 7; AVG_POOL: bins on a side, 1 to 64 */
  int32_t stride;   /* CONV3X3, DWCONV: 1, 2 */
  int32_t relu;     /* 1: max(0, .) at the end (after the addition) */
  int32_t group;    /* timing group, >= 0, not decreasing over the layers; layers of different groups are never fused */
  const float *weights; /* host, borrowed for the call */
  const float *bias;
  /* DWCONV of stride 1: its taps lie dilation pixels apart, 1 to 64 (0 is 1); padding dilation*(kernel/2). Layers whose size ends before it, all of a
   * network alike, are those of version 0.1 and have none. */
  int32_t dilation;
  /* A convolution in integers, for SEGNAS_PRECISION_INT8; other precisions do not look at it. The weights of output channel o are whole multiples of
   * weight_steps[o], at most 2^(weight_bits-1)-1 of them; what it reads are whole multiples of input_step, see segnas_precision. Layers whose size ends
   * before it, all of a network alike, have none. */
  int32_t weight_bits;       /* 2 to 8; 0: the layer is float32 */
  int32_t input_bits;        /* 2 to 8 */
  int32_t input_signed;      /* 1: -(2^(bits-1)-1) to 2^(bits-1)-1 steps; 0: 0 to 2^bits-1 */
  float input_step;          /* > 0; 2^-40 to 2^40 */
  const float *weight_steps; /* [channels] (DWCONV: [C]), each > 0; host, borrowed for the call */
} segnas_layer;

typedef struct segnas_session segnas_session;

/* How a session keeps and computes its numbers. */
typedef enum segnas_precision {
  SEGNAS_PRECISION_F32 = 0,
  /* Pictures and weights of pointwise and dense convolutions are rounded to bfloat16 (to nearest, ties to even); so is every value between
   * layers, the widened middle of a block and the line between a depthwise and a pointwise layer included. Depthwise weights, biases, all sums,
   * upsampling and the last layer's output are float32. Products of pairs are added second before first; denormal bfloat16s count as zero.
   * On the CPU it needs AVX-512 BF16, or isa "scalar" (plain C++, a reference), elsewhere SEGNAS_NO_KERNEL. On a GPU of compute capability 8.0 or
   * later products run on tensor cores, which take denormals as they are and add in an order of their own. */
  SEGNAS_PRECISION_BF16 = 1,
  /* The same with half precision (IEEE binary16), on GPUs alone: rounded eight times finer, and infinite beyond 65504. */
  SEGNAS_PRECISION_F16 = 2,
  /* Integer arithmetic of 2 to 8 bits (SegQNAS), for networks whose layers say how. A value that a layer with weight_bits reads as input is kept as
   *   q = round(min(max(f, low), high)), ties to even: low and high are the ends of the range that input_bits and input_signed of its readers (all alike)
   *   give, low is 0 behind a ReLU, and
   *   f = fma(float(sum of n q'), m, b), with a residual q" then fma(float(q"), r, f), where the layer that makes the value has weight_bits: n its weights
   *       and q' what it reads as whole numbers, m = input_step' weight_steps[o] / input_step, b = bias[o] / input_step, r = input_step" / input_step;
   *   f = y * (1 / input_step) where that layer is float32 or NEAREST_ADD: y its result before the ReLU, or behind it, which is the same.
   * All else is float32: values that layers without weight_bits, NEAREST_ADD and LABELS read, and the output; a layer with weight_bits makes them in the
   * same way, with 1 for input_step and ReLU for the rounding. Factors in double, then rounded to float. No value may be read both ways, nor the input in
   * integers, nor a depthwise layer's sums in float32; a residual is a value that a layer with weight_bits reads as input, too; values read in integers have at most
   * 2048 channels. The same bits on every instruction set, for any number of threads. */
  SEGNAS_PRECISION_INT8 = 3
} segnas_precision;

/* Whether the layers of a block run as one step, whose middle never reaches memory. The bits are the same. */
typedef enum segnas_fusion {
  SEGNAS_FUSION_AUTO = 0, /* where that is faster: where the middle is larger than the caches near the cores */
  SEGNAS_FUSION_ALWAYS = 1,
  SEGNAS_FUSION_NEVER = 2
} segnas_fusion;

typedef struct segnas_session_options {
  uint32_t size;      /* sizeof(segnas_session_options) */
  int32_t precision;  /* segnas_precision */
  int32_t input;      /* SEGNAS_F32, or SEGNAS_U8: pictures of bytes, of which only CONV3X3 layers read value 0 as byte * scale[c] + shift[c] */
  const float *scale; /* [c], with SEGNAS_U8; host, borrowed for the call */
  const float *shift;
  int32_t fusion;     /* segnas_fusion */
} segnas_session_options;

/* Plans a network for inputs [n,h,w,c]. The last layer's value is the output: u8 labels, or float32 when it is not LABELS. options may be NULL:
 * float32 throughout. */
SEGNAS_API segnas_status segnas_session_create(segnas_context *context, const segnas_layer *layers, int32_t count, int32_t n, int32_t h, int32_t w, int32_t c, const segnas_session_options *options, segnas_session **session, segnas_error *err);
SEGNAS_API void segnas_session_destroy(segnas_session *session);
/* Runs it: input float32 or u8 [n,h,w,c], output as planned; both host, borrowed. group_ns, when not NULL, receives the nanoseconds that each
 * timing group took ([largest group + 1]), stamped inside the run: on a GPU by its own events, the copies of input and output not counted. One user at
 * a time (SEGNAS_BUSY). */
SEGNAS_API segnas_status segnas_session_run(segnas_session *session, const void *input, void *output, int64_t *group_ns, segnas_error *err);
SEGNAS_API size_t segnas_session_output_bytes(const segnas_session *session);
/* Bytes of activations (peak, scratch of all threads included) and of packed weights. */
SEGNAS_API size_t segnas_session_activation_bytes(const segnas_session *session);
SEGNAS_API size_t segnas_session_weight_bytes(const segnas_session *session);
/* The same two figures of a session that is not made: nothing is packed, and the layers' weights and biases are not read (they may point
 * anywhere, but not be NULL). */
SEGNAS_API segnas_status segnas_session_measure(segnas_context *context, const segnas_layer *layers, int32_t count, int32_t n, int32_t h, int32_t w, int32_t c, const segnas_session_options *options, size_t *activation_bytes, size_t *weight_bytes, segnas_error *err);

#ifdef __cplusplus
}
#endif
#endif
