"""A user who may meet a condition, found without a solver; whether they do is for the evaluator to say.

Most questions about a healthy set of rules have such an answer, and it takes microseconds where z3 takes milliseconds.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any as Anything

from usher.enrich._continents import CONTINENT_OF
from usher.features import CONTINENTS
from usher.rules.columns import compile_test
from usher.rules.conditions import TEXT_OPS, All, Condition, Leaf, Not
from usher.rules.fields import field_of, recent_of
from usher.rules.laws import possible
from usher.rules.recent import HOUR_MS
from usher.rules.texts import joins

_ON_TWO_CONTINENTS = frozenset(("AM", "AZ", "CY", "EG", "GE", "KZ", "RU", "TL", "TR", "UM"))
"""Geographic databases disagree on these, so nothing is concluded from them."""
Wishes = list[tuple[Leaf, bool]]
"""Questions about one field, and whether the answer shall be yes."""


def continent_of(country: str) -> str:
    """The continent that a country surely is on, or an empty text."""
    found = "" if country in _ON_TWO_CONTINENTS else CONTINENT_OF.get(country, "")
    return found if found in CONTINENTS else ""


def guess(condition: Condition, at_ms: int) -> dict[str, Anything] | None:
    """A user that the job can make, with a value for each field that must be known; None where that is impossible."""
    asked: dict[str, Wishes] = defaultdict(list)
    _wish(condition, True, asked)
    fields = {name: _value(wishes) for name, wishes in asked.items() if any(map(_needs_a_value, wishes))}
    home = continent_of(fields.get("country") or "")
    return nested(fields, at_ms) if possible(fields) and home in ("", fields.get("continent", home)) else None


def nested(fields: Mapping[str, Anything], at_ms: int) -> dict[str, Anything]:
    """Values by field as a profile has them: maps as maps, counts of the last hours as done in this one."""
    user: dict[str, Anything] = {}
    for name, value in fields.items():
        prefix, _, entry = name.partition(".")
        asked = recent_of(name)
        if asked is not None:
            done = [[at_ms // HOUR_MS, value]] if value else []
            user.setdefault("recent", {})[f"{asked.event}|{asked.detail}"] = done
        elif entry:
            user.setdefault(prefix, {})[entry] = value
        else:
            user[name] = value
    return user


def _wish(condition: Condition, wanted: bool, asked: dict[str, Wishes]) -> None:
    """Collect the answers that make the condition `wanted`."""
    if isinstance(condition, Leaf):
        asked[condition.field].append((condition, wanted))
    elif isinstance(condition, Not):
        _wish(condition.item, not wanted, asked)
    else:
        every = isinstance(condition, All) == wanted
        for item in condition.items if every else condition.items[:1]:
            _wish(item, wanted, asked)


def _needs_a_value(wish: tuple[Leaf, bool]) -> bool:
    """What is unknown answers every question with no, but the one whether it is unknown."""
    leaf, wanted = wish
    return leaf.value == wanted if leaf.op == "present" else wanted


def _value(wishes: Wishes) -> Anything:
    """A likely value of the field; one that answers all the questions as wished, if some likely one does."""
    tests = [(compile_test(leaf), wanted) for leaf, wanted in wishes if leaf.op != "present"]
    first = None
    for one in _likely(wishes):
        if all(bool(test(one)) == wanted for test, wanted in tests):
            return one
        first = one if first is None else first
    return first


def _likely(wishes: Wishes) -> Iterator[Anything]:
    field = field_of(wishes[0][0].field)
    for leaf, wanted in wishes:
        constant: Anything = leaf.value[0] if isinstance(leaf.value, tuple) else leaf.value
        if field.kind == "bool":
            yield from (True, False)
        elif field.kind == "text":
            if wanted and leaf.op not in ("ne", "present"):
                yield constant
        else:
            base = 0 if leaf.op == "present" else constant
            for one in (base, base + 1, base - 1, base + 0.01, base - 0.01, 0):
                if 0 <= one <= field.high and (field.kind == "number" or one == int(one)):
                    yield one
    if field.kind == "text":
        yield from field.values or filter(
            None, joins(leaf for leaf, wanted in wishes if wanted and leaf.op in TEXT_OPS)
        )
