"""Runs an exported network in ONNX Runtime on pictures and compares its labels with the label pictures that tools/segment wrote of the same network.

    python3 -m venv .venv/onnx && .venv/onnx/bin/pip install -r nas/export/testdata/requirements.txt
    .venv/onnx/bin/python nas/export/testdata/run_onnx.py NETWORK.onnx FOLDER_OF_PICTURES FOLDER_OF_LABELS
"""

import json
import pathlib
import sys

import numpy
import onnxruntime
from PIL import Image

EQUAL = 0.995  # share of all labels: a number between two steps may be rounded to either side, and in float32 hardly a label differs


def session(path, optimised):
    options = onnxruntime.SessionOptions()
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # Without VNNI products of bytes are summed in 16 bits, where they saturate, unless this is set.
    options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def check(path, pictures, labels):
    for optimised in (False, True):
        network = session(path, optimised)
        about = network.get_modelmeta().custom_metadata_map
        mean, std = json.loads(about["segnas.mean"]), json.loads(about["segnas.std"])
        equal, all_labels = 0, 0
        for picture in sorted(pathlib.Path(pictures).glob("*.png")):
            pixels = numpy.asarray(Image.open(picture).convert("RGB"), numpy.float32)
            x = ((pixels / 255 - mean) / std).astype(numpy.float32).transpose(2, 0, 1)[None]
            answer = network.run(None, {"picture": x})[0][0]
            ours = numpy.asarray(Image.open(pathlib.Path(labels) / f"{picture.stem}-labels.png"))
            equal, all_labels = equal + int((answer == ours).sum()), all_labels + ours.size
        print(f"{path}: {100 * equal / all_labels:.3f} % of {all_labels} labels are equal, {'optimised' if optimised else 'node by node'}")
        assert equal >= EQUAL * all_labels, "too few"


check(*sys.argv[1:])
