"""`usher bench training`: how long, and in how much memory, a model is trained on many rows, in a fresh process."""

import json
import resource
import subprocess
import sys
import time
from typing import Any

from usher.settings import ROOT


def training(rows: int, users: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Seconds (contest, fit, metrics with intervals, export, parity, report) and peak memory of that process in GiB."""
    command = [sys.executable, "-m", "usher.bench.training", str(rows), str(users), ",".join(kinds)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"The training failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _measure(rows: int, users: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    import numpy as np

    from usher.model import config, label, train
    from usher.simulator import simulate_log

    policy = config.load()
    examples = label(simulate_log(users, 1), policy.training.horizon_ms, policy.training.min_uses, every_row=True)
    simulated = len(examples)
    order = np.sort(np.random.default_rng(1).choice(simulated, rows, replace=rows > simulated))
    begin = time.perf_counter()
    trained = train(examples[order], policy, 1, kinds)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = trained.facts
    return {
        "rows": rows, "of_which_simulated": min(rows, simulated), "kinds": [*kinds], "winners": facts["kinds"],
        "fitted_on": facts["rows"]["train"], "measured_on": facts["rows"]["holdout"],
        "seconds": round(seconds, 1), "peak_gib": round(peak, 2),
    }  # fmt: skip


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]), tuple(sys.argv[3].split(",")))))
