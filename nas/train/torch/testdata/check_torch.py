"""PyTorch's side of the import's check.

    python3 -m venv .venv/torch && .venv/torch/bin/pip install -r nas/train/torch/testdata/requirements.txt
    .venv/torch/bin/python nas/train/torch/testdata/check_torch.py write FOLDER     # what the Go tests read: state_dicts and their logits
    .venv/torch/bin/python nas/train/torch/testdata/check_torch.py load FILE MODEL  # loads what import --to-torch wrote, and compares the
                                                                                    # logits with those of the golden checkpoint's JSON
"""

import json
import pathlib
import sys

import numpy
import safetensors.torch
import torch

from segnas_net import SegnasNet

SIZE = 32


def picture():
    """The picture of the Go tests, [1, 3, h, w]."""
    x = numpy.arange(SIZE * SIZE * 3, dtype=numpy.int64) * 37 % 101
    return torch.from_numpy((x.astype(numpy.float32) / 25 - 2).reshape(1, SIZE, SIZE, 3)).permute(0, 3, 1, 2)


def logits_of(net):
    with torch.no_grad():
        return net.double().eval()(picture().double())[0].permute(1, 2, 0)


def small(auxiliary):
    """A narrow network with weights of few digits, which every type of number holds."""
    torch.manual_seed(5)
    arch, about = "k3e1_k5e1_k3e2.k3e1", dict(classes=3, widths=(8, 8, 8), strides=(1, 2, 2))
    net = SegnasNet(arch, auxiliary=auxiliary, **about)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                drawn = torch.randn_like(value) * (2 / value[0].numel()) ** 0.5 if value.dim() == 4 else torch.rand_like(value) + 0.5
                value.copy_((drawn * 32).round() / 32)
    return arch, about, net


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    arch, about, net = small(False)
    state = {k: v.clone() for k, v in net.state_dict().items()}
    safetensors.torch.save_file(state, folder / "f32.safetensors", {"format": "pt"})
    torch.save(net.state_dict(), folder / "f32.pth")
    half = {k: v.half() if v.dtype.is_floating_point else v for k, v in state.items()}
    torch.save(half, folder / "f16.pth")
    logits = logits_of(net).flatten().tolist()
    (folder / "f32.json").write_text(json.dumps({"arch": arch, **about, "logits": logits}) + "\n")
    print(f"wrote {len(state)} tensors, logits up to {max(map(abs, logits)):.4g}")


def load(path, model):
    about = json.loads(model.read_text(encoding="utf-8"))
    net = SegnasNet(about["model"]["arch"], about["model"]["network"]["classes"], about["model"]["network"]["widths"], about["model"]["network"]["strides"])
    net.load_state_dict(safetensors.torch.load_file(path))
    got, want = logits_of(net).flatten().numpy(), numpy.array(about["logits"][0])
    error = numpy.max(numpy.abs(got - want)) / numpy.max(numpy.abs(want))
    print(f"{path}: logits differ by {error:.1e} of the largest")
    return bool(error > 1e-4)


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    sys.exit({"write": write, "load": load}[command](*map(pathlib.Path, paths)))
