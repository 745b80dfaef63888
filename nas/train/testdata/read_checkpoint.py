"""Reads checkpoints with Python's safetensors package and compares them with what Go wrote about them (the JSON file beside each).

    python3 -m venv .venv/checkpoints && .venv/checkpoints/bin/pip install -r nas/train/testdata/requirements.txt
    .venv/checkpoints/bin/python nas/train/testdata/read_checkpoint.py nas/train/testdata/checkpoint-*/*.safetensors
"""

import json
import pathlib
import sys

from safetensors import safe_open


def check(path):
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    with safe_open(path, "numpy") as file:
        metadata, names = file.metadata(), file.keys()
        assert metadata["format"] == "segnas checkpoint", metadata["format"]
        assert json.loads(metadata["model"]) == about["model"], metadata["model"]
        assert int(metadata["step"]) == about["step"] and int(metadata["seed"]) == about["seed"]
        assert sorted(names) == sorted(t["name"] for t in about["tensors"]), "other tensors"
        for t in about["tensors"]:
            values = file.get_tensor(t["name"])
            assert values.dtype == "float32" and list(values.shape) == t["shape"], f"{t['name']}: {values.dtype} {values.shape}"
            flat = values.ravel()
            assert flat[0] == t["first"] and flat[-1] == t["last"] and flat.sum(dtype="float64") == t["sum"], f"{t['name']}: other values"
    print(f"{path}: version {metadata['version']}, {about['model']['kind']}, {len(about['tensors'])} tensors as Go wrote them")


for name in sys.argv[1:]:
    check(pathlib.Path(name))
