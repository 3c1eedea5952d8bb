"""Who competes: four kinds of models, from the simplest to the most complex."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx.common.data_types import FloatTensorType
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class LogCounts(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """log(1 + max(x, 0)) of the columns at `positions`, all by default: counts and durations on a log scale."""

    def __init__(self, positions: tuple[int, ...] | None = None) -> None:
        self.positions = positions

    def fit(self, x: NDArray[np.float32], y: Any = None) -> "LogCounts":
        self.n_features_in_ = x.shape[1]
        return self

    def transform(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        picked = x if self.positions is None else x[:, [*self.positions]]
        return np.asarray(np.log(np.maximum(picked, 0) + np.float32(1)))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "n_features_in_")


@dataclass(frozen=True)
class Candidate:
    """A kind of model; each maker takes a seed and gives an unfitted estimator."""

    name: str
    classifier: Callable[[int], Any]
    regressor: Callable[[int], Any]


def _scaled(estimator: Any) -> Any:
    return make_pipeline(LogCounts(), StandardScaler(), estimator)


_FOREST = {"n_estimators": 60, "max_depth": 10, "min_samples_leaf": 20, "max_samples": 0.5, "n_jobs": -1}
_BOOSTING = {"max_iter": 80, "learning_rate": 0.08, "max_leaf_nodes": 12, "min_samples_leaf": 40}
_BOOSTING |= {"early_stopping": False}  # it would split by class, and fail on a feature that a single user prefers
_NET = {"hidden_layer_sizes": (32,), "alpha": 1e-3, "learning_rate_init": 0.01, "early_stopping": True, "max_iter": 200}

CANDIDATES = (
    Candidate(
        "linear",
        lambda seed: _scaled(OneVsRestClassifier(LogisticRegression(C=0.1, max_iter=500, random_state=seed))),
        lambda seed: _scaled(Ridge(10.0, random_state=seed)),
    ),
    Candidate(
        "gradient_boosting",
        lambda seed: OneVsRestClassifier(HistGradientBoostingClassifier(**_BOOSTING, random_state=seed)),
        lambda seed: HistGradientBoostingRegressor(**_BOOSTING, random_state=seed),
    ),
    Candidate(
        "random_forest",
        lambda seed: OneVsRestClassifier(RandomForestClassifier(**_FOREST, random_state=seed)),
        lambda seed: RandomForestRegressor(**_FOREST, random_state=seed),
    ),
    Candidate(
        "neural_net",
        lambda seed: _scaled(MLPClassifier(**_NET, random_state=seed)),
        lambda seed: _scaled(MLPRegressor(**_NET, random_state=seed)),
    ),
)
"""From the quickest to the slowest at prediction; the first that is as good as the best wins."""


def exact_in_float32(fitted: Any) -> Any:
    """Boosted trees compare with float64 thresholds, ONNX with float32 ones: move each to the float32 just below.

    A float32 input is at most the one threshold exactly when it is at most the other, so nothing else changes.
    """
    for estimator in getattr(fitted, "estimators_", [fitted]):
        for stage in getattr(estimator, "_predictors", []):
            for tree in stage:
                exact = tree.nodes["num_threshold"]
                near = exact.astype(np.float32)
                below = np.nextafter(near, np.float32(-np.inf))
                tree.nodes["num_threshold"] = np.where(near > exact, below, near)
    return fitted


def _shape(operator: Any) -> None:
    positions = operator.raw_operator.positions
    width = operator.inputs[0].type.shape[1] if positions is None else len(positions)
    operator.outputs[0].type = FloatTensorType([None, width])


def _convert(scope: Any, operator: Any, container: Any) -> None:
    counts = operator.inputs[0].full_name
    positions = operator.raw_operator.positions
    names = {name: scope.get_unique_variable_name(name) for name in ("positions", "picked", "one", "positive", "above")}
    if positions is not None:
        container.add_initializer(names["positions"], TensorProto.INT64, [len(positions)], [*positions])
        container.add_node("Gather", [counts, names["positions"]], names["picked"], axis=1, op_version=13)
        counts = names["picked"]
    container.add_initializer(names["one"], TensorProto.FLOAT, [], [1.0])
    container.add_node("Relu", [counts], names["positive"], op_version=14)
    container.add_node("Add", [names["positive"], names["one"]], names["above"], op_version=14)
    container.add_node("Log", [names["above"]], operator.outputs[0].full_name, op_version=13)


update_registered_converter(LogCounts, "UsherLogCounts", _shape, _convert)
