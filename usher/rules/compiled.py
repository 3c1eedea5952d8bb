"""Conditions compiled once to closures that serve both one user and whole columns."""

from collections.abc import Callable
from typing import Any as Anything

from usher.rules.columns import Test, compile_test
from usher.rules.conditions import Any, Condition, Leaf, Not

Answers = Callable[[int], Anything]
"""The answer to leaf number i: a bool for one user, a boolean array for columns."""
Compiled = Callable[[Answers], Anything]


class Compiler:
    """Numbers the distinct leaves of all rules, so that each is asked at most once per batch."""

    def __init__(self) -> None:
        self.leaves: list[Leaf] = []
        self.tests: list[Test] = []
        self._numbers: dict[tuple[Leaf, str], int] = {}

    def compile(self, condition: Condition) -> Compiled:
        """A closure from the answers of the leaves to the answer of the condition; `True` for everyone."""
        if isinstance(condition, Leaf):
            number = self._number(condition)
            return lambda answers: answers(number)
        if isinstance(condition, Not):
            inner = self.compile(condition.item)
            return lambda answers: inner(answers) ^ True
        if isinstance(condition, Any):
            return _any([self.compile(item) for item in condition.items])
        leaves = [self._number(item) for item in condition.items if isinstance(item, Leaf)]
        return _all(leaves, [self.compile(item) for item in condition.items if not isinstance(item, Leaf)])

    def _number(self, leaf: Leaf) -> int:
        key = (leaf, repr(leaf.value))  # 1 and True are equal, but ask different things
        if key not in self._numbers:
            self._numbers[key] = len(self.leaves)
            self.leaves.append(leaf)
            self.tests.append(compile_test(leaf))
        return self._numbers[key]


def _all(leaves: list[int], items: list[Compiled]) -> Compiled:
    """Leaves first, and without a call for each: most conditions are a few of them, and one user waits for all."""

    def every(answers: Answers) -> Anything:
        answer: Anything = True
        for number in leaves:
            answer = answer & answers(number)
            if answer is False:
                return answer
        for item in items:
            answer = answer & item(answers)
            if answer is False:
                return answer
        return answer

    return every


def _any(items: list[Compiled]) -> Compiled:
    def some(answers: Answers) -> Anything:
        answer: Anything = False
        for item in items:
            answer = answer | item(answers)
            if answer is True:
                return answer
        return answer

    return some
