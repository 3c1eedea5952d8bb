"""From a feature row to preferences and engagement: training, registry, and prediction by ONNX.

>>> trained = train(dataset, config.load(), seed=1)                           # doctest: +SKIP
>>> version = Registry("build/model").add(trained)                            # doctest: +SKIP
>>> prediction = Served("build/model").champion.predict(matrix)              # doctest: +SKIP
"""

from typing import Any

from ._bundle import ModelError
from ._predictor import Prediction, Predictor
from ._registry import Registry
from ._served import Served
from .dataset import Dataset, label

__all__ = ["Dataset", "ModelError", "Prediction", "Predictor", "Registry", "Served", "label", "train"]


def __getattr__(name: str) -> Any:
    if name == "train":  # scikit-learn is imported by who trains, not by every worker that predicts
        from ._training import train

        return train
    raise AttributeError(f"module {__name__} has no {name}")
