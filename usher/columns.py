"""From columns of profile fields, as SQL and the profile name them, to columns of model inputs."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from usher.features import CONTINENTS, DEVICE_TYPES, LIFETIME_COUNTERS, PRODUCT_FEATURES, ROLLING_COUNTERS

NUMBERS = (*LIFETIME_COUNTERS, "sessions_total", "active_ms", *ROLLING_COUNTERS)
PREDICT_COLUMNS = (*NUMBERS, "feature_counts_json", "device_type", "continent")
"""What `predict` is called with in SQL, in order."""


def feature_counts(column: Iterable[str]) -> dict[str, np.ndarray]:
    """`{"analytics": 2}` a row -> one int64 column per product feature."""
    rows = [json.loads(text) for text in column]
    return {name: np.array([row.get(name, 0) for row in rows], dtype="i8") for name in PRODUCT_FEATURES}


def model_columns(columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Columns named as `PREDICT_COLUMNS` -> columns named as `MODEL_INPUTS`, float32, each of shape (n,)."""
    inputs = {name: np.asarray(columns[name], dtype="f4") for name in NUMBERS}
    for name, counts in feature_counts(columns["feature_counts_json"]).items():
        inputs[f"used_{name}"] = counts.astype("f4")
    device = np.asarray(columns["device_type"], dtype=object)
    continent = np.asarray(columns["continent"], dtype=object)
    inputs |= {f"device_{name}": (device == name).astype("f4") for name in DEVICE_TYPES}
    return inputs | {f"continent_{name}": (continent == name).astype("f4") for name in CONTINENTS}
