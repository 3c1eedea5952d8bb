"""The typed condition tree: what a rule asks of a user, without any notion of how it is evaluated.

A leaf about a missing (null) value is false, whatever its operator, `ne` included; `not` then negates it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from usher.rules.fields import recent_of

Op = Literal["eq", "ne", "lt", "le", "gt", "ge", "between", "in", "starts_with", "ends_with", "contains", "present"]
Scalar = str | float | int | bool
Value = Scalar | tuple[Scalar, ...]

ORDER_OPS: tuple[Op, ...] = ("lt", "le", "gt", "ge", "between")
TEXT_OPS: tuple[Op, ...] = ("starts_with", "ends_with", "contains")
ALL_OPS: tuple[Op, ...] = ("eq", "ne", *ORDER_OPS, "in", *TEXT_OPS, "present")

_SIGNS = {"eq": "=", "ne": "≠", "lt": "<", "le": "≤", "gt": ">", "ge": "≥"}


@dataclass(frozen=True)
class Leaf:
    """One question about one field; `in` holds its values in a tuple, `between` its two ends (both included)."""

    field: str
    op: Op
    value: Value

    def __str__(self) -> str:
        name = recent_of(self.field) or self.field
        if self.op == "present":
            return f"{name} is {'known' if self.value else 'unknown'}"
        if isinstance(self.value, tuple):
            parts = [str(part) for part in self.value]
            if self.op == "between":
                return f"{parts[0]} ≤ {name} ≤ {parts[1]}"
            return f"{name} in {', '.join(parts)}"
        return f"{name} {_SIGNS.get(self.op, self.op.replace('_', ' '))} {self.value}"


@dataclass(frozen=True)
class All:
    """Every item holds; `All(())` always holds."""

    items: tuple["Condition", ...]

    def __str__(self) -> str:
        return _joined(self.items, " and ", "everyone")


@dataclass(frozen=True)
class Any:
    """At least one item holds."""

    items: tuple["Condition", ...]

    def __str__(self) -> str:
        return _joined(self.items, " or ", "nobody")


@dataclass(frozen=True)
class Not:
    """The item does not hold."""

    item: "Condition"

    def __str__(self) -> str:
        return f"not ({self.item})"


Condition = Leaf | All | Any | Not
EVERYONE = All(())


def leaves(condition: Condition) -> Iterator[Leaf]:
    """Every leaf, from left to right, with repetitions."""
    if isinstance(condition, Leaf):
        yield condition
    elif isinstance(condition, Not):
        yield from leaves(condition.item)
    else:
        for item in condition.items:
            yield from leaves(item)


def specificity(condition: Condition) -> int:
    """The number of leaves: between rules of one priority, the one that asks more goes first."""
    return sum(1 for _ in leaves(condition))


def _joined(items: tuple[Condition, ...], word: str, empty: str) -> str:
    texts = [f"({item})" if isinstance(item, All | Any) and len(item.items) > 1 else str(item) for item in items]
    return word.join(texts) if texts else empty
