"""Why a user sees what they see: every rule of a slot in its order, from the code that decides."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any as Anything

from usher.rules.bucket import bucket, group_place, in_group, in_rollout
from usher.rules.bundle import Bundle, in_dates, to_millis
from usher.rules.columns import User, compile_test
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.fields import Recent, period_of
from usher.rules.model import Rule


@dataclass(frozen=True)
class Verdict:
    """One rule about one user.

    `outcome` is taken, outranked, failed, capped, out_of_dates, held_out, not_in_group or not_in_rollout.
    """

    rule_id: str
    content_id: str
    outcome: str
    detail: str


def explain(bundle: Bundle, user: Mapping[str, Anything], slot: str, at: Anything = None) -> list[Verdict]:
    """Every rule of the slot, first to last, and why it did or did not take the user."""
    at_ms = int(to_millis(at))
    winner = bundle.decide_one(user, at_ms)[slot].rule_id if slot in bundle.slots else None
    return [_verdict(bundle, rule, user, at_ms, winner) for rule in bundle.slots.get(slot, [])]


def _verdict(bundle: Bundle, rule: Rule, fields: Mapping[str, Anything], at_ms: int, winner: str | None) -> Verdict:
    if not bundle.takes(rule, fields, at_ms):
        return Verdict(rule.id, rule.content, *_refusal(bundle, rule, fields, at_ms))
    if rule.id == winner:
        return Verdict(rule.id, rule.content, "taken", str(rule.when))
    return Verdict(rule.id, rule.content, "outranked", f"by {winner}")


def _refusal(bundle: Bundle, rule: Rule, fields: Mapping[str, Anything], at_ms: int) -> tuple[str, str]:
    """The first gate that is closed to the user, and by how much."""
    user, name = User(fields, at_ms), fields.get("user_id")
    if failed := reasons(rule.when, user, True):
        return "failed", "; ".join(failed)
    if rule.cap is not None:
        shown = user.value(Recent("Content Shown", rule.content, rule.cap.hours).name)
        if shown is not None and shown >= rule.cap.times:
            period = period_of(rule.cap.hours)
            return "capped", f"shown {shown:g} times in the last {period}, the cap is {rule.cap.times}"
    if not in_dates(rule, at_ms):
        return "out_of_dates", f"on from {_time(rule.start_ms)} to {_time(rule.end_ms)}, asked at {_time(at_ms)}"
    if rule.personal and bundle.held_out(name):
        return "held_out", f"the holdout of {bundle.holdout.percent if bundle.holdout else 0:g} % gets defaults only"
    group = rule.group
    if group is not None and not in_group(group.name, name, group.low, group.high):
        place = f"at {group_place(group.name, name) / 10:g} %" if isinstance(name, str) else "no user_id"
        return "not_in_group", f"{place} of group {group.name}, whose part is {group.low:g} to {group.high:g} %"
    if not in_rollout(rule.id, name, rule.rollout):
        place = f"bucket {bucket(rule.id, name)}" if isinstance(name, str) else "no user_id"
        return "not_in_rollout", f"{place}, rollout below {rule.rollout / 100}"
    return "failed", "the condition never holds"


def _time(millis: int | None) -> str:
    return "ever" if millis is None else f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def reasons(condition: Condition, user: User, wanted: bool) -> list[str]:
    """The leaves that keep the condition from being `wanted`, each with the user's value and how far off it is."""
    if isinstance(condition, Leaf):
        if user.ask(condition, compile_test(condition)) == wanted:
            return []
        return [f"{'' if wanted else 'not '}{condition}: {_actual(condition, user)}"]
    if isinstance(condition, Not):
        return reasons(condition.item, user, not wanted)
    parts = [reasons(item, user, wanted) for item in condition.items]
    if isinstance(condition, All if wanted else Any) or all(parts):
        return [text for part in parts for text in part]
    return []


def _actual(leaf: Leaf, user: User) -> str:
    actual = user.value(leaf.field)
    if actual is None:
        return "unknown"
    if isinstance(actual, float) and isinstance(leaf.value, int | float) and leaf.op in ("lt", "le", "gt", "ge"):
        return f"is {actual:g}, off by {abs(leaf.value - actual):g}"
    return f"is {actual}"
