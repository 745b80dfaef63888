"""Prints what TensorBoard's own reader finds in a training's folder: every tag with its number of points, its first and its last.

    python3 -m venv .venv/events && .venv/events/bin/pip install -r nas/train/events/testdata/requirements.txt
    .venv/events/bin/python nas/train/events/testdata/read_events.py runs/NAME/FOLDER

With --same-as metrics.jsonl it also compares every point with the log, and ends with 1 where one is missing, surplus or another.
"""

import json
import struct
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator, SCALARS


def expected(path):
    """The scalars that a log of steps and evaluations without class names stands for: tag -> [(step, value)]."""
    points = {}
    for line in open(path, encoding="utf-8"):
        r = json.loads(line)
        values = {"evaluation/miou": r["miou"]} if "miou" in r else {
            "training/" + name: r.get(name, 0) for name in ("loss", "learning_rate", "pictures_per_second")}
        if drawn := r.get("random_miou"):
            values |= {"random_miou/mean": sum(drawn) / len(drawn), "random_miou/min": min(drawn), "random_miou/max": max(drawn)}
        for tag, value in values.items():
            points.setdefault(tag, []).append((r["step"], struct.unpack("f", struct.pack("f", value))[0]))
    return points


def main(folder, log):
    reader = EventAccumulator(folder, size_guidance={SCALARS: 0})
    reader.Reload()
    found = {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    for tag, points in sorted(found.items()):
        print(f"{tag:40} {len(points):6} points, step {points[0][0]}: {points[0][1]:.6g} ... step {points[-1][0]}: {points[-1][1]:.6g}")
    if log:
        wanted = expected(log)
        differ = [tag for tag in wanted if found.get(tag) != wanted[tag]]
        differ += [tag for tag in found if tag not in wanted and not tag.startswith("class_iou/")]
        print("as in the log" if not differ else f"other than in the log: {', '.join(differ)}")
        return bool(differ)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    log = arguments.pop(arguments.index("--same-as") + 1) if "--same-as" in arguments else None
    sys.exit(main(arguments[0], log))
