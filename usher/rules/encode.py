"""Rules as z3 formulas, and z3's models back as users."""

import re
from fractions import Fraction
from typing import Any as Anything

import z3

from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.fields import FIELDS, Field
from usher.rules.model import Rule

_ESCAPE = re.compile(r"\\u\{([0-9a-fA-F]+)\}")


def z3_text(text: str) -> Anything:
    """A z3 string; everything but plain ASCII is escaped, and so is the backslash."""
    return z3.StringVal(
        "".join(char if " " <= char <= "~" and char != "\\" else f"\\u{{{ord(char):x}}}" for char in text)
    )


class Encoder:
    """Variables of the fields that were asked about, each with a flag for null, and what is true of them always."""

    def __init__(self) -> None:
        self.always: list[Anything] = []
        self.at = z3.Int("at_ms")
        self.always += [self.at >= 0, self.at <= 4102444800000]
        self._variables: dict[str, tuple[Anything, Anything]] = {}
        self._in_rollout: dict[str, Anything] = {}

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
        """The rule takes the user at that time; whether the user is in a partial rollout is a variable."""
        parts = [self.condition(rule.when)]
        if rule.start_ms is not None:
            parts.append(self.at >= rule.start_ms)
        if rule.end_ms is not None:
            parts.append(self.at < rule.end_ms)
        if rule.rollout <= 0:
            parts.append(z3.BoolVal(False))
        elif rule.rollout < 100:
            parts.append(self._in_rollout.setdefault(rule.id, z3.Bool(f"in rollout {rule.id}")))
        return z3.And(parts)

    def takes_surely(self, rule: Rule) -> Anything:
        """As `takes`, but a rule that is rolled out in part takes nobody for sure."""
        return self.takes(rule) if rule.rollout >= 100 else z3.BoolVal(False)

    def user(self, model: Anything) -> dict[str, Anything]:
        """The user of a model: every field that was asked about and is not null."""
        user: dict[str, Anything] = {}
        for name, (variable, null) in self._variables.items():
            if not z3.is_true(model.eval(null, model_completion=True)):
                user[name] = _value(FIELDS[name], model.eval(variable, model_completion=True))
        return user

    def at_ms(self, model: Anything) -> int:
        """The moment of a model."""
        return int(model.eval(self.at, model_completion=True).as_long())

    def rollouts(self, model: Anything) -> dict[str, bool]:
        """Which partial rollouts the user must be in, or out of."""
        return {
            rule: z3.is_true(value)
            for rule, variable in self._in_rollout.items()
            if (value := model.eval(variable)) is not None and (z3.is_true(value) or z3.is_false(value))
        }

    def _variable(self, name: str) -> tuple[Anything, Anything]:
        if name not in self._variables:
            field = FIELDS[name]
            variable = _declare(field)
            if field.values is not None:
                self.always += [variable >= 0, variable < len(field.values)]
            elif field.kind in ("count", "number"):
                self.always += [variable >= 0, variable <= int(field.high)]
            self._variables[name] = (variable, z3.Bool(f"{name} is null"))
        return self._variables[name]

    def _leaf(self, leaf: Leaf) -> Anything:
        variable, null = self._variable(leaf.field)
        if leaf.op == "present":
            return z3.Not(null) if leaf.value else null
        return z3.And(z3.Not(null), _test(leaf, FIELDS[leaf.field], variable))


def _declare(field: Field) -> Anything:
    if field.kind == "bool":
        return z3.Bool(field.name)
    if field.kind == "number":
        return z3.Real(field.name)
    return z3.Int(field.name) if field.kind == "count" or field.values is not None else z3.String(field.name)


def _test(leaf: Leaf, field: Field, variable: Anything) -> Anything:
    if field.values is not None:  # a closed set: the numbers of the values that pass
        from usher.rules.columns import compile_test

        test = compile_test(leaf)
        return z3.Or([variable == number for number, value in enumerate(field.values) if test(value)])
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
        return field.values[value.as_long()]
    if field.kind == "count":
        return value.as_long()
    if field.kind == "number":
        return float(value.as_fraction())
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)), value.as_string())
