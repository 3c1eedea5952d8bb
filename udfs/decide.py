"""What each slot shows a user and why, by the rules in force, a batch at a time."""

from typing import Any

import pandas as pd
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext

from usher.columns import COUNTED
from usher.features import PRODUCT_FEATURES, SLOTS
from usher.rules import Decided, ServedRules
from usher.rules.steps import step_order
from usher.settings import ROOT

PLACE_AND_DEVICE = ("country", "continent", "region", "city", "device_type", "os", "browser", "is_bot")
DECIDE_COLUMNS = (
    "at",
    "user_id",
    *COUNTED,
    *PLACE_AND_DEVICE,
    "locale",
    "recent",
    "consent",
    "engagement_score",
    *PRODUCT_FEATURES,
)
"""What `Decide` is called with, in order: first the moment, last the probabilities."""

FIELDS = [
    DataTypes.FIELD(f"{slot}_{part}", DataTypes.STRING())
    for slot in SLOTS[:3]
    for part in ("content", "rule", "reason")
] + [
    DataTypes.FIELD("steps", DataTypes.ARRAY(DataTypes.STRING())),
    DataTypes.FIELD("rules_version", DataTypes.STRING()),
]


class Decide:
    """Each worker follows the published rules; one batch is decided by one version of them."""

    def __init__(self, rules_dir: str, login: dict[str, Any]) -> None:
        self._rules_dir = rules_dir
        self._login = login

    def open(self, function_context: FunctionContext) -> None:
        self._rules = ServedRules(self._login, ROOT / self._rules_dir)

    def close(self) -> None:
        self._rules.close()

    def eval(self, *series: pd.Series) -> pd.DataFrame:
        columns = {name: column.to_numpy() for name, column in zip(DECIDE_COLUMNS, series, strict=True)}
        for name in PRODUCT_FEATURES:
            columns[f"feature_counts.{name}"] = columns.pop(f"used_{name}")
            columns[f"preferences.{name}"] = columns.pop(name)
        bundle = self._rules.bundle
        decided = bundle.decide(columns, columns.pop("at"))
        frame = {}
        for slot in SLOTS[:3]:
            found = decided.get(slot) or Decided.nothing(len(series[0]))
            frame[f"{slot}_content"] = found.content_id
            frame[f"{slot}_rule"] = found.rule_id
            frame[f"{slot}_reason"] = found.reason
        frame["steps"] = step_order(columns, bundle.held(columns["user_id"]))
        frame["rules_version"] = [bundle.version] * len(series[0])
        return pd.DataFrame(frame)
