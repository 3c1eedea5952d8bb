"""`predict(...)`: what a user will prefer and how engaged they are, by ONNX Runtime, a batch at a time."""

import numpy as np
import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from usher.columns import PREDICT_COLUMNS, model_columns
from usher.features import PRODUCT_FEATURES
from usher.model import Predictor

RESULT = DataTypes.ROW(
    [DataTypes.FIELD("engagement_score", DataTypes.DOUBLE())]
    + [DataTypes.FIELD(name, DataTypes.DOUBLE()) for name in PRODUCT_FEATURES]
    + [DataTypes.FIELD("model_version", DataTypes.STRING())]
)


class Predict(ScalarFunction):
    """Loads the model once a worker and refuses one whose feature contract differs."""

    def __init__(self, model_dir: str) -> None:
        self._model_dir = model_dir

    def open(self, function_context: FunctionContext) -> None:
        self._predictor = Predictor(self._model_dir)

    def eval(self, *columns: pd.Series) -> pd.DataFrame:
        preferences, engagement = self._predictor.predict(
            model_columns(dict(zip(PREDICT_COLUMNS, columns, strict=True)))
        )
        frame = {"engagement_score": np.round(engagement.astype("f8"), 2)}
        for i, name in enumerate(PRODUCT_FEATURES):
            frame[name] = np.round(preferences[:, i].astype("f8"), 4)
        frame["model_version"] = [self._predictor.version] * len(engagement)
        return pd.DataFrame(frame)


def predict(model_dir: str):
    """The function as Flink registers it."""
    return udf(Predict(model_dir), result_type=RESULT, func_type="pandas")
