"""The machine that is measured on, and who else uses it."""

import datetime
import os
import pathlib
import platform
import subprocess
import time

BUSY = 0.05  # share of the processors in use by others from which results are not to be trusted


def processor_times():
    """Seconds that all processors together were in use (stolen time included), and in all."""
    with open("/proc/stat") as file:
        ticks = [int(n) for n in file.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK"), sum(ticks) / os.sysconf("SC_CLK_TCK")


class Watch:
    """What share of the processors' time went to others than the given workers."""

    def __init__(self, workers):
        self.workers = workers
        self.used, self.all = processor_times()
        self.own = self.seconds()

    def seconds(self):
        times = os.times()
        return sum(w.processor_seconds() for w in self.workers) + times.user + times.system

    def others(self):
        used, everything = processor_times()
        passed = max(everything - self.all, 1e-9)
        return max(0.0, (used - self.used - (self.seconds() - self.own)) / passed)


def report_spinning(workers, say):
    """Names the workers that take processor time while nobody asks them for anything."""
    time.sleep(0.2)  # a runtime may spin for a moment after its last run
    before = [w.processor_seconds() for w in workers]
    time.sleep(0.5)
    for worker, seconds in zip(workers, before):
        share = (worker.processor_seconds() - seconds) / 0.5
        if share > 0.02:
            say(f"  {worker.name} {worker.precision} takes {100 * share:.0f} % of a processor while idle: it slows the others down")


def first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=pathlib.Path(__file__).parent).stdout.split("\n")[0]
    except OSError:
        return ""


def conditions(about):
    """Under what conditions the results were measured."""
    model = platform.machine()
    with open("/proc/cpuinfo") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    watch = Watch([])
    time.sleep(1)
    others = watch.others()
    changed = first_line(["git", "status", "--porcelain", "--untracked-files=no"])
    return {
        "cpu": model, "processors": len(os.sched_getaffinity(0)), "isas": about["isas"], "stamp": about["stamp"],
        "commit": first_line(["git", "rev-parse", "--short", "HEAD"]) + ("+changes" if changed else ""),
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0], "others": others, "system": platform.release(), "python": platform.python_version(),
    }
