"""Answers to leaves: for one user (bools) or for whole columns (boolean arrays), from one compiled test per leaf."""

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any as Anything

import numpy as np

from usher.rules.conditions import Leaf
from usher.rules.fields import FIELDS

Array = np.ndarray[Anything, Anything]
Column = Array | Sequence[Anything]
Test = Callable[[Anything], Anything]
"""A leaf's test of a known value; of numbers, also of a whole array."""


def compile_test(leaf: Leaf) -> Test:
    """The test of a value that is not null and has the field's type."""
    value: Anything = leaf.value
    numeric = FIELDS[leaf.field].kind in ("count", "number")
    simple = {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le}
    simple |= {"gt": operator.gt, "ge": operator.ge}
    if leaf.op in simple:
        compare = simple[leaf.op]
        return lambda known: compare(known, value)
    if leaf.op == "between":
        low, high = value
        return lambda known: (known >= low) & (known <= high)
    if leaf.op == "in":
        if numeric:
            return lambda known: np.isin(known, value) if isinstance(known, np.ndarray) else known in value
        members = frozenset(value)
        return lambda known: known in members
    if leaf.op == "starts_with":
        return lambda known: known.startswith(value)
    if leaf.op == "ends_with":
        return lambda known: known.endswith(value)
    return lambda known: value in known


def known_value(field: str, value: Anything) -> Anything:
    """The value in the field's type, or None: nulls, NaN and values of another type are all unknown."""
    if value is None:
        return None
    kind = FIELDS[field].kind
    if kind == "text":
        return value if isinstance(value, str) else None
    if kind == "bool":
        return bool(value) if isinstance(value, bool | np.bool_) else None
    plain = type(value) is float or type(value) is int  # other types take longer to recognize
    if not plain and (isinstance(value, bool | np.bool_) or not isinstance(value, Real)):
        return None
    number = float(value)
    return None if math.isnan(number) else number


def user_value(user: Mapping[str, Anything], field: str) -> Anything:
    """A field of one user: ``feature_counts.analytics`` is a key of its own, or an entry of the map."""
    if field in user:
        return known_value(field, user[field])
    prefix, _, name = field.partition(".")
    return known_value(field, entry_of(prefix, name, user.get(prefix))) if name else None


def entry_of(prefix: str, name: str, mapping: Anything) -> Anything:
    """An entry of a map; a feature missing from a known `feature_counts` was used 0 times."""
    if isinstance(mapping, list | tuple | np.ndarray):  # Arrow gives a map as pairs
        mapping = dict(mapping)
    if not isinstance(mapping, Mapping):
        return None
    return mapping.get(name, 0 if prefix == "feature_counts" else None)


def ask_user(leaf: Leaf, test: Test, user: Mapping[str, Anything]) -> bool:
    """One user's answer to one leaf."""
    known = user_value(user, leaf.field)
    if leaf.op == "present":
        return (known is not None) == leaf.value
    return known is not None and bool(test(known))


class Columns:
    """The columns of a batch, each encoded once: numbers as floats, all others as codes into a few distinct values."""

    def __init__(self, columns: Mapping[str, Column], rows: int) -> None:
        self.columns = columns
        self.rows = rows
        self._encoded: dict[str, tuple[Array, list[Anything] | None]] = {}

    def ask(self, leaf: Leaf, test: Test) -> Array:
        """Every row's answer to one leaf."""
        data, distinct = self._encode(leaf.field)
        if distinct is None:
            known: Array = ~np.isnan(data)
            if leaf.op == "present":
                return known if leaf.value else np.isnan(data)
            answer: Array = test(data)
            return answer & known if leaf.op == "ne" else answer
        if leaf.op == "present":
            table = [value is not None if leaf.value else value is None for value in distinct]
        else:
            table = [value is not None and bool(test(value)) for value in distinct]
        found: Array = np.array(table, dtype=bool)[data]
        return found

    def number(self, field: str) -> list[float]:
        """A numeric column with 0 for null."""
        return [float(value) for value in np.nan_to_num(self._encode(field)[0])]

    def _encode(self, field: str) -> tuple[Array, list[Anything] | None]:
        if field not in self._encoded:
            numeric = FIELDS[field].kind in ("count", "number")
            values = self._values(field, numeric)
            self._encoded[field] = (_numbers(field, values), None) if numeric else _codes(field, values)
        return self._encoded[field]

    def _values(self, field: str, numeric: bool) -> Column:
        if field in self.columns:
            return self.columns[field]
        prefix, _, name = field.partition(".")
        if name and prefix in self.columns:
            missing = 0 if prefix == "feature_counts" else None
            column = self.columns[prefix]
            return [
                entry.get(name, missing) if type(entry) is dict else entry_of(prefix, name, entry) for entry in column
            ]
        return np.full(self.rows, math.nan) if numeric else [None] * self.rows


_PLAIN = {int, float, type(None)}


def _numbers(field: str, values: Column) -> Array:
    kind = values.dtype.kind if isinstance(values, np.ndarray) else "O"
    if kind in "iuf":
        return np.asarray(values, dtype=np.float64)
    if set(map(type, values)) <= _PLAIN:
        return np.array(values, dtype=np.float64)  # None becomes NaN
    known = [known_value(field, value) for value in values]
    return np.array([math.nan if value is None else value for value in known], dtype=np.float64)


def _codes(field: str, values: Column) -> tuple[Array, list[Anything]]:
    index: dict[Anything, int] = {}
    distinct: list[Anything] = []
    codes = np.empty(len(values), dtype=np.intp)
    for row, value in enumerate(values.tolist() if isinstance(values, np.ndarray) else values):
        known = known_value(field, value)
        code = index.get(known)
        if code is None:
            code = index[known] = len(distinct)
            distinct.append(known)
        codes[row] = code
    return codes, distinct
