"""Prediction by onnxruntime: columns in, columns out."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray

from usher.features import MODEL_INPUTS

from ._bundle import INPUT, OUTPUTS, ModelError, read_bundle

Floats = NDArray[np.float32]


class Predictor:
    """`preferences, engagement = Predictor("build/model").predict(columns)`.

    Loading refuses, with a `ModelError`, a model that is not the one its manifest vouches for or that was trained on
    other features than `usher.features` names. One thread, no spinning: it shares its core with a stream worker.
    """

    def __init__(self, directory: str | Path) -> None:
        model, self.manifest = read_bundle(Path(directory))
        self._session = _session(model)

    @property
    def version(self) -> str:
        """The model's version: the beginning of its SHA-256."""
        return str(self.manifest["model_version"])

    def predict(self, columns: Mapping[str, ArrayLike]) -> tuple[Floats, Floats]:
        """Preferences [n, 6] over PRODUCT_FEATURES and engagement [n] in 0..100, from columns named in MODEL_INPUTS."""
        missing = [name for name in MODEL_INPUTS if name not in columns]
        if missing:
            raise ModelError(f"predict() lacks the columns {', '.join(missing)}: give all of MODEL_INPUTS.")
        return self.predict_matrix(np.column_stack([np.asarray(columns[name], np.float32) for name in MODEL_INPUTS]))

    def predict_matrix(self, matrix: Floats) -> tuple[Floats, Floats]:
        """The same from one float32 array [n, len(MODEL_INPUTS)]."""
        preferences, engagement = self._session.run([*OUTPUTS], {INPUT: np.ascontiguousarray(matrix, np.float32)})
        return preferences, np.clip(engagement[:, 0], 0, 100)


def _session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
