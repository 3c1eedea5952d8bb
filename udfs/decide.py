"""`decide(...)`: what each slot shows a user and why, by the rules of `conf/rules/`, a batch at a time."""

import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from usher.columns import NUMBERS, feature_counts
from usher.features import PRODUCT_FEATURES, SLOTS
from usher.rules import Bundle
from usher.rules.steps import step_order

PLACE_AND_DEVICE = ("country", "continent", "region", "city", "device_type", "os", "browser", "is_bot")
DECIDE_COLUMNS = (
    "user_id",
    *NUMBERS,
    "feature_counts_json",
    *PLACE_AND_DEVICE,
    "locale",
    "engagement_score",
    *PRODUCT_FEATURES,
)
"""What `decide` is called with in SQL, in order; the last are the probabilities."""

RESULT = DataTypes.ROW(
    [
        DataTypes.FIELD(f"{slot}_{part}", DataTypes.STRING())
        for slot in SLOTS[:3]
        for part in ("content", "rule", "reason")
    ]
    + [
        DataTypes.FIELD("steps", DataTypes.ARRAY(DataTypes.STRING())),
        DataTypes.FIELD("rules_version", DataTypes.STRING()),
    ]
)


class Decide(ScalarFunction):
    """Loads and checks the rules once a worker."""

    def __init__(self, rules_dir: str) -> None:
        self._rules_dir = rules_dir

    def open(self, function_context: FunctionContext) -> None:
        self._bundle = Bundle.load(self._rules_dir)

    def eval(self, *series: pd.Series) -> pd.DataFrame:
        columns = {name: column.to_numpy() for name, column in zip(DECIDE_COLUMNS, series, strict=True)}
        for name, counts in feature_counts(columns.pop("feature_counts_json")).items():
            columns[f"feature_counts.{name}"] = counts
        for name in PRODUCT_FEATURES:
            columns[f"preferences.{name}"] = columns.pop(name)
        decided = self._bundle.decide(columns)
        frame = {}
        for slot in SLOTS[:3]:
            frame[f"{slot}_content"] = decided[slot].content_id
            frame[f"{slot}_rule"] = decided[slot].rule_id
            frame[f"{slot}_reason"] = decided[slot].reason
        frame["steps"] = step_order(columns)
        frame["rules_version"] = [self._bundle.version] * len(series[0])
        return pd.DataFrame(frame)


def decide(rules_dir: str):
    """The function as Flink registers it."""
    return udf(Decide(rules_dir), result_type=RESULT, func_type="pandas")
