"""Prediction by onnxruntime."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ._bundle import INPUT, OUTPUTS, Contract, ModelError, read_bundle

Floats = NDArray[np.float32]


class Prediction(NamedTuple):
    """What a model says of n users."""

    preferences: Floats
    """[n, 6], probability to prefer each of PRODUCT_FEATURES"""
    engagement: Floats
    """[n], 0 to 100"""
    interests: Floats
    """[n, 3], coordinates on the principal components of what people use"""


class Predictor:
    """`Predictor("build/model/versions/0123456789ab").predict(matrix).preferences`.

    Loading refuses, with a `ModelError`, a model that is not the one its manifest vouches for, that was trained on
    other features than `usher.features` names, or that does not say what its manifest's self-test says it must.
    One thread, no spinning: it shares its core with a stream worker.
    """

    def __init__(self, directory: str | Path, contract: Contract | None = None) -> None:
        contract = contract or Contract()
        model, self.manifest = read_bundle(Path(directory), contract)
        self._features = contract.features
        self._session = _opened(model, directory)
        self._check_ends(contract, directory)
        self._self_test(directory)

    @property
    def version(self) -> str:
        """The model's version: the beginning of its SHA-256."""
        return str(self.manifest["model_version"])

    def predict(self, matrix: Floats) -> Prediction:
        """From float32 [n, len(MODEL_INPUTS)], as `usher.columns.model_matrix` makes it."""
        if matrix.ndim != 2 or matrix.shape[1] != len(self._features):
            raise ModelError(f"predict() got an array of shape {matrix.shape}: give (n, {len(self._features)}).")
        if not np.isfinite(matrix).all():
            finite = np.isfinite(matrix).all(axis=0)
            wrong = [name for name, ok in zip(self._features, finite, strict=True) if not ok]
            raise ModelError(f"predict() got NaN or infinite values in {', '.join(wrong)}: give finite numbers.")
        preferences, engagement, interests = self._session.run(
            [*OUTPUTS], {INPUT: np.ascontiguousarray(matrix, np.float32)}
        )
        return Prediction(preferences, np.clip(engagement[:, 0], 0, 100), interests)

    def _check_ends(self, contract: Contract, directory: str | Path) -> None:
        ends = {end.name: end.shape[-1] for end in (*self._session.get_inputs(), *self._session.get_outputs())}
        wanted = {INPUT: len(contract.features), **contract.facts()["outputs"]}
        if ends != wanted:
            raise ModelError(
                f"The model bundle {directory} is refused: its graph has the ends {ends}, but its manifest promises "
                f"{wanted}. Run `usher train` again."
            )

    def _self_test(self, directory: str | Path) -> None:
        test = self.manifest.get("self_test")
        if not isinstance(test, dict):
            raise ModelError(f"The model bundle {directory} is refused: no self_test. Run `usher train` again.")
        said = self._session.run([*OUTPUTS], {INPUT: np.array(test["inputs"], np.float32)})
        for name, got in zip(OUTPUTS, said, strict=True):
            off = float(np.abs(got - np.array(test[name])).max())
            if not off <= test["tolerance"][name]:
                raise ModelError(
                    f"The model bundle {directory} is refused: on its self-test {name} is off by {off:.2g}, more than "
                    f"{test['tolerance'][name]:.2g}. It is not the model that was measured: run `usher train` again."
                )


def opened(model: bytes) -> onnxruntime.InferenceSession:
    """A session of one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _opened(model: bytes, directory: Any) -> onnxruntime.InferenceSession:
    try:
        return opened(model)
    except Exception as error:  # onnxruntime's errors share no base but this
        raise ModelError(f"{directory}: onnxruntime cannot load the model ({error}): run `usher train`.") from error
