"""Rules as z3 formulas, and z3's models back as users.

A user is one the job can make: what always holds of a profile (`_laws`) holds of every user of a model.
"""

import re
from collections import defaultdict
from fractions import Fraction
from typing import Any as Anything

import z3

from usher.features import CONTINENTS
from usher.rules.bucket import in_group, in_rollout
from usher.rules.columns import compile_test
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.fields import MAX_COUNT, Field, Recent, field_of, recent_of
from usher.rules.guess import PARTS, continent_of
from usher.rules.model import Holdout, Rule
from usher.rules.recent import HOUR_MS

_ESCAPE = re.compile(r"\\u\{([0-9a-fA-F]+)\}")
_MAX_MS = 4_102_444_800_000
_USER_IDS = 20_000


def z3_text(text: str) -> Anything:
    """A z3 string; everything but plain ASCII is escaped, and so is the backslash."""
    return z3.StringVal(
        "".join(char if " " <= char <= "~" and char != "\\" else f"\\u{{{ord(char):x}}}" for char in text)
    )


class Encoder:
    """Variables of the fields that were asked about, each with a flag for null, and what is true of them always."""

    def __init__(self, holdout: Holdout | None = None) -> None:
        self.at = z3.Int("at_ms")
        self._bounds: list[Anything] = [self.at >= 0, self.at <= _MAX_MS]
        self._fields: dict[str, tuple[Anything, Anything]] = {}
        self._identified = z3.Bool("has a user_id")
        self._held = z3.Bool("held out")
        self._holdout = holdout
        self._rollouts: dict[str, tuple[Rule, Anything]] = {}
        self._groups: dict[str, Anything] = {}
        self._parts: dict[str, Rule] = {}
        self._rings: dict[str, dict[str, list[tuple[int, Anything]]]] = {}

    def condition(self, condition: Condition) -> Anything:
        """The condition as a formula, nulls included."""
        if isinstance(condition, Not):
            return z3.Not(self.condition(condition.item))
        if isinstance(condition, All):
            return z3.And([self.condition(item) for item in condition.items])
        if isinstance(condition, Any):
            return z3.Or([self.condition(item) for item in condition.items])
        return self._leaf(condition)

    def takes(self, rule: Rule) -> Anything:
        """The rule takes the user at that time; where the hash of an id puts a user is a variable."""
        parts = [self.condition(rule.asks)]
        if rule.start_ms is not None:
            parts.append(self.at >= rule.start_ms)
        if rule.end_ms is not None:
            parts.append(self.at < rule.end_ms)
        if rule.personal and self._holdout is not None:
            parts.append(z3.Not(self._held))
        if rule.group is not None:
            parts.append(self._in_group(rule))
        if rule.rollout <= 0:
            parts.append(z3.BoolVal(False))
        elif rule.rollout < 100:
            parts.append(self._rollouts.setdefault(rule.id, (rule, z3.Bool(f"in rollout {rule.id}")))[1])
        return z3.And(parts)

    def takes_surely(self, rule: Rule) -> Anything:
        """As `takes`, but a rule that is rolled out in part, or capped, takes nobody for sure."""
        return self.takes(rule) if rule.certain else z3.BoolVal(False)

    def always(self) -> list[Anything]:
        """What is true of every user and moment, as far as they were asked about."""
        return [*self._bounds, *self._laws(), *self._identity(), *self._recent()]

    def user(self, model: Anything) -> dict[str, Anything]:
        """The user of a model: every field that was asked about and is not null, and an id that fits its hashes."""
        user: dict[str, Anything] = {}
        for name, (variable, null) in self._fields.items():
            if recent_of(name) is None and not _true(model, null):
                prefix, _, entry = name.partition(".")
                place = user.setdefault(prefix, {}) if entry else user
                place[entry or name] = _value(field_of(name), model.eval(variable, model_completion=True))
        if self._rings and not _true(model, _NO_RECENT):
            user["recent"] = self._lately(model)
        user_id = self._user_id(model) if _true(model, self._identified) else None
        return user if user_id is None else user | {"user_id": user_id}

    def at_ms(self, model: Anything) -> int:
        """The moment of a model."""
        return int(model.eval(self.at, model_completion=True).as_long())

    def _variable(self, name: str) -> tuple[Anything, Anything]:
        if name not in self._fields:
            field = field_of(name)
            variable = _declare(field)
            if field.values is not None:
                self._bounds += [variable >= 0, variable < len(field.values)]
            elif field.kind in ("count", "number"):
                self._bounds += [variable >= 0, variable <= int(field.high)]
            self._fields[name] = (variable, z3.Bool(f"{_known_with(name)} is null"))
        return self._fields[name]

    def _leaf(self, leaf: Leaf) -> Anything:
        variable, null = self._variable(leaf.field)
        if leaf.op == "present":
            return z3.Not(null) if leaf.value else null
        return z3.And(z3.Not(null), _test(leaf, field_of(leaf.field), variable))

    def _laws(self) -> list[Anything]:
        """What the job guarantees: a country lies on its continent, and no part is more than its whole."""
        laws = []
        for small, great in PARTS:
            if small in self._fields and great in self._fields:
                (part, no_part), (whole, no_whole) = self._fields[small], self._fields[great]
                laws.append(z3.Or(no_part, no_whole, part <= whole))
        if "country" in self._fields and "continent" in self._fields:
            (country, no_country), (continent, no_continent) = self._fields["country"], self._fields["continent"]
            for number, name in enumerate(CONTINENTS):
                here = [i for i, code in enumerate(_values(field_of("country"))) if continent_of(code) == name]
                inside = z3.And(country >= here[0], country <= here[-1])
                laws.append(z3.Or(no_country, no_continent, z3.Not(inside), continent == number))
        return laws

    def _identity(self) -> list[Anything]:
        """Only a user with an id has a place in rollouts, groups and the holdout."""
        facts = [z3.Implies(variable, self._identified) for _, variable in self._rollouts.values()]
        for place in self._groups.values():
            facts += [place >= -1, place < 1000, (place >= 0) == self._identified]
        if self._holdout is not None:
            percent = self._holdout.percent
            facts.append(z3.Implies(self._held, self._identified if percent > 0 else z3.BoolVal(False)))
            facts += [z3.Implies(self._identified, self._held)] if percent >= 100 else []
        return facts

    def _in_group(self, rule: Rule) -> Anything:
        assert rule.group is not None
        self._parts[rule.id] = rule
        place = self._groups.setdefault(rule.group.name, z3.Int(f"place in {rule.group.name}"))
        return z3.And(place >= round(rule.group.low * 10), place < round(rule.group.high * 10))

    def _user_id(self, model: Anything) -> str | None:
        """An id whose hashes are where the model wants them, if one is soon found."""
        rollouts = [(rule, _true(model, variable)) for rule, variable in self._rollouts.values()]
        parts = [(rule.group, _true(model, self._in_group(rule))) for rule in self._parts.values()]
        held, hold = _true(model, self._held), self._holdout
        for number in range(_USER_IDS):
            name = f"user-{number}"
            if (
                all(in_rollout(rule.id, name, rule.rollout) == wanted for rule, wanted in rollouts)
                and all(in_group(part.name, name, part.low, part.high) == wanted for part, wanted in parts if part)
                and (hold is None or in_rollout(hold.seed, name, hold.percent) == held)
            ):
                return name
        return None

    def _recent(self) -> list[Anything]:
        """Counts over several periods and details agree: each is a sum of what was done between the periods' ends."""
        events: dict[str, list[Recent]] = defaultdict(list)
        for name in self._fields:
            if (asked := recent_of(name)) is not None:
                events[asked.event].append(asked)
        self._rings, facts = {}, []
        for event, several in events.items():
            self._rings[event], found = _rings(event, several)
            facts += found
            for asked in several:
                details = [asked.detail] if asked.detail else list(self._rings[event])
                inner = [n for detail in details for age, n in self._rings[event][detail] if age <= asked.hours]
                facts.append(self._fields[asked.name][0] == z3.Sum(inner))
        return facts

    def _lately(self, model: Anything) -> dict[str, list[list[int]]]:
        hour = self.at_ms(model) // HOUR_MS
        recent = {}
        for event, details in self._rings.items():
            for detail, rings in details.items():
                counts = [(age, model.eval(n, model_completion=True).as_long()) for age, n in rings]
                if pairs := [[hour - age, n] for age, n in counts if n]:
                    recent[f"{event}|{detail}"] = pairs
        return recent


_NO_RECENT = z3.Bool("recent is null")


def _known_with(name: str) -> str:
    """Counts of features, and those of the last hours, are known all together or not at all."""
    prefix = name.partition(".")[0]
    return prefix if prefix in ("feature_counts", "recent") else name


def _rings(event: str, several: list[Recent]) -> tuple[dict[str, list[tuple[int, Anything]]], list[Anything]]:
    """For each detail, how often between the end of one period and of the next; the age is that of the outer end."""
    ages = sorted({asked.hours for asked in several})
    rings = {
        detail: [(age, z3.Int(f"{event}|{detail} {age} h ago")) for age in ages]
        for detail in sorted({asked.detail for asked in several})
    }
    return rings, [z3.And(n >= 0, n <= MAX_COUNT) for detail in rings.values() for _, n in detail]


def _values(field: Field) -> tuple[str, ...]:
    """A closed field's values in the order of their numbers: countries by continent, so that one is a range."""
    values = field.values or ()
    return tuple(sorted(values, key=lambda code: (continent_of(code), code))) if field.name == "country" else values


def _true(model: Anything, formula: Anything) -> bool:
    return z3.is_true(model.eval(formula, model_completion=True))


def _declare(field: Field) -> Anything:
    if field.kind == "bool":
        return z3.Bool(field.name)
    if field.kind == "number":
        return z3.Real(field.name)
    return z3.Int(field.name) if field.kind == "count" or field.values is not None else z3.String(field.name)


def _test(leaf: Leaf, field: Field, variable: Anything) -> Anything:
    if field.values is not None:
        return _member(leaf, field, variable)
    values = [_constant(field, value) for value in (leaf.value if isinstance(leaf.value, tuple) else (leaf.value,))]
    first = values[0]
    if leaf.op == "in":
        return z3.Or([variable == value for value in values])
    if leaf.op == "between":
        return z3.And(variable >= first, variable <= values[1])
    if leaf.op == "starts_with":
        return z3.PrefixOf(first, variable)
    if leaf.op == "ends_with":
        return z3.SuffixOf(first, variable)
    if leaf.op == "contains":
        return z3.Contains(variable, first)
    if leaf.op in ("eq", "ne"):
        return variable == first if leaf.op == "eq" else variable != first
    if leaf.op in ("lt", "le"):
        return variable < first if leaf.op == "lt" else variable <= first
    return variable > first if leaf.op == "gt" else variable >= first


def _member(leaf: Leaf, field: Field, variable: Anything) -> Anything:
    """Of a closed set, the numbers of the values that pass, or of those that do not where they are fewer."""
    test = compile_test(leaf)
    passing = [bool(test(value)) for value in _values(field)]
    most = sum(passing) > len(passing) / 2
    few = z3.Or([variable == number for number, passes in enumerate(passing) if passes != most])
    return z3.Not(few) if most else few


def _constant(field: Field, value: Anything) -> Anything:
    if field.kind == "bool":
        return z3.BoolVal(value)
    if field.kind == "text":
        return z3_text(value)
    return z3.IntVal(value) if field.kind == "count" else z3.RealVal(Fraction(value))


def _value(field: Field, value: Anything) -> Anything:
    if field.kind == "bool":
        return z3.is_true(value)
    if field.values is not None:
        return _values(field)[value.as_long()]
    if field.kind == "count":
        return value.as_long()
    if field.kind == "number":
        return float(value.as_fraction())
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), value.as_string())
