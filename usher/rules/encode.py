"""Rules as z3 formulas, and z3's models back as users.

A user is one the job can make, of whom any field may be null: what always holds of a profile holds of every user of a
model. Texts are facts about texts (`usher.rules.texts`), hashes of ids are places (`usher.rules.ids`).
"""

from collections import defaultdict
from fractions import Fraction
from typing import Any as Anything

import z3

from usher.features import CONTINENTS
from usher.rules.columns import compile_test
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.fields import MAX_COUNT, Field, Recent, field_of, recent_of
from usher.rules.guess import continent_of
from usher.rules.ids import Gate, find_id, group_gate, rollout_gate
from usher.rules.laws import laws, related
from usher.rules.model import Holdout, Rule
from usher.rules.recent import HOUR_MS
from usher.rules.texts import Text

_MAX_MS = 253_402_300_799_999  # the end of the year 9999, beyond which no rule can be dated
_NO_RECENT = z3.Bool("recent is null")


class Encoder:
    """Variables of the fields that were asked about, each with a flag for null, and what is true of them always."""

    def __init__(self, holdout: Holdout | None = None, now_ms: int = 0) -> None:
        self.at = z3.Int("at_ms")
        self._bounds: list[Anything] = [self.at >= now_ms, self.at <= _MAX_MS]
        self._fields: dict[str, tuple[Anything, Anything]] = {}
        self._texts: dict[str, Text] = {}
        self._holdout = holdout
        self._gates: dict[Gate, Anything] = {}
        self._places: dict[tuple[str, bool], Anything] = {}
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
            parts.append(z3.Not(self._passes(rollout_gate(self._holdout.seed, self._holdout.percent))))
        if rule.group is not None:
            parts.append(self._passes(group_gate(rule.group.name, rule.group.low, rule.group.high)))
        if rule.rollout < 100:
            parts.append(self._passes(rollout_gate(rule.id, rule.rollout)))
        return z3.And(parts)

    def takes_surely(self, rule: Rule) -> Anything:
        """As `takes`, but a rule that is rolled out in part, or capped, takes nobody for sure."""
        return self.takes(rule) if rule.certain else z3.BoolVal(False)

    def always(self) -> list[Anything]:
        """What is true of every user and moment, as far as they were asked about."""
        texts = [law for text in self._texts.values() for law in text.laws()]
        lately = self._recent()  # makes the rings, which the counters are compared with
        return [*self._bounds, *texts, *self._identity(), *lately, *self._places_agree(), *self._counts_agree()]

    def user(self, model: Anything, seconds: float) -> dict[str, Anything]:
        """The user of a model: every field that was asked about and is not null, and an id that fits its hashes.

        Without the id if none is found in so many seconds.
        """
        user: dict[str, Anything] = {}
        for name, (variable, null) in self._fields.items():
            if recent_of(name) is None and not _true(model, null):
                prefix, _, entry = name.partition(".")
                place = user.setdefault(prefix, {}) if entry else user
                place[entry or name] = self._value(name, variable, model)
        if self._rings and not _true(model, _NO_RECENT):
            user["recent"] = self._lately(model)
        if any(_number(model, place) >= 0 for place in self._places.values()):
            wishes = [(gate, _true(model, passes)) for gate, passes in self._gates.items()]
            found = find_id(wishes, seconds)
            return user if found is None else user | {"user_id": found}
        return user

    def at_ms(self, model: Anything) -> int:
        """The moment of a model."""
        return _number(model, self.at)

    def _variable(self, name: str) -> tuple[Anything, Anything]:
        if name not in self._fields:
            field = field_of(name)
            if field.kind == "text" and field.values is None:
                self._texts[name] = Text(name)
            variable = self._texts[name].which if name in self._texts else _declare(field)
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
        text = self._texts.get(leaf.field)
        return z3.And(z3.Not(null), _test(leaf, field_of(leaf.field), variable) if text is None else text.ask(leaf))

    def _value(self, name: str, variable: Anything, model: Anything) -> Anything:
        text = self._texts.get(name)
        return (
            _value(field_of(name), model.eval(variable, model_completion=True)) if text is None else text.value(model)
        )

    def _places_agree(self) -> list[Anything]:
        """A country lies on its continent, where that is sure."""
        if "country" not in self._fields or "continent" not in self._fields:
            return []
        (country, no_country), (continent, no_continent) = self._fields["country"], self._fields["continent"]
        facts = []
        for number, name in enumerate(CONTINENTS):
            here = [i for i, code in enumerate(_values(field_of("country"))) if continent_of(code) == name]
            inside = z3.And(country >= here[0], country <= here[-1])
            facts.append(z3.Or(no_country, no_continent, z3.Not(inside), continent == number))
        return facts

    def _counts_agree(self) -> list[Anything]:
        """No part is more than its whole, whether or not the counters between the two are known or asked about."""
        if not related(self._fields):
            return []
        unasked: dict[str, Anything] = {}

        def count(name: str) -> Anything:
            return self._fields[name][0] if name in self._fields else unasked.setdefault(name, z3.Int(name))

        lately = {
            event: {detail: z3.Sum([n for _, n in rings]) for detail, rings in details.items()}
            for event, details in self._rings.items()
        }
        facts = [small <= great for small, great in laws(count, lately)]
        return [*facts, *(variable >= 0 for variable in unasked.values())]

    def _passes(self, gate: Gate) -> Anything:
        place = self._places.setdefault((gate.seed, gate.group), z3.Int(f"place {len(self._places)}"))
        return self._gates.setdefault(gate, z3.And(place >= gate.low, place < gate.high))

    def _identity(self) -> list[Anything]:
        """Only a user with an id has places in rollouts, groups and the holdout, and then in all of them."""
        facts, identified = [], z3.Bool("has a user_id")
        for (_, group), place in self._places.items():
            facts += [place >= -1, place < (1_000 if group else 10_000), (place >= 0) == identified]
        return facts

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
                counts = [(age, _number(model, n)) for age, n in rings]
                if pairs := [[hour - age, n] for age, n in counts if n]:
                    recent[f"{event}|{detail}"] = pairs
        return recent


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


def _number(model: Anything, term: Anything) -> int:
    return int(model.eval(term, model_completion=True).as_long())


def _declare(field: Field) -> Anything:
    if field.kind == "bool":
        return z3.Bool(field.name)
    return z3.Real(field.name) if field.kind == "number" else z3.Int(field.name)


def _test(leaf: Leaf, field: Field, variable: Anything) -> Anything:
    if field.values is not None:
        return _member(leaf, field, variable)
    values = [_constant(field, value) for value in (leaf.value if isinstance(leaf.value, tuple) else (leaf.value,))]
    first = values[0]
    if leaf.op == "in":
        return z3.Or([variable == value for value in values])
    if leaf.op == "between":
        return z3.And(variable >= first, variable <= values[1])
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
    return z3.IntVal(value) if field.kind == "count" else z3.RealVal(Fraction(value))


def _value(field: Field, value: Anything) -> Anything:
    if field.kind == "bool":
        return z3.is_true(value)
    if field.values is not None:
        return _values(field)[value.as_long()]
    return value.as_long() if field.kind == "count" else float(value.as_fraction())
