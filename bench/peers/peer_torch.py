"""PyTorch on the CPU, channels last. Of eager, frozen TorchScript and torch.compile the fastest is taken, by a short trial of each: for the
network up to its logits, for what follows them, and for both in one."""

import copy
import sys

import torch
import torch._inductor.config
from torch.nn import functional

from graph import Graph
from trial import best_time


class Network(torch.nn.Module):
    """Some steps of a network, computed in a type of their own."""

    def __init__(self, steps, source, result, kind):
        super().__init__()
        self.steps, self.source, self.result, self.kind = steps, source, result, kind
        self.convs = torch.nn.ModuleDict()
        for step in steps:
            if step.kind == "Conv":
                out, per_group = step.weight.shape[:2]
                conv = torch.nn.Conv2d(per_group * step.group, out, step.kernel, step.stride, step.pad, groups=step.group)
                conv.weight.data, conv.bias.data = torch.from_numpy(step.weight.copy()), torch.from_numpy(step.bias.copy())
                self.convs[step.name] = conv
        self.to(kind, memory_format=torch.channels_last).eval()

    def forward(self, x):
        values = {self.source: x.to(self.kind)}
        for step in self.steps:
            a = values[step.inputs[0]]
            if step.kind == "Conv":
                y = self.convs[step.name](a)
                y = functional.relu(y, inplace=True) if step.relu else y
            elif step.kind == "Relu":
                y = functional.relu(a)
            elif step.kind == "Add":
                y = a + values[step.inputs[1]]
            elif step.kind == "Resize":
                y = functional.interpolate(a, size=(step.height, step.width), mode="bilinear", align_corners=False)
            elif step.kind == "ArgMax":
                y = a.argmax(1)
            else:
                y = a.to(torch.uint8)
            values[step.output] = y
        y = values[self.result]
        return y.float() if y.is_floating_point() else y


class Contiguous(torch.nn.Module):
    """A network on planes: what follows the logits has one value a pixel in the end."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x.contiguous())


def frozen(network, x):
    script = torch.jit.freeze(torch.jit.trace(network, x))
    for _ in range(3):
        script(x)
    return script


def compiled(network, x):
    return torch.compile(network, dynamic=False)


WAYS = {"eager": lambda network, x: network, "frozen": frozen, "compiled": compiled}


def fastest(networks, ways, x):
    """Tries each network in each way; returns seconds, name and function of the fastest."""
    best = (float("inf"), "", None)
    for kind, network in networks.items():
        for way in ways:
            try:
                run = WAYS[way](network, x)
                seconds = best_time(lambda: run(x))
                print(f"torch: {kind} {way} {1e3 * seconds:.2f} ms", file=sys.stderr)
                best = min(best, (seconds, (kind + " " + way).strip(), run), key=lambda b: b[0])
            except Exception as error:  # a way that does not work here is none
                print(f"torch: {kind} {way}: {type(error).__name__}: {error}", file=sys.stderr)
    return best


class Peer:
    layout = "NHWC"
    precisions = ["fp32", "bf16"]

    def version(self):
        return torch.__version__

    def load(self, job, picture):
        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)
        torch._inductor.config.freezing = True  # weights are constants: packed once
        self.picture = torch.from_numpy(picture).permute(0, 3, 1, 2)  # channels last
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16}[job.precision]
        graph = Graph(job.model)
        logits = next((i for i, step in enumerate(graph.steps) if step.output == graph.logits), None)
        with torch.inference_mode():
            body = Network(graph.steps[:logits + 1], graph.input, graph.logits, kind)
            seconds, name, self.network = fastest({"": body}, ["eager", "frozen", "compiled"], self.picture)
            if graph.output == graph.logits:
                return name
            y = self.network(self.picture)
            kinds = {"float": torch.float32} | ({"bf16": kind} if job.precision == "bf16" else {})
            tails = {}
            for what, tail_kind in kinds.items():
                tails[what] = Network(graph.steps[logits + 1:], graph.logits, graph.output, tail_kind)
                tails[what + " planes"] = Contiguous(copy.deepcopy(tails[what]))
            tail_seconds, tail_name, tail = fastest(tails, ["eager", "compiled"], y)
            whole_seconds, whole_name, whole = fastest({"whole": Network(graph.steps, graph.input, graph.output, kind)}, ["compiled"], self.picture)
            if whole_seconds < seconds + tail_seconds:
                self.network = whole
                return whole_name
            body_run = self.network
            self.network = lambda x: tail(body_run(x))
            return f"logits {name}, labels {tail_name}"

    def run(self):
        with torch.inference_mode():
            return self.network(self.picture)

    def answer(self, y):
        y = y[0]
        return y.numpy() if y.dtype == torch.uint8 else y.permute(1, 2, 0).numpy()
