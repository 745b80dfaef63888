"""What the runtimes are given, and whether their answers agree."""

import numpy

FP32_BOUND = 1e-4  # largest error over largest magnitude; float32 in another order of summation stays far below
BF16_BOUND = 0.15  # bfloat16 keeps 8 bits a layer: this catches a wrong network, and the figure itself is printed
BF16_PIXELS = 0.2
FP16_FINER = 8  # half precision keeps three bits more
# In random weights one number that is rounded to the other side is soon everywhere: this, too, catches wrong networks only. That files are right is
# tools/export --verify's to say. A peer's own quantisation is another network, and without VNNI one of 7 bits.
INT8_BOUND, INT8_PIXELS, OWN_PIXELS = 0.4, 0.4, 0.6
LOSS_BOUND = {"fp32": [1e-4, 2e-3], "bf16": [5e-2, 5e-2]}  # relative, of the losses of the first step and of the second, after one update


def picture(random, batch, height, width):
    """Smooth random pictures in the range of normalised ones: blobs of colour with some noise on them."""
    coarse = random.uniform(-2, 2, (batch, height // 24 + 2, width // 24 + 2, 3))
    rows, columns = numpy.arange(height) / 24, numpy.arange(width) / 24
    y, x = rows.astype(int), columns.astype(int)
    v, u = (rows - y)[None, :, None, None], (columns - x)[None, None, :, None]
    top = coarse[:, y][:, :, x] * (1 - u) + coarse[:, y][:, :, x + 1] * u
    bottom = coarse[:, y + 1][:, :, x] * (1 - u) + coarse[:, y + 1][:, :, x + 1] * u
    return (top * (1 - v) + bottom * v + random.normal(0, 0.1, top.shape)).astype(numpy.float32)


def labels(random, batch, height, width, classes):
    coarse = random.integers(0, classes, (batch, height // 40 + 1, width // 40 + 1), dtype=numpy.uint8)
    return numpy.ascontiguousarray(coarse.repeat(40, 1).repeat(40, 2)[:, :height, :width])


def check(work, worker, workers, reference):
    """Returns how far a worker's answer is from the reference, in words, and whether that is near enough."""
    bound, pixels = {
        "bf16": (BF16_BOUND, BF16_PIXELS), "fp16": (BF16_BOUND / FP16_FINER, BF16_PIXELS), "int8": (INT8_BOUND, INT8_PIXELS), "int8-own": (INT8_BOUND, OWN_PIXELS),
    }.get(worker.precision, (FP32_BOUND, 1))
    if work == "train":
        ours = next(w for w in workers if w.name == "segnas").answer
        errors = numpy.max(numpy.abs(worker.answer - ours) / numpy.abs(ours), axis=1)
        return f"losses {errors[0]:.0e}, {errors[1]:.0e}", bool((errors <= LOSS_BOUND["bf16" if worker.precision in ("bf16", "fp16") else "fp32"]).all())
    if work == "logits":
        if worker.answer.shape != reference.shape:
            return f"shape {worker.answer.shape} is not {reference.shape}", False
        error = float(numpy.max(numpy.abs(worker.answer - reference)) / numpy.max(numpy.abs(reference)))
        return f"error {error:.1e}", error <= bound
    return labelled(worker.answer, reference, pixels, bound)


def labelled(answer, logits, pixels, bound):
    """A label map is right where no other class is above its class by more than a bound, and above it at all in a share of the pixels; a float32 one may
    differ at ties only."""
    height, width = answer.shape
    scale = numpy.max(numpy.abs(logits))
    wrong, gap = 0, 0.0
    for top in range(0, height, 64):
        part = answer[top:top + 64]
        full = upsampled(logits, height, width, top, len(part))
        if part.max() >= full.shape[2]:
            return f"class {part.max()} is none", False
        below = full.max(2) - numpy.take_along_axis(full, part[..., None].astype(int), 2)[..., 0]
        wrong += int((below > 0).sum())
        gap = max(gap, float(below.max() / scale))
    share = wrong / answer.size
    text = f"{100 * share:.2g} % of pixels differ" + (f", by {gap:.0e}" if wrong else "")
    return text, share <= pixels and gap <= bound


def upsampled(logits, height, width, top, rows):
    """Rows of the logits resized bilinearly to the picture's size, half-pixel centres, in double precision."""
    def taps(small, large, first, count):
        at = numpy.clip((numpy.arange(first, first + count) + 0.5) * small / large - 0.5, 0, small - 1)
        low = numpy.minimum(at.astype(int), small - 1)
        return low, numpy.minimum(low + 1, small - 1), at - low

    y0, y1, v = taps(logits.shape[0], height, top, rows)
    x0, x1, u = taps(logits.shape[1], width, 0, width)
    exact = logits.astype(float)
    lines = exact[y0] * (1 - v)[:, None, None] + exact[y1] * v[:, None, None]
    return lines[:, x0] * (1 - u)[:, None] + lines[:, x1] * u[:, None]
