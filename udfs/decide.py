"""What each slot shows a user and why, by the rules in force, a batch at a time."""

from collections.abc import Mapping
from typing import Any

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
"""What `Decide` is asked with: first the moment, last the probabilities."""

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

    def __call__(self, known: Mapping[str, Any]) -> dict[str, Any]:
        columns = {name: known[name] for name in DECIDE_COLUMNS}
        for name in PRODUCT_FEATURES:
            columns[f"feature_counts.{name}"] = columns.pop(f"used_{name}")
            columns[f"preferences.{name}"] = columns.pop(name)
        bundle = self._rules.bundle
        decided = bundle.decide(columns, columns.pop("at"))
        rows = len(columns["user_id"])
        answer: dict[str, Any] = {}
        for slot in SLOTS[:3]:
            found = decided.get(slot) or Decided.nothing(rows)
            answer[f"{slot}_content"] = found.content_id
            answer[f"{slot}_rule"] = found.rule_id
            answer[f"{slot}_reason"] = found.reason
        answer["steps"] = step_order(columns, bundle.held(columns["user_id"]))
        answer["rules_version"] = [bundle.version] * rows
        return answer
