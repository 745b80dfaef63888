"""ncnn. Its own param and bin files are written from the graph. It has no argmax over channels: the label map's is numpy's."""

import os
import struct
import tempfile

import ncnn
import numpy

from graph import Graph

FLOAT32 = struct.pack("<I", 0)  # tag before weights


class Writer:
    """The two files of a network. A value that several layers read goes through a Split: every blob has one reader."""

    def __init__(self, graph):
        self.lines, self.weights, self.blobs = [], [], 1
        self.readers = {name: sum(step.inputs.count(name) for step in graph.steps) for name in graph.shapes}
        self.free = {}  # names under which a value may still be read
        channels, height, width = graph.shapes[graph.input]
        self.layer("Input", [], graph.input, f"0={width} 1={height} 2={channels}")
        for step in graph.steps:
            if step.kind == "ArgMax":
                break  # and the Cast behind it
            getattr(self, step.kind.lower())(step)
            self.output = step.output

    def layer(self, kind, inputs, output, settings=""):
        taken = [self.free[name].pop() for name in inputs]
        self.lines.append(f"{kind} {output} {len(taken)} 1 {' '.join(taken)} {output} {settings}")
        self.blobs += 1
        copies = self.readers.get(output, 0)
        self.free[output] = [output]
        if copies > 1:
            names = [f"{output}_split{i}" for i in range(copies)]
            self.lines.append(f"Split {output}_split 1 {copies} {output} {' '.join(names)}")
            self.blobs += copies
            self.free[output] = names

    def conv(self, step):
        kind = "Convolution" if step.group == 1 else "ConvolutionDepthWise"
        group = "" if step.group == 1 else f" 7={step.group}"
        self.layer(kind, step.inputs, step.output,
                   f"0={step.weight.shape[0]} 1={step.kernel} 3={step.stride} 4={step.pad} 5=1 6={step.weight.size}{group} 9={int(step.relu)}")
        self.weights += [FLOAT32, step.weight.astype("<f4").tobytes(), step.bias.astype("<f4").tobytes()]

    def add(self, step):
        self.layer("BinaryOp", step.inputs, step.output, "0=0")

    def relu(self, step):
        self.layer("ReLU", step.inputs, step.output)

    def resize(self, step):
        self.layer("Interp", step.inputs, step.output, f"0=2 3={step.height} 4={step.width}")

    def write(self, folder):
        param, model = os.path.join(folder, "net.param"), os.path.join(folder, "net.bin")
        with open(param, "w") as file:
            file.write("\n".join(["7767517", f"{len(self.lines)} {self.blobs}", *self.lines]) + "\n")
        with open(model, "wb") as file:
            file.write(b"".join(self.weights))
        return param, model


class Peer:
    layout = "NCHW"
    precisions = ["fp32", "bf16"]

    def version(self):
        return ncnn.__version__

    def load(self, job, picture):
        graph = Graph(job.model)
        self.net = ncnn.Net()
        self.net.opt.num_threads = job.threads
        self.net.opt.openmp_blocktime = 1  # ms that threads spin for after a parallel part
        self.net.opt.use_vulkan_compute = False
        self.net.opt.use_fp16_packed = self.net.opt.use_fp16_storage = self.net.opt.use_fp16_arithmetic = False
        self.net.opt.use_bf16_storage = self.net.opt.use_bf16_packed = job.precision == "bf16"
        writer = Writer(graph)
        with tempfile.TemporaryDirectory() as folder:
            param, model = writer.write(folder)
            if self.net.load_param(param) or self.net.load_model(model):
                raise ValueError("ncnn refuses the network")
        self.input, self.output = graph.input, writer.output
        self.labelled = job.output == "labels"
        self.picture = ncnn.Mat(picture[0]).clone()
        return "bf16 storage" if job.precision == "bf16" else "all fp16 and bf16 options off"

    def run(self):
        extractor = self.net.create_extractor()
        extractor.input(self.input, self.picture)
        status, y = extractor.extract(self.output)
        if status:
            raise ValueError("ncnn fails")
        return argmax(numpy.array(y, copy=False)) if self.labelled else y

    def answer(self, y):
        return y if self.labelled else numpy.array(y).transpose(1, 2, 0)


ROWS = 16  # that argmax works on at a time: they fit a cache


def argmax(planes):
    """The class of every pixel of [classes, height, width], as fast as numpy does it."""
    classes, height, width = planes.shape
    labels = numpy.zeros((height, width), numpy.uint8)
    for top in range(0, height, ROWS):
        part, found = planes[:, top:top + ROWS], labels[top:top + ROWS]
        best = part[0].copy()
        for c in range(1, classes):
            numpy.copyto(found, c, where=part[c] > best)
            numpy.maximum(best, part[c], out=best)
    return labels
