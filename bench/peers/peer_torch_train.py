"""The training step in PyTorch, on the CPU or a GPU: the network with its batch norms and auxiliary heads, channels last, SGD with momentum. The
fastest of eager and torch.compile is taken, by a short trial; bf16 is autocast."""

import contextlib
import sys

import numpy
import torch
from torch import nn
from torch.nn import functional

from trial import best_time
from worker import Skip

LOSSES_KEPT = 2  # steps
IGNORED = 255


class Parameters:
    """What training begins with, by segnas's names: weights are [taps][in][out] there, in one matrix."""

    def __init__(self, recipe, path):
        values, begin = numpy.fromfile(path, numpy.float32), 0
        self.values, self.decay = {}, {}
        for p in recipe["parameters"]:
            size = int(numpy.prod(p["shape"]))
            self.values[p["name"]] = torch.from_numpy(values[begin:begin + size].reshape(p["shape"]).copy())
            self.decay[p["name"]] = p["decay"]
            begin += size

    def conv(self, name, stride=1, bias=False):
        """The convolution of this name: pointwise [in, out], dense [9*in, out], depthwise [k*k, channels]."""
        weight = self.values[name + ".weight"]
        rows, out = weight.shape
        if name.endswith("depthwise"):
            k = int(rows ** 0.5)
            conv = nn.Conv2d(out, out, k, stride, k // 2, groups=out, bias=False)
            conv.weight.data = weight.T.reshape(out, 1, k, k).contiguous()
        elif name == "stem.conv":
            conv = nn.Conv2d(rows // 9, out, 3, stride, 1, bias=False)
            conv.weight.data = weight.reshape(3, 3, rows // 9, out).permute(3, 2, 0, 1).contiguous()
        else:
            conv = nn.Conv2d(rows, out, 1, bias=bias)
            conv.weight.data = weight.T.reshape(out, rows, 1, 1).contiguous()
            if bias:
                conv.bias.data = self.values[name + ".bias"].clone()
        conv.weight.decays = self.decay[name + ".weight"]
        return conv

    def conv_norm(self, name, stride=1, relu=True):
        conv = self.conv(name, stride)
        norm = nn.BatchNorm2d(conv.out_channels, eps=1e-5, momentum=0.1)
        norm.weight.data, norm.bias.data = self.values[name + ".bn.gamma"].clone(), self.values[name + ".bn.beta"].clone()
        return nn.Sequential(conv, norm, *[nn.ReLU(inplace=True)] * relu)

    def separable(self, name, stride=1):
        return nn.Sequential(self.conv_norm(name + ".depthwise", stride), self.conv_norm(name + ".pointwise"))


class Block(nn.Module):
    def __init__(self, parameters, name, stride):
        super().__init__()
        self.inside = nn.Sequential(
            parameters.conv_norm(name + ".expand"), parameters.conv_norm(name + ".depthwise", stride),
            parameters.conv_norm(name + ".project", relu=False))
        self.shortcut = stride == 1 and self.inside[0][0].in_channels == self.inside[2][0].out_channels

    def forward(self, x):
        y = self.inside(x)
        return x + y if self.shortcut else y


class Network(nn.Module):
    def __init__(self, parameters, arch, strides):
        super().__init__()
        p = parameters
        self.stem = nn.Sequential(p.conv_norm("stem.conv", 2), p.separable("stem.sep1", 2), p.separable("stem.sep2", 2))
        self.context = nn.Sequential(*[
            Block(p, f"stage{s + 1}.block{i + 1}", strides[s] if i == 0 else 1)
            for s, stage in enumerate(arch.split("_")) for i in range(len(stage.split(".")))])
        self.detail = p.separable("detail")
        self.head = nn.Sequential(p.separable("head.sep1"), p.separable("head.sep2"), p.conv("head.classifier", bias=True))
        self.aux_stem = nn.Sequential(p.separable("aux.stem.sep"), p.conv("aux.stem.classifier", bias=True))
        self.aux_fuse = nn.Sequential(p.separable("aux.fuse.sep"), p.conv("aux.fuse.classifier", bias=True))

    def forward(self, x, labels):
        stem = self.stem(x)
        detail = self.detail(stem)
        fused = detail + functional.interpolate(self.context(stem), size=detail.shape[2:], mode="bilinear", align_corners=False)

        def loss(logits):
            logits = functional.interpolate(logits.float(), size=labels.shape[1:], mode="bilinear", align_corners=False)
            return functional.cross_entropy(logits, labels, ignore_index=IGNORED)
        return torch.stack([loss(self.head(fused)), loss(self.aux_stem(stem)), loss(self.aux_fuse(fused))])


class Peer:
    layout = "NHWC"
    precisions = ["fp32", "bf16"]

    def version(self):
        return torch.__version__

    def load(self, job, picture):
        torch.set_num_threads(job.threads)
        torch.set_num_interop_threads(1)
        recipe = self.recipe = job.recipe
        self.device = torch.device(job.device)
        if self.device.type == "cuda":
            if not torch.cuda.is_available():
                raise Skip("torch finds no GPU")
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False  # float32 is float32
            torch.backends.cudnn.benchmark = True
        self.bf16 = job.precision == "bf16"
        self.weights = torch.tensor([1, recipe["aux_weight"], recipe["aux_weight"]]).to(self.device)
        self.pictures = torch.from_numpy(picture).permute(0, 3, 1, 2).to(self.device)  # channels last
        labels = numpy.fromfile(job.labels, numpy.uint8).reshape(job.batch, job.height, job.width)
        self.labels = torch.from_numpy(labels.astype(numpy.int64)).to(self.device)
        parameters = Parameters(recipe, job.weights)
        trials = []
        for name, make in {"eager": lambda net: net, "compiled": lambda net: torch.compile(net, dynamic=False)}.items():
            try:
                network = Network(parameters, job.arch, recipe["strides"]).to(self.device, memory_format=torch.channels_last).train()
                self.fresh(network, make(network))
                trials.append((best_time(self.run), name, network, self.network))
                print(f"torch: {name} {1e3 * trials[-1][0]:.0f} ms", file=sys.stderr)
            except Exception as error:  # a way that does not work here is none
                print(f"torch: {name}: {type(error).__name__}: {error}", file=sys.stderr)
        _, name, network, run = min(trials, key=lambda trial: trial[0])
        network.load_state_dict(Network(parameters, job.arch, recipe["strides"]).state_dict())
        self.fresh(network, run)
        del trials
        self.losses = numpy.stack([self.step().detach().cpu().numpy().copy() for _ in range(LOSSES_KEPT)])
        return name

    def fresh(self, network, run):
        """Takes a network to train, with an optimiser that remembers nothing."""
        self.network = run
        weights = list(network.parameters())
        decays = [getattr(w, "decays", False) for w in weights]
        self.optimiser = torch.optim.SGD([
            {"params": [w for w, d in zip(weights, decays) if d], "weight_decay": self.recipe["weight_decay"]},
            {"params": [w for w, d in zip(weights, decays) if not d]},
        ], lr=self.recipe["learning_rate"], momentum=self.recipe["momentum"], fused=True)

    def step(self):
        self.optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, dtype=torch.bfloat16) if self.bf16 else contextlib.nullcontext():
            losses = self.network(self.pictures, self.labels)
        (losses * self.weights).sum().backward()
        self.optimiser.step()
        return losses

    def run(self):
        losses = self.step()
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return losses

    def answer(self, _):
        return self.losses
