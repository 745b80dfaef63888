"""One peer in a process of its own: `python worker.py NAME` serves the protocol that README.md describes, with peer_NAME.Peer."""

import importlib
import json
import os
import sys
import time
import traceback

import numpy


class Skip(Exception):
    """What a peer raises when it cannot do a job here; its text is the reason."""


class Job:
    """What to load: a model file, the picture's size, threads, precision, and which output the model has."""

    def __init__(self, request):
        self.__dict__.update(request)


def status(field):
    """A figure of /proc/self/status in MB."""
    with open("/proc/self/status") as lines:
        for line in lines:
            if line.startswith(field):
                return int(line.split()[1]) / 1024
    return 0.0


def forget_peak():
    """From now on the peak of the resident memory counts anew."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        pass  # the peak then includes loading


class Server:
    def __init__(self, peer):
        self.peer = peer
        self.before = 0.0  # MB resident before the model is loaded: the interpreter and the runtime's libraries

    def about(self, request):
        return {"version": self.peer.version(), "precisions": self.peer.precisions}

    def load(self, request):
        if request["precision"] not in self.peer.precisions:
            raise Skip("has no " + request["precision"])
        job = Job(request)
        picture = numpy.fromfile(job.picture, dtype=numpy.float32).reshape(job.batch, job.height, job.width, 3)
        if self.peer.layout == "NCHW":
            picture = numpy.ascontiguousarray(picture.transpose(0, 3, 1, 2))
        self.before = status("VmRSS")
        variant = self.peer.load(job, picture)
        self.peer.run()
        return {"variant": variant}

    def answer(self, request):
        answer = numpy.ascontiguousarray(self.peer.answer(self.peer.run()))
        answer.tofile(request["path"])
        return {"type": str(answer.dtype), "shape": list(answer.shape)}

    def time(self, request):
        for _ in range(request.get("warm", 0)):
            self.peer.run()
        if request.get("peak"):
            forget_peak()
        if hasattr(self.peer, "on_device"):  # by the device's own clock, as ours is
            return {"ms": [self.peer.on_device() for _ in range(request["runs"])]}
        ms = []
        for _ in range(request["runs"]):
            begin = time.perf_counter_ns()
            self.peer.run()
            ms.append((time.perf_counter_ns() - begin) / 1e6)
        return {"ms": ms}

    def memory(self, request):
        return {"peak_mb": status("VmHWM"), "before_mb": self.before}


def serve(name):
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no reply
    server = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if server is None:
                server = Server(importlib.import_module("peer_" + name).Peer())
            reply = getattr(server, request["do"])(request)
        except (Skip, ImportError) as reason:
            reply = {"skip": " ".join(str(reason).split())}
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    sys.modules["worker"] = sys.modules["__main__"]
    serve(sys.argv[1])
