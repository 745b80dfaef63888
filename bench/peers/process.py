"""The driver's end of a worker: a process that answers requests, one JSON object a line."""

import json
import os
import select
import subprocess

import numpy

PATIENCE = 240  # seconds for one answer; a compiler may be at work


class Died(Exception):
    """A worker that ended or fell silent; its text says how."""


class Worker:
    def __init__(self, command, environment, log=None):
        self.log = log
        with open(log, "w") if log else open(os.devnull, "w") as errors:
            self.process = subprocess.Popen(
                command, env=os.environ | environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)

    def ask(self, request):
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise Died(self.how())
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            self.process.kill()
            raise Died(f"gave no answer for {PATIENCE} s")
        line = self.process.stdout.readline()
        if not line:
            raise Died(self.how())
        return json.loads(line)

    def how(self):
        """Says how the process ended."""
        code = self.process.wait()
        last = ""
        if self.log:
            with open(self.log, errors="replace") as lines:
                last = ([""] + [line.strip() for line in lines if line.strip()])[-1][:200]
        return f"its process ended with code {code}" + (f": {last}" if last else "")

    def fetch(self, path):
        """The output of a run."""
        reply = self.ask({"do": "answer", "path": path})
        if "error" in reply:
            raise Died(reply["error"])
        return numpy.fromfile(path, dtype=reply["type"]).reshape(reply["shape"])

    def processor_seconds(self):
        """The processor time that the process has taken so far."""
        try:
            with open(f"/proc/{self.process.pid}/stat") as file:
                fields = file.read().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            return 0.0

    def quit(self):
        if self.process.poll() is None:
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
