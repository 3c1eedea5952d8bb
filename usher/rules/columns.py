"""Answers to leaves: for one user (bools) or for whole columns (boolean arrays), from one compiled test per leaf."""

import json
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from numbers import Real
from typing import Any as Anything

import numpy as np

from usher.rules.conditions import Leaf, Op
from usher.rules.fields import FIELDS, Recent, field_of, normal_locale, recent_of
from usher.rules.recent import count_recent, parse_recent

Array = np.ndarray[Anything, Anything]
Column = Array | Sequence[Anything]
Test = Callable[[Anything], Anything]
"""A leaf's test of a known value; of numbers, also of a whole array."""
_CLOSED = {field.name: frozenset(field.values) for field in FIELDS.values() if field.values is not None}


def compile_test(leaf: Leaf) -> Test:
    """The test of a value that is not null and has the field's type."""
    if leaf.field == "locale" and leaf.op != "present":
        test = _compile(leaf.op, _normal(leaf.value), numeric=False)
        return lambda known: test(normal_locale(known))
    return _compile(leaf.op, leaf.value, field_of(leaf.field).kind in ("count", "number"))


def _normal(value: Anything) -> Anything:
    return tuple(map(normal_locale, value)) if isinstance(value, tuple) else normal_locale(value)


def _compile(op: Op, value: Anything, numeric: bool) -> Test:
    simple = {"eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le}
    simple |= {"gt": operator.gt, "ge": operator.ge}
    if op in simple:
        compare = simple[op]
        return lambda known: compare(known, value)
    if op == "between":
        low, high = value
        return lambda known: (known >= low) & (known <= high)
    if op == "in":
        if numeric:
            return lambda known: np.isin(known, value) if isinstance(known, np.ndarray) else known in value
        members = frozenset(value)
        return lambda known: known in members
    if op == "starts_with":
        return lambda known: known.startswith(value)
    if op == "ends_with":
        return lambda known: known.endswith(value)
    return lambda known: value in known


def known_value(field: str, value: Anything) -> Anything:
    """The value in the field's type, or None: null, NaN, another type and what a closed set lacks are unknown."""
    if value is None:
        return None
    kind = field_of(field).kind
    if kind == "text":
        known = isinstance(value, str) and (field not in _CLOSED or value in _CLOSED[field])
        return value if known else None
    if kind == "bool":
        return bool(value) if isinstance(value, bool | np.bool_) else None
    plain = type(value) is float or type(value) is int  # other types take longer to recognize
    if not plain and (isinstance(value, bool | np.bool_) or not isinstance(value, Real)):
        return None
    number = float(value)
    return None if math.isnan(number) else number


def entry_of(prefix: str, name: str, mapping: Anything) -> Anything:
    """An entry of a map; a feature missing from a known `feature_counts` was used 0 times."""
    if prefix == "consent" and isinstance(mapping, str):
        mapping = _parsed(mapping)
    if isinstance(mapping, list | tuple | np.ndarray):  # Arrow gives a map as pairs
        mapping = dict(mapping)
    if not isinstance(mapping, Mapping):
        return None
    return mapping.get(name, 0 if prefix == "feature_counts" else None)


@lru_cache(1_000)
def _parsed(text: str) -> Anything:
    """The JSON of a consent column, of which there are few different ones; None where it is none."""
    try:
        return json.loads(text)
    except ValueError:
        return None


_UNASKED = object()


class User:
    """One user at one moment: the value of each field, looked up once."""

    def __init__(self, fields: Mapping[str, Anything], at_ms: int) -> None:
        self.fields = fields
        self.at_ms = at_ms
        self._values: dict[str, Anything] = {}
        self._recent: Anything = _UNASKED

    def value(self, field: str) -> Anything:
        """``feature_counts.analytics`` is a key of its own, or an entry of the map; None if unknown."""
        found = self._values.get(field, _UNASKED)
        if found is _UNASKED:
            found = self._values[field] = known_value(field, self._look_up(field))
        return found

    def ask(self, leaf: Leaf, test: Test) -> bool:
        """The answer to one leaf."""
        known = self.value(leaf.field)
        if leaf.op == "present":
            return (known is not None) == leaf.value
        return known is not None and bool(test(known))

    def _look_up(self, field: str) -> Anything:
        if field in self.fields:
            return self.fields[field]
        prefix, _, name = field.partition(".")
        if prefix != "recent":
            return entry_of(prefix, name, self.fields.get(prefix)) if name else None
        if self._recent is _UNASKED:
            self._recent = parse_recent(self.fields.get("recent"))
        asked = recent_of(field)
        return None if self._recent is None or asked is None else count_recent(self._recent, asked, self.at_ms)


class Columns:
    """The columns of a batch, each encoded once: numbers as floats, all others as codes into a few distinct values."""

    def __init__(self, columns: Mapping[str, Column], rows: int, at_ms: Array | None = None) -> None:
        self.columns = columns
        self.rows = rows
        self.at_ms = np.zeros(rows, dtype=np.int64) if at_ms is None else at_ms
        self._recent: list[Mapping[str, Anything] | None] | None = None
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

    def number(self, field: str) -> Array:
        """A numeric column with 0 for null."""
        return np.nan_to_num(self._encode(field)[0])

    def _encode(self, field: str) -> tuple[Array, list[Anything] | None]:
        if field not in self._encoded:
            numeric = field_of(field).kind in ("count", "number")
            values = self._values(field, numeric)
            self._encoded[field] = (_numbers(field, values), None) if numeric else _codes(field, values)
        return self._encoded[field]

    def _values(self, field: str, numeric: bool) -> Column:
        if field in self.columns:
            return self.columns[field]
        prefix, _, name = field.partition(".")
        asked = recent_of(field)
        if asked is not None:
            return self._counts(asked)
        if name and prefix in self.columns:
            missing = 0 if prefix == "feature_counts" else None
            column = self.columns[prefix]
            return [
                entry.get(name, missing) if type(entry) is dict else entry_of(prefix, name, entry) for entry in column
            ]
        return np.full(self.rows, math.nan) if numeric else [None] * self.rows

    def _counts(self, asked: Recent) -> Column:
        if self._recent is None:
            self._recent = [parse_recent(value) for value in self.columns.get("recent", [None] * self.rows)]
        rows = zip(self._recent, self.at_ms.tolist(), strict=True)
        return [None if recent is None else count_recent(recent, asked, at_ms) for recent, at_ms in rows]


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
    rows = values.tolist() if isinstance(values, np.ndarray) else values
    plain = bool if field_of(field).kind == "bool" else str
    if not set(map(type, rows)) <= {plain, type(None)}:
        rows = [known_value(field, value) for value in rows]
    distinct = list(dict.fromkeys(rows))
    index = {value: code for code, value in enumerate(distinct)}
    codes = np.fromiter(map(index.__getitem__, rows), dtype=np.intp, count=len(rows))
    return codes, [known_value(field, value) for value in distinct]
