"""`personalize(...)`: enrich, predict and decide in one crossing between the JVM and Python, a batch at a time.

One after another as functions of their own, each cost a bundle, an Arrow batch both ways and a wait (docs/speed.md).
"""

import time
from typing import Any

import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from udfs import decide, enrich, predict
from udfs.metrics import Metrics
from usher.access import kafka_login
from usher.columns import COUNTED
from usher.features import SLOTS
from usher.settings import shipped

INPUTS = ("at", "user_id", *COUNTED, "ip", "user_agent", "locale", "recent", "consent")
"""What `personalize` is called with in SQL, in order."""

RESULT = DataTypes.ROW([*enrich.FIELDS, *predict.FIELDS, *decide.FIELDS])


class Personalize(ScalarFunction):
    """The three of them; each finds its columns by name among the inputs and what those before it said.

    Columns are lists of objects or arrays of numbers; the answer alone is a DataFrame, which costs more to make than a
    linear model to ask (docs/model.md).
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._enrich = enrich.Enrich(shipped(settings["geo_database"]))
        self._predict = predict.Predict(shipped(settings["model_dir"]))
        self._decide = decide.Decide(shipped(settings["rules_dir"]), kafka_login(settings))

    def open(self, function_context: FunctionContext) -> None:
        for step in (self._enrich, self._predict, self._decide):
            step.open(function_context)
        self._metrics = Metrics(function_context.get_metric_group())

    def close(self) -> None:
        self._decide.close()

    def eval(self, *series: pd.Series) -> pd.DataFrame:
        known = {name: column(values) for name, values in zip(INPUTS, series, strict=True)}
        answer: dict[str, Any] = {}
        for step in (self._enrich, self._predict, self._decide):
            began = time.perf_counter()
            found = step(known)
            if step is self._predict:
                self._metrics.predicted(time.perf_counter() - began, len(series[0]))
            known |= found
            answer |= found
        for slot in SLOTS[:3]:
            self._metrics.decided(answer[f"{slot}_rule"])
        return pd.DataFrame(answer, copy=False)  # nobody needs its blocks in one piece


def column(values: pd.Series) -> Any:
    """What the steps take: texts as a list, numbers and times as an array."""
    data = values.values  # half the time of to_numpy()
    return data.tolist() if data.dtype == object else data


def personalize(settings: dict[str, Any]):
    """The function as Flink registers it."""
    return udf(Personalize(settings), result_type=RESULT, func_type="pandas")
