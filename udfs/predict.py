"""What a user will prefer and how engaged they are, by ONNX Runtime, a batch at a time."""

import json
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext

from usher.columns import model_matrix
from usher.features import INTEREST_COMPONENTS, PRODUCT_FEATURES
from usher.model import Prediction, Predictor, Served
from usher.settings import ROOT

INTERESTS = tuple(f"interest_{i + 1}" for i in range(INTEREST_COMPONENTS))
_log = logging.getLogger(__name__)
NUMBERS = ("engagement_score", *PRODUCT_FEATURES, *INTERESTS)
_SCALES = np.array([100.0] + [10_000.0] * (len(NUMBERS) - 1))[:, None]
"""Two digits of the engagement, four of the others."""
FIELDS = [DataTypes.FIELD(name, DataTypes.DOUBLE()) for name in NUMBERS] + [
    DataTypes.FIELD(name, DataTypes.STRING()) for name in ("model_version", "challenger")
]


class Predict:
    """Scores with the champion of the moment; the challenger's scores go along as JSON, for the log only."""

    def __init__(self, model_dir: str) -> None:
        self._model_dir = model_dir
        self._failed: set[str] = set()

    def open(self, function_context: FunctionContext) -> None:
        self._served = Served(ROOT / self._model_dir)

    def __call__(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        matrix = model_matrix(columns)
        champion, challenger = self._served.champion, self._served.challenger
        said: dict[str, Any] = dict(zip(NUMBERS, _numbers(champion.predict(matrix)), strict=True))
        said["model_version"] = [champion.version] * len(matrix)
        said["challenger"] = [None] * len(matrix) if challenger is None else self._shadow(challenger, matrix)
        return said

    def _shadow(self, challenger: Predictor, matrix: np.ndarray) -> list[str] | list[None]:
        """The challenger's scores; None for all when it fails, for it must not cost the champion's."""
        try:
            return _told(challenger.version, challenger.predict(matrix))
        except Exception as error:  # onnxruntime's errors share no base but this
            if challenger.version not in self._failed:  # said once, not with every batch
                self._failed.add(challenger.version)
                _log.error("the challenger %s fails, so its scores are not logged: %r", challenger.version, error)
            return [None] * len(matrix)


def _numbers(said: Prediction) -> np.ndarray:
    """[len(NUMBERS), n], rounded for the reader as np.round does, but all at once and in place."""
    numbers = np.empty((len(NUMBERS), len(said.engagement)))
    numbers[0] = said.engagement
    numbers[1 : 1 + len(PRODUCT_FEATURES)] = said.preferences.T
    numbers[1 + len(PRODUCT_FEATURES) :] = said.interests.T
    numbers *= _SCALES
    np.rint(numbers, out=numbers)
    numbers /= _SCALES
    return numbers


def _told(version: str, said: Prediction) -> list[str]:
    return [
        json.dumps(
            {
                "model_version": version,
                "engagement_score": row[0],
                "preferences": dict(zip(PRODUCT_FEATURES, row[1:], strict=False)),
            },
            allow_nan=False,
        )
        for row in _numbers(said).T.tolist()
    ]
