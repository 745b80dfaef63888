"""What is printed."""

import json
import statistics
import sys

from machine import BUSY

OURS = "segnas"


def quartiles(worker):
    times = sorted(ms for turn in worker.rounds for ms in turn)
    if len(times) < 2:
        return times[0], times[0], times[0]
    q = statistics.quantiles(times, n=4, method="inclusive")
    return q[0], q[1], q[2]


def ratio(peer, ours):
    """How many times faster ours is: the median over the rounds, in each of which both had the same conditions."""
    return statistics.median(statistics.median(p) / statistics.median(o) for p, o in zip(peer.rounds, ours.rounds))


def growth(worker):
    return worker.memory["peak_mb"] - worker.memory["before_mb"]


class Tables:
    def __init__(self, conditions):
        c = conditions
        print(f"cpu      {c['cpu']}, {c['processors']} processors, segnas on {c['isas'][-1]} of {' '.join(c['isas'])}")
        print(f"commit   {c['commit']} (library {c['stamp'][:12]}), {c['date']}, Linux {c['system']}, Python {c['python']}")
        print(f"load     {c['load']:.2f}; others take {100 * c['others']:.0f} % of the processors")
        if c["others"] > BUSY:
            print("         THE MACHINE IS BUSY: ratios may hold, milliseconds do not")
        self.versions = {}

    def group(self, result, versions):
        self.versions = versions
        workers = result["workers"]
        ours = [w for w in workers if w.name == OURS]
        busy = f"; BUSY: others took {100 * result['others']:.0f} % of the processors" if result["others"] > BUSY else ""
        print(f"\n{result['group']}: {result['rounds']} rounds{busy}")
        head = "".join(f"{'x ' + w.precision:>13}" for w in ours)
        print(f"  {'':24}{'ms':>9}  {'quartiles':17}{head}{'peak MB':>9}  answers")
        for w in workers:
            low, middle, high = quartiles(w)
            ratios = "".join(f"{ratio(w, o):13.2f}" if w is not o else f"{'1':>13}" for o in ours)
            print(f"  {w.name + ' ' + w.precision:24}{middle:9.2f}  {f'{low:.2f} .. {high:.2f}':17}{ratios}{growth(w):9.0f}  {w.agreement}")
        for w in workers:
            if " of " in w.variant:
                print(f"    {w.name} {w.precision}: {w.variant}")
        sys.stdout.flush()

    def end(self, skipped, wrong, seconds):
        print("\nx P: how many times as long as segnas at precision P, median over the rounds. peak MB: resident memory in use while running,")
        print("less what was resident before the model was loaded.")
        print("versions " + ", ".join(f"{name} {version}" for name, version in self.versions.items()))
        for who, reason in skipped.items():
            print(f"skipped  {who}: {reason}")
        for line in wrong:
            print(f"WRONG    {line}")
        print(f"{seconds:.0f} s in all")


class JSONLines:
    def __init__(self, conditions):
        self.conditions = conditions

    def group(self, result, versions):
        group, workers = result["group"], result["workers"]
        for ours in [w for w in workers if w.name == OURS]:
            for peer in [w for w in workers if w.name != OURS]:
                print(json.dumps({
                    "work": group.work, "size": f"{group.size[0]}x{group.size[1]}", "threads": group.threads, "precision": ours.precision,
                    "ours_ms": quartiles(ours)[1], "peer": peer.name, "peer_precision": peer.precision, "peer_ms": quartiles(peer)[1],
                    "ratio": ratio(peer, ours), "ours_quartiles": quartiles(ours)[::2], "peer_quartiles": quartiles(peer)[::2],
                    "rounds": result["rounds"], "ours_peak_mb": growth(ours), "peer_peak_mb": growth(peer), "answers": peer.agreement,
                    "peer_variant": peer.variant, "peer_version": versions[peer.name], "others": result["others"], **{
                        name: self.conditions[name] for name in ("cpu", "commit", "date", "load")},
                }), flush=True)

    def end(self, skipped, wrong, seconds):
        for who, reason in skipped.items():
            print(f"skipped {who}: {reason}", file=sys.stderr)
        for line in wrong:
            print(f"WRONG {line}", file=sys.stderr)
