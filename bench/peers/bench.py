"""make bench-peers: the same network with the same weights in segnas and in other runtimes, timed in turns. README.md says how."""

import argparse
import itertools
import json
import os
import pathlib
import sys
import tempfile
import time

import numpy

import answers
import machine
import table
from process import Died, Worker

HERE = pathlib.Path(__file__).resolve().parent
ARCH = "k3e6.k3e6.k3e6_k3e6.k3e6.k3e6_k3e6.k3e6.k3e6"  # the hand-made baseline
SEED = 1
INFERENCE_CLASSES = 19
TRAINING_CLASSES = 11
TRAINING_BATCH, TRAINING_SIZE = 8, (360, 480)
PRECISIONS = ["fp32", "fp32-avx2", "bf16", "fp16", "int8", "int8-own"]  # fp32-avx2 is ours alone, fp16 is for GPUs, int8-own is a peer's own quantisation
OURS = "segnas"

# glibc gives large blocks back to the system at once and pays for their pages again in the next run; with these it keeps them.
KEEP_MEMORY = {"MALLOC_TOP_PAD_": "268435456", "MALLOC_MMAP_THRESHOLD_": "4294967296", "MALLOC_TRIM_THRESHOLD_": "17179869184"}

# The peers of each kind of work, with what they need in their environment.
INFERENCE_PEERS = {"onnxruntime": {}, "openvino": {}, "torch": KEEP_MEMORY, "ncnn": KEEP_MEMORY, "litert": KEEP_MEMORY}
TRAINING_PEERS = {"torch": KEEP_MEMORY}
WORKS = {"labels": "label map", "logits": "logits at 1/8", "train": "training step"}


class Group:
    """The runs that are compared: one work at one size on some threads."""

    def __init__(self, work, size, threads):
        self.work, self.size, self.threads = work, size, threads

    def __str__(self):
        height, width = self.size
        batch = f"{TRAINING_BATCH}x" if self.work == "train" else ""
        return f"{WORKS[self.work]}, {batch}{height}x{width}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def peers(self):
        return TRAINING_PEERS if self.work == "train" else INFERENCE_PEERS

    def job(self):
        """What every worker is asked to load."""
        train = self.work == "train"
        return {
            "work": "train" if train else "infer", "arch": ARCH, "seed": SEED, "threads": self.threads, "output": self.work,
            "classes": TRAINING_CLASSES if train else INFERENCE_CLASSES, "batch": TRAINING_BATCH if train else 1,
            "height": self.size[0], "width": self.size[1], "node_by_node": False,
        }


class Bench:
    def __init__(self, options, folder):
        self.options, self.folder = options, pathlib.Path(folder)
        self.versions, self.skipped, self.wrong = {}, {}, []
        self.ours = Worker([options.segnas], {})
        self.about = self.ours.ask({"do": "about"})
        self.versions[OURS] = self.about["version"]

    def say(self, text):
        print(text, file=sys.stderr, flush=True)

    def files(self, group):
        """Writes what the group's workers read, and returns where it is."""
        job = group.job() | {"device": self.options.device}
        name = f"{job['work']}-{job['batch']}x{job['height']}x{job['width']}"
        picture = self.folder / (name + ".picture")
        shape = (job["batch"], job["height"], job["width"])
        random = numpy.random.default_rng(SEED)
        if not picture.exists():
            answers.picture(random, *shape).tofile(picture)
        job["picture"] = str(picture)
        if group.work == "train":
            labels, weights = self.folder / (name + ".labels"), self.folder / (name + ".weights")
            answers.labels(random, *shape, job["classes"]).tofile(labels)
            job["labels"], job["weights"] = str(labels), str(weights)
            job["recipe"] = self.ours.ask(job | {"do": "parameters", "path": str(weights)})
        else:
            job["models"] = {}
            for precision in ("fp32", "int8"):
                model = self.folder / f"{name}-{group.work}-{precision}.onnx"
                if not model.exists():
                    self.ours.ask(job | {"do": "export", "path": str(model), "precision": precision})
                job["models"][precision] = str(model)
        return job

    def start(self, name, environment, group):
        if name == OURS:
            return Worker([self.options.segnas], {})
        module = name + ("_train" if group.work == "train" else "")
        threads = {"OMP_NUM_THREADS": str(group.threads), "TORCHINDUCTOR_CACHE_DIR": str(HERE.parents[1] / ".venv/inductor")}
        return Worker([sys.executable, str(HERE / "worker.py"), module], threads | environment, str(self.folder / f"{name}.log"))

    def load(self, name, environment, precision, group, job):
        """Returns a worker that is ready to be timed, or None."""
        worker = self.start(name, environment, group)
        worker.name, worker.precision = name, precision
        try:
            about = worker.ask({"do": "about"})
            reply = about
            if "skip" not in about and "error" not in about:
                self.versions[name] = about["version"]
                if precision not in about["precisions"]:
                    if name == OURS and precision not in ("int8-own", "fp16"):
                        self.skip(f"{name} {precision}", "has no " + precision)
                    worker.quit()
                    return None
                if "models" in job:
                    job = job | {"model": job["models"]["int8" if precision == "int8" else "fp32"]}
                reply = worker.ask(job | {"do": "load", "precision": precision})
            if "skip" in reply or "error" in reply:
                self.skip(name if reply is about else f"{name} {precision}", reply.get("skip") or reply["error"])
                worker.quit()
                return None
            worker.variant = reply["variant"]
            worker.answer = worker.fetch(str(self.folder / "answer"))
            return worker
        except Died as reason:
            self.skip(f"{name} {precision}", str(reason))
            worker.quit()
            return None

    def skip(self, who, reason):
        if self.skipped.get(who) != reason:
            self.say(f"  skipped {who}: {reason}")
        self.skipped[who] = reason

    def reference(self, group, precision):
        """The logits of fp32 or int8 that answers are checked with, by a runtime that is not ours where there is one."""
        logits = Group("logits", group.size, group.threads)
        job = self.files(logits) | {"device": "cpu", "node_by_node": precision == "int8"}
        for name in ("onnxruntime", "openvino", OURS):
            worker = None if name in self.skipped else self.load(name, {}, precision, logits, job)
            if worker:
                worker.quit()
                return worker.answer
        raise Died("nothing computes the reference")

    def run(self, group):
        self.say(f"{group}")
        job = self.files(group)
        workers = []
        try:
            for name, environment in {OURS: {}, **group.peers()}.items():
                if name != OURS and name not in self.options.peers:
                    continue
                for precision in self.options.precisions:
                    began = time.perf_counter()
                    if name in self.skipped:
                        continue
                    worker = self.load(name, environment, precision, group, job)
                    if worker:
                        workers.append(worker)
                        self.say(f"  {name} {precision}: {worker.variant} ({time.perf_counter() - began:.1f} s)")
            if not any(w.name == OURS for w in workers):
                raise SystemExit("bench-peers: nothing of segnas to compare with: choose PRECISIONS that it has")
            references = {}
            for worker in workers:
                network = "int8" if worker.precision == "int8" else "fp32"
                if group.work != "train" and network not in references:
                    references[network] = self.reference(group, network)
                worker.agreement, fine = answers.check(group.work, worker, workers, references.get(network))
                if not fine:
                    self.wrong.append(f"{group}: {worker.name} {worker.precision}: {worker.agreement}")
                    self.say(f"  WRONG {worker.name} {worker.precision}: {worker.agreement}")
            result = self.time(group, workers)
            for worker in workers:
                worker.memory = worker.ask({"do": "memory"})
            return result
        finally:
            for worker in workers:
                worker.quit()

    def time(self, group, workers):
        """Rounds in which every worker runs a few times, each round beginning with another one."""
        for worker in workers:
            worker.rounds = []
            first = worker.ask({"do": "time", "warm": 1, "runs": 2, "peak": True})["ms"]
            worker.runs = max(1, min(20, int(self.options.burst_ms / min(first))))
        machine.report_spinning(workers, self.say)
        watch = machine.Watch(workers)
        begin, rounds = time.perf_counter(), 0
        while rounds < self.options.least_rounds or (time.perf_counter() - begin < self.options.seconds and rounds < self.options.most_rounds):
            turn = rounds % len(workers)
            for worker in workers[turn:] + workers[:turn]:
                worker.rounds.append(worker.ask({"do": "time", "warm": 1, "runs": worker.runs})["ms"])
            rounds += 1
        self.say(f"  {rounds} rounds in {time.perf_counter() - begin:.0f} s")
        return {"group": group, "workers": workers, "rounds": rounds, "others": watch.others()}


def parse():
    def listed(text):
        return [part for part in text.replace(",", " ").split()]

    def size(text):
        height, _, width = text.partition("x")
        if not (height.isdigit() and width.isdigit() and int(height) and int(width)):
            raise argparse.ArgumentTypeError(f"{text!r} is no HEIGHTxWIDTH")
        return int(height), int(width)

    known = sorted({**INFERENCE_PEERS, **TRAINING_PEERS})
    p = argparse.ArgumentParser(prog="bench-peers", description=__doc__)
    p.add_argument("--segnas", required=True, help="our worker's executable")
    p.add_argument("--peers", type=listed, default=known, help="of " + ",".join(known))
    p.add_argument("--works", type=listed, default=list(WORKS), help="of " + ",".join(WORKS))
    p.add_argument("--sizes", type=lambda t: [size(part) for part in listed(t)], default=[(360, 480), (1024, 2048)], help="of a picture")
    p.add_argument("--threads", type=lambda t: [int(part) for part in listed(t)], default=[n for n in (1, 2) if n <= len(os.sched_getaffinity(0))])
    p.add_argument("--precisions", type=listed, default=PRECISIONS, help="of " + ",".join(PRECISIONS))
    p.add_argument("--device", default="cpu", help="cpu, or cuda:0 for segnas and torch")
    p.add_argument("--seconds", type=float, default=25, help="that a group is timed for, loading not counted")
    p.add_argument("--least-rounds", type=int, default=5)
    p.add_argument("--most-rounds", type=int, default=100)
    p.add_argument("--burst-ms", type=float, default=40, help="that a worker runs for in a round, at least once")
    p.add_argument("--json", action="store_true", help="one JSON object a line instead of tables")
    p.error = lambda text: sys.exit(print(f"bench-peers: {text}", file=sys.stderr) or 2)  # one line, as everywhere
    options = p.parse_args()
    for given, allowed, what in ((options.peers, known, "peer"), (options.works, WORKS, "work"), (options.precisions, PRECISIONS, "precision")):
        for name in given:
            if name not in allowed:
                p.error(f"no {what} is called {name!r}; there are {', '.join(allowed)}")
    if options.device != "cpu" and any(name != "torch" for name in options.peers):
        p.error(f"--device {options.device} goes with --peers torch: no other peer runs there")
    if any(n < 1 for n in options.threads):
        p.error("threads: at least 1")
    return options


def groups(options):
    for work, size, threads in itertools.product([w for w in WORKS if w in options.works and w != "train"], options.sizes, options.threads):
        yield Group(work, size, threads)
    if "train" in options.works:
        yield Group("train", TRAINING_SIZE, max(options.threads))


def main():
    options = parse()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="segnas-peers-") as folder:
        bench = Bench(options, folder)
        conditions = machine.conditions(bench.about)
        out = table.JSONLines(conditions) if options.json else table.Tables(conditions)
        for group in groups(options):
            out.group(bench.run(group), bench.versions)
        out.end(bench.skipped, bench.wrong, time.perf_counter() - began)
        bench.ours.quit()
    sys.exit(1 if bench.wrong else 0)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("bench-peers: interrupted", file=sys.stderr)
        sys.exit(130)
