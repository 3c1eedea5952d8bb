"""From columns of profile fields, as SQL and the profile name them, to the model's input."""

from collections.abc import Mapping
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usher.features import (
    CONTINENTS,
    DEVICE_TYPES,
    LIFETIME_COUNTERS,
    MODEL_INPUTS,
    PRODUCT_FEATURES,
    ROLLING_COUNTERS,
)

NUMBERS = (*LIFETIME_COUNTERS, "sessions_total", "active_ms", *ROLLING_COUNTERS)
COUNTED = (*NUMBERS, *(f"used_{name}" for name in PRODUCT_FEATURES))
"""The model inputs that are numbers of the profile; the others are one-hot from its two categories."""
PREDICT_COLUMNS = (*COUNTED, "device_type", "continent")
"""What `predict` is called with in SQL, in order."""
_ONE_HOT = {"device_type": ("device_", DEVICE_TYPES), "continent": ("continent_", CONTINENTS)}
_CODES = {column: dict(zip(names, range(len(names)), strict=True)) for column, (_, names) in _ONE_HOT.items()}
_ROWS = {column: np.eye(len(codes) + 1, len(codes), dtype=np.float32) for column, codes in _CODES.items()}
"""What stands in the matrix for each code; the last is for what has none."""


def used(counts: Mapping[str, int]) -> dict[str, int]:
    """`{"analytics": 2}` -> `{"used_analytics": 2, "used_automation": 0, …}`."""
    return {f"used_{name}": counts.get(name, 0) for name in PRODUCT_FEATURES}


def model_matrix(columns: Mapping[str, Any]) -> NDArray[np.float32]:
    """Columns named as `PREDICT_COLUMNS`, each of n values -> [n, len(MODEL_INPUTS)].

    A device or continent that is unknown or strange is zero in all of its columns.
    """
    matrix = np.empty((len(columns["device_type"]), len(MODEL_INPUTS)), np.float32)
    matrix[:, : len(COUNTED)] = np.array([columns[name] for name in COUNTED]).T  # one cast of all is the quickest
    first = len(COUNTED)
    for column, codes in _CODES.items():
        found = np.frombuffer(bytes(map(codes.get, columns[column], repeat(len(codes)))), np.uint8)
        matrix[:, first : first + len(codes)] = _ROWS[column].take(found, axis=0)
        first += len(codes)
    return matrix


# The numbers come first, in order, then the names of each category.
assert (*COUNTED, *(prefix + name for prefix, names in _ONE_HOT.values() for name in names)) == MODEL_INPUTS
