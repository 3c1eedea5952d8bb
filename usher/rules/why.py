"""Why a user sees what they see: every rule of a slot in its order, from the code that decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any as Anything

from usher.rules.bucket import bucket
from usher.rules.bundle import Bundle, in_dates, to_millis
from usher.rules.columns import ask_user, compile_test, user_value
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.model import Rule


@dataclass(frozen=True)
class Verdict:
    """One rule about one user: `outcome` is taken, outranked, failed, not_in_rollout or out_of_dates."""

    rule_id: str
    content_id: str
    outcome: str
    detail: str


def explain(bundle: Bundle, user: Mapping[str, Anything], slot: str, at: Anything = None) -> list[Verdict]:
    """Every rule of the slot, first to last, and why it did or did not take the user."""
    at_ms = int(to_millis(at))
    winner = bundle.decide_one(user, at_ms)[slot].rule_id if slot in bundle.slots else None
    return [_verdict(bundle, rule, user, at_ms, winner) for rule in bundle.slots.get(slot, [])]


def _verdict(bundle: Bundle, rule: Rule, user: Mapping[str, Anything], at_ms: int, winner: str | None) -> Verdict:
    if not bundle.meets(rule, user):
        outcome, detail = "failed", "; ".join(reasons(rule.when, user, True)) or "the condition never holds"
    elif not in_dates(rule, at_ms):
        outcome, detail = "out_of_dates", f"on from {rule.start_ms} to {rule.end_ms} ms, asked at {at_ms}"
    elif not bundle.takes(rule, user, at_ms):
        name = user.get("user_id")
        place = f"bucket {bucket(rule.id, name)}" if isinstance(name, str) else "no user_id"
        outcome, detail = "not_in_rollout", f"{place}, rollout below {rule.rollout / 100}"
    elif rule.id == winner:
        outcome, detail = "taken", str(rule.when)
    else:
        outcome, detail = "outranked", f"by {winner}"
    return Verdict(rule.id, rule.content, outcome, detail)


def reasons(condition: Condition, user: Mapping[str, Anything], wanted: bool) -> list[str]:
    """The leaves that keep the condition from being `wanted`, each with the user's value and how far off it is."""
    if isinstance(condition, Leaf):
        if ask_user(condition, compile_test(condition), user) == wanted:
            return []
        return [f"{'' if wanted else 'not '}{condition}: {_actual(condition, user)}"]
    if isinstance(condition, Not):
        return reasons(condition.item, user, not wanted)
    parts = [reasons(item, user, wanted) for item in condition.items]
    if isinstance(condition, All if wanted else Any) or all(parts):
        return [text for part in parts for text in part]
    return []


def _actual(leaf: Leaf, user: Mapping[str, Anything]) -> str:
    actual = user_value(user, leaf.field)
    if actual is None:
        return "unknown"
    if isinstance(actual, float) and isinstance(leaf.value, int | float) and leaf.op in ("lt", "le", "gt", "ge"):
        return f"is {actual:g}, off by {abs(leaf.value - actual):g}"
    return f"is {actual}"
