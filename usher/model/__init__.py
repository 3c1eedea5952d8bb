"""From a feature row to preferences and engagement: training, and prediction by ONNX.

>>> train(simulate_history(3000, seed=1), "build/model", seed=1)      # doctest: +SKIP
>>> preferences, engagement = Predictor("build/model").predict(columns)   # doctest: +SKIP
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._bundle import ModelError
from ._predictor import Predictor

if TYPE_CHECKING:
    from usher.simulator import History

__all__ = ["ModelError", "Predictor", "train"]


def train(history: "History", out_dir: str | Path, seed: int) -> dict[str, Any]:
    """Train on a history, write `model.onnx` and `manifest.json` into `out_dir`, and return the manifest."""
    from ._training import train  # scikit-learn is imported by who trains, not by every worker that predicts

    return train(history, out_dir, seed)
