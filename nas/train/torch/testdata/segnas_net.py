"""A plain network of segnas as a PyTorch module: its state_dict is what tools/import reads and writes.

    net = SegnasNet("k3e6.k3e6.k3e6_k3e6.k3e6.k3e6_k3e6.k3e6.k3e6", classes=19)
    net.load_state_dict(safetensors.torch.load_file("network.torch.safetensors"))
    logits = net.eval()(pictures)    # [N, 3, h, w], normalised -> [N, classes, h/8, w/8]
"""

from torch import nn
from torch.nn import functional


class ConvBN(nn.Module):
    def __init__(self, inputs, outputs, kernel=1, stride=1, groups=1, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=1e-5, momentum=0.1)
        self.relu = relu

    def forward(self, x):
        x = self.bn(self.conv(x))
        return functional.relu(x) if self.relu else x


class Separable(nn.Module):
    def __init__(self, inputs, outputs, stride=1):
        super().__init__()
        self.depthwise = ConvBN(inputs, inputs, 3, stride, groups=inputs)
        self.pointwise = ConvBN(inputs, outputs)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Stem(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = ConvBN(3, 32, 3, 2)
        self.sep1 = Separable(32, 48, 2)
        self.sep2 = Separable(48, 64, 2)

    def forward(self, x):
        return self.sep2(self.sep1(self.conv(x)))


class Block(nn.Module):
    def __init__(self, inputs, outputs, kernel, expand, stride):
        super().__init__()
        middle = expand * inputs
        self.expand = ConvBN(inputs, middle)
        self.depthwise = ConvBN(middle, middle, kernel, stride, groups=middle)
        self.project = ConvBN(middle, outputs, relu=False)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.shortcut else y


class Head(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.sep1 = Separable(width, width)
        self.sep2 = Separable(width, width)
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        return self.classifier(self.sep2(self.sep1(x)))


class Auxiliary(nn.Module):
    """Predicts the classes from an inner layer, in training alone."""

    def __init__(self, width, classes):
        super().__init__()
        self.sep = Separable(width, 64)
        self.classifier = nn.Conv2d(64, classes, 1)

    def forward(self, x):
        return self.classifier(self.sep(x))


class SegnasNet(nn.Module):
    """arch is the architecture's text; widths and strides are the three stages'."""

    def __init__(self, arch, classes, widths=(64, 96, 128), strides=(1, 2, 2), auxiliary=True):
        super().__init__()
        self.stem = Stem()
        inputs = 64
        for s, stage in enumerate(arch.split("_")):
            blocks = nn.Module()
            for i, text in enumerate(stage.split(".")):
                block = Block(inputs, widths[s], int(text[1]), int(text[3]), strides[s] if i == 0 else 1)
                blocks.add_module(f"block{i + 1}", block)
                inputs = widths[s]
            self.add_module(f"stage{s + 1}", blocks)
        self.detail = Separable(64, widths[2])
        self.head = Head(widths[2], classes)
        if auxiliary:
            self.aux = nn.ModuleDict({"stem": Auxiliary(64, classes), "fuse": Auxiliary(widths[2], classes)})

    def forward(self, x):
        stem = self.stem(x)
        x = stem
        for stage in (self.stage1, self.stage2, self.stage3):
            for block in stage.children():
                x = block(x)
        detail = self.detail(stem)
        fused = detail + functional.interpolate(x, size=detail.shape[2:], mode="bilinear", align_corners=False)
        logits = self.head(fused)
        if self.training and hasattr(self, "aux"):
            return logits, self.aux["stem"](stem), self.aux["fuse"](fused)
        return logits
