"""PyTorch, channels last. On the CPU, of eager, frozen TorchScript and torch.compile the fastest is taken, by a short trial of each: for the
network up to its logits, for what follows them, and for both in one. On a GPU, of eager, a CUDA graph of it, and torch.compile, whole; the picture
and the answer stay there, and the device's events tell the time."""

import copy
import sys

import torch
import torch._inductor.config
from torch.nn import functional

from graph import Graph
from trial import best_time
from worker import Skip


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


def graphed(network, x):
    """A CUDA graph of the eager network: no launch is paid for when it is replayed."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            network(x)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        y = network(x)

    def replay(_):
        graph.replay()
        return y

    return replay


def tuned(network, x):
    return torch.compile(network, dynamic=False, mode="max-autotune")


WAYS = {"graphed": graphed, "tuned": tuned, "eager": lambda network, x: network, "frozen": frozen, "compiled": compiled}


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
    precisions = ["fp32", "bf16", "fp16"]

    def version(self):
        return torch.__version__

    def load(self, job, picture):
        if job.device != "cpu":
            return self.load_on_gpu(job, picture)
        if job.precision == "fp16":
            raise Skip("fp16 is for GPUs")
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

    def load_on_gpu(self, job, picture):
        if not torch.cuda.is_available():
            raise Skip("torch finds no GPU")
        device = torch.device(job.device)
        torch.cuda.set_device(device)
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 is float32
        torch.backends.cudnn.benchmark = True
        self.picture = torch.from_numpy(picture).permute(0, 3, 1, 2).to(device)
        kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[job.precision]
        graph = Graph(job.model)
        self.events = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        self.on_device = self.elapsed
        with torch.inference_mode():
            network = Network(graph.steps, graph.input, graph.output, kind).to(device)
            best = (float("inf"), "", None)
            for way in ["eager", "graphed", "tuned"]:
                try:
                    self.network = WAYS[way](network, self.picture)
                    for _ in range(5):
                        self.elapsed()
                    ms = min(self.elapsed() for _ in range(20))
                    print(f"torch: {way} {ms:.3f} ms", file=sys.stderr)
                    best = min(best, (ms, way, self.network), key=lambda b: b[0])
                except Exception as error:  # a way that does not work here is none
                    print(f"torch: {way}: {type(error).__name__}: {error}", file=sys.stderr)
        self.network = best[2]
        return f"{best[1]} on {torch.cuda.get_device_name(device)}"

    def elapsed(self):
        """Milliseconds of one run between two events on the device."""
        begin, end = self.events
        with torch.inference_mode():
            begin.record()
            self.network(self.picture)
            end.record()
        end.synchronize()
        return begin.elapsed_time(end)

    def run(self):
        with torch.inference_mode():
            return self.network(self.picture)

    def answer(self, y):
        y = y[0].cpu()
        return y.numpy() if y.dtype == torch.uint8 else y.permute(1, 2, 0).numpy()
