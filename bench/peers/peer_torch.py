"""PyTorch on the CPU, channels last: the fastest of eager, frozen TorchScript and torch.compile, by a short trial."""

import os
import sys
import time

import torch
from torch.nn import functional

from graph import Graph


class Network(torch.nn.Module):
    def __init__(self, graph):
        super().__init__()
        self.steps, self.input, self.result = graph.steps, graph.input, graph.output
        self.convs = torch.nn.ModuleDict()
        for step in self.steps:
            if step.kind == "Conv":
                out, per_group = step.weight.shape[:2]
                conv = torch.nn.Conv2d(per_group * step.group, out, step.kernel, step.stride, step.pad, groups=step.group)
                conv.weight.data, conv.bias.data = torch.from_numpy(step.weight.copy()), torch.from_numpy(step.bias.copy())
                self.convs[step.output.replace(".", "_")] = conv

    def forward(self, x):
        values = {self.input: x}
        for step in self.steps:
            a = values[step.inputs[0]]
            if step.kind == "Conv":
                y = self.convs[step.output.replace(".", "_")](a)
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
        return y.float() if y.dtype == torch.bfloat16 else y


def best_time(run, seconds=1.0):
    run()
    best, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end or best == float("inf"):
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best


class Peer:
    layout = "NHWC"
    precisions = ["fp32", "bf16"]

    def version(self):
        return torch.__version__

    def load(self, job, picture):
        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)
        network = Network(Graph(job.model)).eval().to(memory_format=torch.channels_last)
        self.picture = torch.from_numpy(picture).permute(0, 3, 1, 2)  # channels last
        trials = {}
        for name, make in self.variants(network, job.precision).items():
            try:
                with torch.inference_mode():
                    run = make()
                    trials[name] = (best_time(lambda: run(self.picture)), run)
            except Exception as error:  # a variant that does not work here is none
                print(f"torch {name}: {type(error).__name__}: {str(error)[:500]}", file=sys.stderr)
        name = min(trials, key=lambda n: trials[n][0])
        self.network = trials[name][1]
        return name + " of " + ", ".join(f"{n} {t * 1e3:.1f} ms" for n, (t, _) in trials.items())

    def variants(self, network, precision):
        def frozen(net):
            script = torch.jit.freeze(torch.jit.trace(net, self.picture))
            script = torch.jit.optimize_for_inference(script)
            for _ in range(3):
                script(self.picture)
            return script

        def autocast():
            def run(x):
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    return network(x)
            return run

        if precision == "fp32":
            return {"eager": lambda: network, "frozen": lambda: frozen(network), "compile": lambda: torch.compile(network, mode="max-autotune-no-cudagraphs" if os.environ.get("SEGNAS_PEERS_AUTOTUNE") else None)}

        import copy
        half = copy.deepcopy(network).bfloat16()

        class Cast(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.network = half

            def forward(self, x):
                return self.network(x.bfloat16())
        cast = Cast().eval()
        return {"eager": lambda: cast, "autocast": autocast, "frozen": lambda: frozen(cast), "compile": lambda: torch.compile(cast)}

    def run(self):
        with torch.inference_mode():
            return self.network(self.picture)

    def answer(self, y):
        y = y[0]
        return y.numpy() if y.dtype == torch.uint8 else y.permute(1, 2, 0).numpy()
