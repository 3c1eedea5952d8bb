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
_POSITIONS = {
    column: {name: MODEL_INPUTS.index(prefix + name) for name in names} for column, (prefix, names) in _ONE_HOT.items()
}


def used(counts: Mapping[str, int]) -> dict[str, int]:
    """`{"analytics": 2}` -> `{"used_analytics": 2, "used_automation": 0, …}`."""
    return {f"used_{name}": counts.get(name, 0) for name in PRODUCT_FEATURES}


def model_matrix(columns: Mapping[str, Any]) -> NDArray[np.float32]:
    """Columns named as `PREDICT_COLUMNS`, each of n values -> [n, len(MODEL_INPUTS)].

    A device or continent that is unknown or strange is zero in all of its columns.
    """
    rows = len(columns["device_type"])
    matrix = np.zeros((rows, len(MODEL_INPUTS)), np.float32)
    for position, name in enumerate(COUNTED):  # the first of MODEL_INPUTS, in this order
        matrix[:, position] = columns[name]
    for column, positions in _POSITIONS.items():
        at = np.fromiter(map(positions.get, columns[column], repeat(-1)), np.intp, rows)
        known = np.flatnonzero(at >= 0)
        matrix[known, at[known]] = 1
    return matrix


assert MODEL_INPUTS[: len(COUNTED)] == COUNTED
