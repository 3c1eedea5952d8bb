"""Whether two conditions may have a user in common, soon told for those that ask for different values of one field."""

import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any as Anything

from usher.rules.columns import compile_test
from usher.rules.conditions import All, Condition, Leaf


def may_overlap(one: Condition, two: Condition) -> bool:
    """False only if no user meets both; True says nothing."""
    asked: dict[str, list[Leaf]] = defaultdict(list)
    for leaf in conjuncts(one):
        asked[leaf.field].append(leaf)
    return not any(disjoint(mine, leaf) for leaf in conjuncts(two) for mine in asked[leaf.field])


def conjuncts(condition: Condition) -> Iterator[Leaf]:
    """The leaves that all must hold."""
    if isinstance(condition, Leaf):
        yield condition
    elif isinstance(condition, All):
        for item in condition.items:
            yield from conjuncts(item)


def disjoint(one: Leaf, two: Leaf) -> bool:
    """Whether no value of their field answers both with yes, for the kinds of questions where that is soon told."""
    if one.op == "present" or two.op == "present":
        unknown, other = (one, two) if one.op == "present" else (two, one)
        return unknown.value is False and (other.op != "present" or other.value is True)
    for this, that in ((one, two), (two, one)):
        if this.op in ("eq", "in"):
            test = compile_test(that)
            return not any(test(value) for value in (this.value if isinstance(this.value, tuple) else (this.value,)))
    (low, high), (bottom, top) = _range(one), _range(two)
    return high < bottom or top < low


def _range(leaf: Leaf) -> tuple[float, float]:
    value: Anything = leaf.value
    if leaf.op == "between":
        return value
    if leaf.op in ("ge", "gt"):
        return value, math.inf
    return (-math.inf, value) if leaf.op in ("le", "lt") else (-math.inf, math.inf)
