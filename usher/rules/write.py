"""Rules back to the YAML that says them: ``load`` of it gives the same rules again."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any as Anything

import yaml

from usher.rules.conditions import Any, Condition, Leaf, Not
from usher.rules.fields import RECENT_EVENTS, period_of, recent_of
from usher.rules.model import Rule


def condition_data(condition: Condition) -> dict[str, Anything]:
    """The mapping below ``when:`` that says the condition."""
    if isinstance(condition, Leaf):
        return _leaf_data(condition)
    if isinstance(condition, Not):
        return {"not": condition_data(condition.item)}
    parts = [condition_data(item) for item in condition.items]
    if isinstance(condition, Any):
        return {"any": parts}
    keys = [key for part in parts for key in part]
    alone = len(parts) > 1 and len(set(keys)) == len(keys) and all(len(part) == 1 for part in parts)
    return {key: value for part in parts for key, value in part.items()} if alone else {"all": parts}


def _leaf_data(leaf: Leaf) -> dict[str, Anything]:
    asked = recent_of(leaf.field)
    if asked is not None and leaf.op == "ge":
        detail = {RECENT_EVENTS[asked.event]: asked.detail} if asked.detail else {}
        return {"did": {"event": asked.event, **detail, "at_least": leaf.value, "within": period_of(asked.hours)}}
    value = list(leaf.value) if isinstance(leaf.value, tuple) else leaf.value
    return {leaf.field: value if leaf.op in ("eq", "in") else {leaf.op: value}}


def rule_data(rule: Rule) -> dict[str, Anything]:
    """The entry of the list ``rules:`` that says the rule, without what is as by default."""
    data: dict[str, Anything] = {"id": rule.id, "slot": rule.slot, "priority": rule.priority}
    if rule.personal:
        data["when"] = condition_data(rule.when)
    data["content"] = rule.content
    if rule.start_ms is not None:
        data["start"] = time_text(rule.start_ms)
    if rule.end_ms is not None:
        data["end"] = time_text(rule.end_ms)
    if rule.rollout != 100:
        data["rollout"] = rule.rollout
    if rule.cap is not None:
        data["cap"] = {"times": rule.cap.times, "within": period_of(rule.cap.hours)}
    if rule.group is not None:
        data["group"] = {"name": rule.group.name, "part": [rule.group.low, rule.group.high]}
    if rule.owner:
        data["owner"] = rule.owner
    if rule.examples:
        data["examples"] = _examples(rule)
    return data


def _examples(rule: Rule) -> list[dict[str, Anything]]:
    """The rule's examples; the moment is left out where it is that of the rule's first or last day."""
    first_ms = rule.end_ms - 1 if rule.start_ms is None and rule.end_ms is not None else rule.start_ms
    found = []
    for example in rule.examples:
        at = {} if example.at_ms is None or example.at_ms == first_ms else {"at": time_text(example.at_ms)}
        found.append({"user": dict(example.user), "expect": example.expect, **at})
    return found


def time_text(millis: int) -> str:
    """``2026-12-01T00:00:00Z``, with milliseconds where there are some."""
    moment = datetime.fromtimestamp(millis / 1000, UTC)
    return moment.isoformat(timespec="milliseconds" if millis % 1000 else "seconds").replace("+00:00", "Z")


class _Dumper(yaml.SafeDumper):
    """No aliases, which the reader refuses, and no exponents, which it takes for text."""

    def ignore_aliases(self, data: Anything) -> bool:
        return True


def _float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    text = f"{Decimal(repr(value)):f}"
    return dumper.represent_scalar("tag:yaml.org,2002:float", text if "." in text else f"{text}.0")


_Dumper.add_representer(float, _float)


def to_yaml(rules: Iterable[Rule]) -> str:
    """A whole file of rules."""
    data = {"rules": [rule_data(rule) for rule in rules]}
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    return text
