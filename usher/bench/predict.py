"""`usher bench predict`: ONNX Runtime and the UDF's predict step against scikit-learn's own predict, in one run.

The DataFrame that `personalize` makes of all three steps' answers is not in it.

Each kind of model is trained on the same history and answers all three questions: preferences, engagement, interests.
The contestants take turns, so that a busy machine slows all alike; the median of the rounds counts.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from rich.progress import track

from udfs.personalize import column
from udfs.predict import Predict
from usher.columns import COUNTED, PREDICT_COLUMNS, model_matrix
from usher.model import Dataset, Registry, config, label
from usher.model._bundle import INPUT, MODEL, OUTPUTS, Contract
from usher.model._export import told
from usher.model._predictor import opened
from usher.model._training import fitted, split_in_time, train
from usher.simulator import simulate_log

BATCHES = {1: 300, 100: 60, 1000: 12}
"""Rows a call, and calls a round."""
OPEN = config.Gate(1, -1, -1, 1, -1e9, -1e9)
"""Every kind is measured, also one that may not serve."""


def predict(users: int, seed: int, rounds: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Rows/s by kind and batch; ratios `onnx_over_sklearn`, `udf_over_sklearn` and `udf_overhead` over bare ONNX."""
    policy = dataclasses.replace(config.load(), gate=OPEN)
    rows = simulate_log(users, seed)
    examples = label(rows, policy.training.horizon_ms, policy.training.min_uses)
    return {kind: _kind(kind, rows, examples, policy, seed, rounds) for kind in kinds}


def _kind(
    kind: str, rows: pd.DataFrame, examples: Dataset, policy: config.Config, seed: int, rounds: int
) -> dict[str, Any]:
    past, _ = split_in_time(examples, policy.training.holdout, policy.training.horizon_ms)
    heads = fitted(past, {"roc_auc": kind, "r2": kind}, Contract(), seed)
    trained = train(examples, policy, seed, (kind,))
    session = opened(trained.files[MODEL])
    with tempfile.TemporaryDirectory() as directory:
        registry = Registry(directory)
        registry.promote(registry.add(trained), "to be measured")
        udf = Predict(directory)
        udf.open(None)
        found = {}
        for batch, calls in BATCHES.items():
            newest = rows.iloc[-batch:]
            counts = {name: _series(newest[name]) for name in COUNTED}
            # of `enrich`, which `personalize` calls before
            enriched = {name: newest[name].tolist() for name in PREDICT_COLUMNS if name not in COUNTED}
            matrix = model_matrix(counts | enriched)
            contestants: dict[str, Callable[[], Any]] = {
                "sklearn": lambda matrix=matrix: told(heads, matrix),  # type: ignore[misc]
                "onnx": lambda matrix=matrix: session.run([*OUTPUTS], {INPUT: matrix}),  # type: ignore[misc]
                "udf": lambda counts=counts, enriched=enriched: udf(  # type: ignore[misc]
                    {name: column(values) for name, values in counts.items()} | enriched
                ),
            }
            found[str(batch)] = _ratios(_seconds(contestants, calls, rounds, f"{kind}, batch {batch}"), batch)
    return found


def _series(column: pd.Series) -> pd.Series:
    """As Flink hands it over."""
    return column.reset_index(drop=True).astype(np.int64)


def _seconds(contestants: dict[str, Callable[[], Any]], calls: int, rounds: int, what: str) -> dict[str, float]:
    """Median seconds of a call of each."""
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in track(range(rounds), what, transient=True):
        for name, contestant in contestants.items():
            contestant()  # its code and data are in the caches before the clock starts
            repeats = max(1, calls // 20) if name == "sklearn" else calls
            begin = time.perf_counter()
            for _ in range(repeats):
                contestant()
            took[name].append((time.perf_counter() - begin) / repeats)
    return {name: statistics.median(seconds) for name, seconds in took.items()}


def _ratios(seconds: dict[str, float], batch: int) -> dict[str, float]:
    return {
        **{f"{name}_rows_s": round(batch / each) for name, each in seconds.items()},
        "onnx_over_sklearn": round(seconds["sklearn"] / seconds["onnx"], 2),
        "udf_over_sklearn": round(seconds["sklearn"] / seconds["udf"], 2),
        "udf_overhead": round(seconds["udf"] / seconds["onnx"] - 1, 3),
        "udf_overhead_us_per_row": round((seconds["udf"] - seconds["onnx"]) / batch * 1e6, 3),
    }
