"""From columns of profile fields, as SQL and the profile name them, to the model's input."""

from collections.abc import Mapping
from itertools import product, repeat
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
"""What `model_matrix` is made of: the numbers in its order, then the two categories."""
_DEVICES = dict(zip(DEVICE_TYPES, range(len(DEVICE_TYPES)), strict=True))
_CONTINENTS = dict(zip(CONTINENTS, range(len(CONTINENTS)), strict=True))
_ONE_HOT = np.stack(
    [
        np.concatenate(pair)
        for pair in product(
            np.eye(len(_DEVICES) + 1, len(_DEVICES), dtype=np.float32),
            np.eye(len(_CONTINENTS) + 1, len(_CONTINENTS), dtype=np.float32),
        )
    ]
)
"""What stands in the matrix for each pair of codes; the last code of either is for what has none."""


def used(counts: Mapping[str, int]) -> dict[str, int]:
    """`{"analytics": 2}` -> `{"used_analytics": 2, "used_automation": 0, …}`."""
    return {f"used_{name}": counts.get(name, 0) for name in PRODUCT_FEATURES}


def model_matrix(columns: Mapping[str, Any]) -> NDArray[np.float32]:
    """Columns named as `PREDICT_COLUMNS`, each of n values (the texts quickest as lists) -> [n, len(MODEL_INPUTS)].

    A device or continent that is unknown or strange is zero in all of its columns.
    """
    matrix = np.empty((len(columns["device_type"]), len(MODEL_INPUTS)), np.float32)
    matrix[:, : len(COUNTED)] = np.array([columns[name] for name in COUNTED]).T  # one cast of all is the quickest
    pairs = _coded(columns["device_type"], _DEVICES) * (len(_CONTINENTS) + 1)
    pairs += _coded(columns["continent"], _CONTINENTS)
    matrix[:, len(COUNTED) :] = _ONE_HOT.take(pairs, axis=0)
    return matrix


def _coded(names: Any, codes: dict[str, int]) -> NDArray[np.uint8]:
    return np.frombuffer(bytes(map(codes.get, names, repeat(len(codes)))), np.uint8)


# The numbers come first, in order, then the names of each category.
assert (*COUNTED, *(f"device_{name}" for name in _DEVICES), *(f"continent_{name}" for name in _CONTINENTS)) == (
    MODEL_INPUTS
)
