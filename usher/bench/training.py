"""`usher bench training`: how long, and in how much memory, a model is trained on many rows, in a fresh process.

The rows are of simulated newcomers, each another decision: none is drawn twice. They are simulated in a process of
their own, so that the memory that is measured is that of reading, labelling and training.
"""

import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pandas as pd

from usher.settings import ROOT

MORE = 1.05
"""When the newcomers did too little, that many times as many as are missing are simulated."""


def training(rows: int, users: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Seconds to label and to train (contest, fit, metrics with intervals, export, parity, report), and peak GiB.

    At least so many `users` are simulated, and as many more as it takes for `rows` distinct examples.
    """
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.pickle"
        simulated = _run("simulate", str(rows), str(users), str(log))
        return simulated | _run("measure", str(rows), ",".join(kinds), str(log))


def _run(*arguments: str) -> dict[str, Any]:
    """What one of the two processes says last; its progress goes to where ours does."""
    command = [sys.executable, "-m", "usher.bench.training", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"The process `{' '.join(command)}` failed with {done.returncode}; why, it says above.")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _simulate(rows: int, users: int, file: Path) -> dict[str, Any]:
    """A log that holds so many examples, in the file."""
    from usher.simulator import simulate_log

    begin = time.perf_counter()
    while True:
        log = simulate_log(users, 1)
        examples = _examples(log)
        _say(f"{users:,} newcomers made {len(log):,} decisions, {examples:,} of them examples")
        if examples >= rows:
            break
        users = math.ceil(users * rows / examples * MORE)
    log.to_pickle(file)
    return {"users": users, "logged": len(log), "simulated_in_s": round(time.perf_counter() - begin, 1)}


def _examples(log: pd.DataFrame) -> int:
    from usher.model import config

    return int((log["updated_at"] <= log["updated_at"].max() - config.load().training.horizon_ms).sum())


def _measure(rows: int, kinds: tuple[str, ...], file: Path) -> dict[str, Any]:
    import numpy as np

    from usher.model import config, label, train

    policy = config.load()
    begin = time.perf_counter()
    examples = label(pd.read_pickle(file), policy.training.horizon_ms, policy.training.min_uses, every_row=True)
    chosen = np.sort(np.random.default_rng(1).choice(len(examples), rows, replace=False))
    examples = examples[chosen]
    labelled = time.perf_counter()
    _say(f"labelled {rows:,} distinct rows in {labelled - begin:.1f} s; training {', '.join(kinds)}")
    trained = train(examples, policy, 1, kinds)
    seconds = time.perf_counter() - labelled
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    facts = trained.facts
    distinct = set(zip(examples.users, examples.times.tolist(), strict=True))
    return {
        "rows": len(distinct), "of_users": len(set(examples.users)),
        "kinds": [*kinds], "winners": facts["kinds"],
        "fitted_on": facts["rows"]["train"], "measured_on": facts["rows"]["holdout"],
        "labelled_in_s": round(labelled - begin, 1), "trained_in_s": round(seconds, 1), "peak_gib": round(peak, 2),
    }  # fmt: skip


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    import rich

    rich.reconfigure(stderr=True)  # the bars, too: what is printed here is read by a program
    what, number, more, place = sys.argv[1:]
    if what == "simulate":
        print(json.dumps(_simulate(int(number), int(more), Path(place))))
    else:
        print(json.dumps(_measure(int(number), tuple(more.split(",")), Path(place))))
