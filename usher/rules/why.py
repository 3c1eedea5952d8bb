"""Why a user sees what they see: every rule of a slot in its order and all its gates, from the code that decides."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any as Anything

from usher.rules.bucket import bucket, group_place, in_group, in_rollout
from usher.rules.bundle import Bundle, in_dates, to_millis
from usher.rules.columns import User, compile_test, known_value
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.fields import FIELDS, RECENT_EVENTS, Recent, field_of, period_of
from usher.rules.model import Rule
from usher.rules.recent import parse_recent

_OUTCOMES = {
    "condition": "failed",
    "cap": "capped",
    "dates": "out_of_dates",
    "holdout": "held_out",
    "group": "not_in_group",
    "rollout": "not_in_rollout",
}


@dataclass(frozen=True)
class Gate:
    """One thing that a rule asks: `condition`, `cap`, `dates`, `holdout`, `group` or `rollout`."""

    name: str
    open: bool
    detail: str


@dataclass(frozen=True)
class Verdict:
    """One rule about one user, with every gate that the rule has, open or not.

    `outcome` is taken, outranked, or after the first gate that is closed: failed, capped, out_of_dates, held_out,
    not_in_group or not_in_rollout.
    """

    rule_id: str
    content_id: str
    outcome: str
    detail: str
    gates: tuple[Gate, ...] = ()

    def lines(self) -> Iterator[str]:
        """As a person reads it: the outcome, and below it what else than that and the condition was asked."""
        yield f"  {self.outcome:14} {self.rule_id} -> {self.content_id}: {self.detail}"
        for gate in self.gates:
            if gate.name != "condition" and gate.detail != self.detail:
                yield f"  {'':14}   {gate.name} {'open' if gate.open else 'closed'}: {gate.detail}"


def explain(bundle: Bundle, user: Mapping[str, Anything], slot: str, at: Anything = None) -> list[Verdict]:
    """Every rule of the slot, first to last, and why it did or did not take the user."""
    at_ms = int(to_millis(at))
    winner = bundle.decide_one(user, at_ms)[slot].rule_id if slot in bundle.slots else None
    return [_verdict(bundle, rule, user, at_ms, winner) for rule in bundle.slots.get(slot, [])]


def _verdict(bundle: Bundle, rule: Rule, fields: Mapping[str, Anything], at_ms: int, winner: str | None) -> Verdict:
    gates = tuple(_gates(bundle, rule, fields, at_ms))
    if not bundle.takes(rule, fields, at_ms):
        first = next(gate for gate in gates if not gate.open)
        outcome, detail = _OUTCOMES[first.name], first.detail
    elif rule.id == winner:
        outcome, detail = "taken", str(rule.when)
    else:
        outcome, detail = "outranked", f"by {winner}"
    return Verdict(rule.id, rule.content, outcome, detail, gates)


def _gates(bundle: Bundle, rule: Rule, fields: Mapping[str, Anything], at_ms: int) -> Iterator[Gate]:
    """Those that the rule has; it takes the user if all of them are open."""
    user, name = User(fields, at_ms), fields.get("user_id")
    failed = reasons(rule.when, user, True)
    yield Gate("condition", not failed, "; ".join(failed) or str(rule.when))
    if rule.cap is not None:
        shown = user.value(Recent("Content Shown", rule.content, rule.cap.hours).name)
        times = "an unknown number of" if shown is None else _number(shown)
        detail = f"shown {times} times in the last {period_of(rule.cap.hours)}, the cap is {rule.cap.times}"
        yield Gate("cap", shown is None or shown < rule.cap.times, detail)
    if rule.start_ms is not None or rule.end_ms is not None:
        detail = f"on from {_time(rule.start_ms)} to {_time(rule.end_ms)}, asked at {_time(at_ms)}"
        yield Gate("dates", in_dates(rule, at_ms), detail)
    if rule.personal and bundle.holdout is not None:
        yield _holdout(bundle, name)
    if (group := rule.group) is not None:
        place = f"at {group_place(group.name, name) / 10:g} %" if isinstance(name, str) else "no user_id"
        detail = f"{place} of group {group.name}, whose part is {group.low:g} to {group.high:g} %"
        yield Gate("group", in_group(group.name, name, group.low, group.high), detail)
    if rule.rollout < 100:
        place = f"bucket {bucket(rule.id, name)}" if isinstance(name, str) else "no user_id"
        yield Gate("rollout", in_rollout(rule.id, name, rule.rollout), f"{place}, rollout below {rule.rollout / 100:g}")


def _holdout(bundle: Bundle, name: Anything) -> Gate:
    held, percent = bundle.held_out(name), bundle.holdout.percent if bundle.holdout else 0
    detail = f"the holdout of {percent:g} % gets defaults only" if held else f"not in the holdout of {percent:g} %"
    return Gate("holdout", not held, detail)


def _time(millis: int | None) -> str:
    return "ever" if millis is None else f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def reasons(condition: Condition, user: User, wanted: bool) -> list[str]:
    """The leaves that keep the condition from being `wanted`, each with the user's value and how far off it is."""
    if isinstance(condition, Leaf):
        if user.ask(condition, compile_test(condition)) == wanted:
            return []
        return [f"{'' if wanted else 'not '}{condition}: {_actual(condition, user, wanted)}"]
    if isinstance(condition, Not):
        return reasons(condition.item, user, not wanted)
    if not condition.items:  # everyone, or nobody
        return [] if isinstance(condition, All) == wanted else [f"{'' if wanted else 'not '}{condition}"]
    parts = [reasons(item, user, wanted) for item in condition.items]
    if isinstance(condition, All if wanted else Any) or all(parts):
        return [text for part in parts for text in part]
    return []


def _actual(leaf: Leaf, user: User, wanted: bool) -> str:
    actual = user.value(leaf.field)
    if actual is None:
        return "unknown"
    if not isinstance(actual, float):
        return f"is {actual}"
    return f"is {_number(actual)}{_distance(leaf, actual, wanted)}"


_OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "ne": "eq", "between": "outside"}


def _distance(leaf: Leaf, actual: float, wanted: bool) -> str:
    """By how much the number must at least change; nothing where any change will do."""
    op = leaf.op if wanted else _OPPOSITE.get(leaf.op, "")
    whole = field_of(leaf.field).kind == "count"
    needs = [(bound - actual + (beyond if whole else 0), beyond) for bound, beyond in _bounds(op, leaf.value)]
    if not needs:
        return ""
    need, beyond = min(needs, key=lambda one: abs(one[0]))
    least = "" if op in ("eq", "in") else "more than " if beyond and not whole else "at least "
    return f", must {'grow' if (need, beyond) > (0, 0) else 'fall'} by {least}{_number(abs(need))}"


def _bounds(op: str, value: Anything) -> list[tuple[float, int]]:
    """Where the answer turns, and in which direction it must be passed if it is not enough to reach it."""
    if op == "outside":
        return [(value[0], -1), (value[1], 1)]
    if op in ("between", "in"):
        return [(one, 0) for one in value]
    beyond = {"eq": 0, "le": 0, "ge": 0, "lt": -1, "gt": 1}
    return [(value, beyond[op])] if op in beyond else []


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:.10g}"


def unread(user: Mapping[str, Anything]) -> list[str]:
    """A sentence for all that is said of a user and that no rule can ask about: most likely slips."""
    found = []
    for key, value in user.items():
        if key == "user_id":
            found += [] if isinstance(value, str | None) else [f"user_id {value!r} is not a text: it is in no rollout."]
        elif key == "recent":
            found += _unread_recent(value)
        elif isinstance(value, Mapping):
            found += [text for name, entry in value.items() if (text := _unread_field(f"{key}.{name}", entry))]
        elif text := _unread_field(key, value):
            found.append(text)
    return found


def _unread_field(name: str, value: Anything) -> str:
    try:
        field = field_of(name)
    except KeyError:
        near = difflib.get_close_matches(name, FIELDS, 1)
        return f"'{name}' is not a field of the profile and is ignored{f': did you mean {near[0]}?' if near else '.'}"
    if value is None:
        return ""
    if field.values is not None and value not in field.values:
        return f"{name} {value!r} is none of its values, which are e.g. {field.values[0]}: no rule means it."
    return "" if known_value(name, value) is not None else f"{name} {value!r} is not a {field.kind}: it is unknown."


def _unread_recent(value: Anything) -> list[str]:
    recent = parse_recent(value)
    if recent is None:
        return [] if value is None else ["`recent` is no mapping of actions and counts as unknown."]
    unknown = [key for key in recent if key.partition("|")[0] not in RECENT_EVENTS]
    return [f"`recent` has '{key}', whose event no rule can ask about: it is ignored." for key in unknown]
