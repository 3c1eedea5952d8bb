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
from usher.columns import COUNTED, PREDICT_COLUMNS
from usher.features import SLOTS
from usher.settings import shipped

INPUTS = ("at", "user_id", *COUNTED, "ip", "user_agent", "locale", "recent", "consent")
"""What `personalize` is called with in SQL, in order."""

RESULT = DataTypes.ROW([*enrich.FIELDS, *predict.FIELDS, *decide.FIELDS])


class Personalize(ScalarFunction):
    """The three of them; each finds its arguments by name among the inputs and what those before it said."""

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
        known = dict(zip(INPUTS, series, strict=True))
        answer: dict[str, pd.Series] = {}
        for step, arguments in (
            (self._enrich, ("ip", "user_agent")),
            (self._predict, PREDICT_COLUMNS),
            (self._decide, decide.DECIDE_COLUMNS),
        ):
            began = time.perf_counter()
            found = step.eval(*(known[name] for name in arguments))
            if step is self._predict:
                self._metrics.predicted(time.perf_counter() - began, len(series[0]))
            known |= found
            answer |= found
        for slot in SLOTS[:3]:
            self._metrics.decided(answer[f"{slot}_rule"])
        return pd.DataFrame(answer)


def personalize(settings: dict[str, Any]):
    """The function as Flink registers it."""
    return udf(Personalize(settings), result_type=RESULT, func_type="pandas")
