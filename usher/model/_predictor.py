"""Prediction by onnxruntime."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from ._bundle import INPUT, MODEL, OUTPUTS, TOLERANCE_MAX, Contract, ModelError, read_bundle

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
        files, self.manifest = read_bundle(Path(directory), contract)
        self._features = contract.features
        self._session = _opened(files[MODEL], directory)
        for problem in (self._ends_problem, self._self_test_problem):  # the second asks the ends that the first checks
            if (found := problem(contract.facts()["outputs"])) is not None:
                raise ModelError(f"The model bundle {directory} is refused: {found}. Run `usher train` again.")

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
        return Prediction(preferences, engagement[:, 0].clip(0, 100), interests)

    def _ends_problem(self, widths: dict[str, int]) -> str | None:
        ends = {end.name: _width(end) for end in (*self._session.get_inputs(), *self._session.get_outputs())}
        wanted = {INPUT: len(self._features), **widths}
        return None if ends == wanted else f"its graph has the ends {ends}, but its manifest promises {wanted}"

    def _self_test_problem(self, widths: dict[str, int]) -> str | None:
        """What is wrong with the manifest's self-test, or with the model's answers to it."""
        test = self.manifest.get("self_test")
        if not isinstance(test, dict):
            return "no self_test"
        if (inputs := _table(test.get("inputs"), len(self._features))) is None:
            return f"the inputs of its self-test are no table of finite numbers, {len(self._features)} a row"
        try:
            answers = self._answers(inputs.astype(np.float32))
        except Exception as error:  # onnxruntime's errors share no base but this
            return f"onnxruntime cannot run its self-test ({error})"
        for name, said in zip(OUTPUTS, answers, strict=True):
            if (problem := _answer_problem(name, said, test, (len(inputs), widths[name]))) is not None:
                return problem
        return None

    def _answers(self, inputs: Floats) -> list[Any]:
        """To a batch, and below it to its first row alone, for a batch may have any size."""
        batches = [self._session.run([*OUTPUTS], {INPUT: rows}) for rows in (inputs, inputs[:1])]
        return [np.vstack(parts) for parts in zip(*batches, strict=True)]


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


def _width(end: Any) -> int | str:
    """Of an end of float32 rows, any number of them; else what it is instead."""
    shape = end.shape
    if end.type == "tensor(float)" and len(shape) == 2 and not isinstance(shape[0], int) and isinstance(shape[1], int):
        return int(shape[1])
    return f"{end.type} {shape}"


def _table(numbers: Any, width: int) -> NDArray[np.float64] | None:
    """Rows of so many finite numbers, at least one; None if that is not what they are."""
    try:
        table = np.array(numbers, np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    fits = table.ndim == 2 and len(table) and table.shape[1] == width and np.isfinite(table).all()
    return table if fits else None


def _answer_problem(name: str, said: NDArray[Any], test: dict[str, Any], shape: tuple[int, int]) -> str | None:
    """What is wrong with one output's answers in the self-test, or with what the model said."""
    truth = _table(test.get(name), shape[1])
    if truth is None or truth.shape != shape:
        return f"{name} of its self-test is no table of {shape[0]} × {shape[1]} finite numbers"
    if (limit := _limit(test.get("tolerance"), name, truth)) is None:
        return f"the tolerance of its self-test for {name} is no number from 0 to {TOLERANCE_MAX} of its scale"
    expected = np.vstack([truth, truth[:1]])
    off = float(np.abs(said - expected).max()) if said.shape == expected.shape else float("inf")
    if off <= limit:
        return None
    return f"on its self-test {name} is off by {off:.2g}, more than {limit:.2g}; it is not the model that was measured"


def _limit(tolerance: Any, name: str, truth: NDArray[np.float64]) -> float | None:
    """How far this output may be off; None when the manifest does not say, or would let anything pass."""
    limit = tolerance.get(name) if isinstance(tolerance, dict) else None
    scale = {"preferences": 1.0, "engagement": 100.0}.get(name) or max(1.0, float(np.abs(truth).max()))
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return None
    return limit if 0 <= limit <= TOLERANCE_MAX * scale else None
