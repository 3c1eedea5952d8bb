"""Questions about texts as facts without texts: exact, and quick where z3's strings are not.

Of an open text field it matters which of the constants it equals, if any, and whether it has each start, end and part
that is asked about. Facts that agree with the laws below have a text: its starts, parts and ends, joined by a character
that no question names.
"""

from collections.abc import Iterable, Iterator
from itertools import combinations
from typing import Any as Anything

import z3

from usher.rules.columns import compile_test
from usher.rules.conditions import Leaf, Op
from usher.rules.fields import normal_locale


class Text:
    """One field: its variable is the number of the constant that it equals, -1 for none."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.which = z3.Int(field)
        self._constants: dict[str, int] = {}
        self._parts: dict[Leaf, Anything] = {}

    def ask(self, leaf: Leaf) -> Anything:
        """The leaf as a formula, for a text that is known."""
        values = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
        texts = [normal_locale(str(value)) if self.field == "locale" else str(value) for value in values]
        if leaf.op in ("eq", "ne", "in"):
            numbers = [self._constants.setdefault(text, len(self._constants)) for text in texts]
            equal = z3.Or([self.which == number for number in numbers])
            return z3.Not(equal) if leaf.op == "ne" else equal
        part = Leaf(self.field, leaf.op, texts[0])
        return self._parts.setdefault(part, z3.Bool(f"{self.field} has part {len(self._parts)}"))

    def laws(self) -> Iterator[Anything]:
        """What the constants have, what a start, end or part implies, and which starts and ends exclude each other."""
        yield z3.And(self.which >= -1, self.which < len(self._constants))
        for part, has in self._parts.items():
            test = compile_test(part)
            with_it = [self.which == number for text, number in self._constants.items() if test(text)]
            yield z3.Implies(self.which >= 0, has == z3.Or(with_it))
        for one, two in combinations(self._parts, 2):
            if _exclude(one, two):
                yield z3.Not(z3.And(self._parts[one], self._parts[two]))
            for this, that in ((one, two), (two, one)):
                if _implies(this, that):
                    yield z3.Implies(self._parts[this], self._parts[that])

    def value(self, model: Anything) -> str:
        """A text of which all that the model says is true."""
        number = model.eval(self.which, model_completion=True).as_long()
        for text, constant in self._constants.items():
            if constant == number:
                return text
        truth = {part: z3.is_true(model.eval(has, model_completion=True)) for part, has in self._parts.items()}
        tests = [(compile_test(part), wanted) for part, wanted in truth.items()]
        joined = list(joins([part for part, wanted in truth.items() if wanted], self._constants, self._parts))
        fits = (one for one in joined if one not in self._constants and all(test(one) == want for test, want in tests))
        return next(fits, joined[-1])


def joins(parts: Iterable[Leaf], constants: Iterable[str] = (), others: Iterable[Leaf] = ()) -> Iterator[str]:
    """Texts that have all these starts, parts and ends, if any has; the last has no other start, part or end."""
    by_op: dict[Op, list[str]] = {"starts_with": [], "contains": [], "ends_with": []}
    for part in parts:
        by_op[part.op].append(str(part.value))
    start, end = max(by_op["starts_with"], key=len, default=""), max(by_op["ends_with"], key=len, default="")
    named = set("".join([start, end, *by_op["contains"], *constants, *(str(one.value) for one in others)]))
    unnamed = next(char for char in map(chr, range(ord("~"), 0x2FFFF)) if char not in named)
    if start.endswith(end) or end.startswith(start):
        yield max(start, end, key=len)
    for between in ("", " ", unnamed):
        yield between.join([start, *by_op["contains"], end])


def _implies(this: Leaf, that: Leaf) -> bool:
    """Whether each text that has the one start, end or part has the other."""
    longer, shorter = str(this.value), str(that.value)
    if that.op == "contains":
        return shorter in longer
    return this.op == that.op and bool(compile_test(that)(longer))


def _exclude(one: Leaf, two: Leaf) -> bool:
    """Whether they are two starts, or two ends, neither of which goes on as the other."""
    return one.op == two.op != "contains" and not _implies(one, two) and not _implies(two, one)
