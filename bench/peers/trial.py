"""The short trial by which a peer takes the faster of two ways."""

import time

TRIAL_SECONDS = 0.5


def best_time(run):
    """Seconds of the fastest run; at least three."""
    run()
    times, end = [], time.perf_counter() + TRIAL_SECONDS
    while len(times) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)
