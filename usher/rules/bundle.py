"""A loaded set of rules that decides: ``Bundle.load(Path("conf")).decide_one({"country": "DE"})``."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any as Anything

import numpy as np

from usher.rules.bucket import in_rollout
from usher.rules.columns import Array, Column, Columns, ask_user
from usher.rules.compiled import Compiled, Compiler
from usher.rules.conditions import EVERYONE
from usher.rules.model import Content, Rule
from usher.rules.parse import load

if TYPE_CHECKING:
    from usher.rules.why import Verdict

TARGETING_MATCH, SPLIT, DEFAULT = "TARGETING_MATCH", "SPLIT", "DEFAULT"
"""OpenFeature's reasons: a condition held; it held and the user is in a partial rollout; no condition was asked."""


@dataclass(frozen=True)
class Decided:
    """What every row of a batch sees in one slot; content and rule are None where no rule takes the row."""

    content_id: Array
    rule_id: Array
    reason: Array


@dataclass(frozen=True)
class DecidedOne:
    """What one user sees in one slot."""

    content_id: str | None
    rule_id: str | None
    reason: str


class Bundle:
    """Rules in their total order, compiled; `version` is a hash of what they say, not of how the files are laid out."""

    def __init__(self, rules: Iterable[Rule], contents: Mapping[str, Content]) -> None:
        self.contents = dict(contents)
        self.rules: dict[str, Rule] = {}
        self.slots: dict[str, list[Rule]] = {}
        self._compiler = Compiler()
        self._compiled: dict[str, Compiled] = {}
        for rule in sorted(rules, key=lambda rule: (rule.slot, rule.order)):
            self.rules[rule.id] = rule
            self.slots.setdefault(rule.slot, []).append(rule)
            self._compiled[rule.id] = self._compiler.compile(rule.when)
        self._choices = {slot: _choices(ordered) for slot, ordered in self.slots.items()}
        self.version = _version(self.rules.values(), self.contents)

    @classmethod
    def load(cls, directory: Path | str) -> "Bundle":
        """Load ``rules/*.yaml`` and ``content/*.yaml`` under `directory`; raises `RulesError` with every problem."""
        return cls(*load(Path(directory)))

    def decide(self, columns: Mapping[str, Column], at: Anything = None) -> dict[str, Decided]:
        """Decide every row in every slot; `at` is a datetime64, milliseconds, or one of them per row (None: now)."""
        rows = len(next(iter(columns.values()))) if columns else 0
        batch = Columns(columns, rows)
        answers: dict[int, Array] = {}

        def ask(number: int) -> Array:
            if number not in answers:
                answers[number] = batch.ask(self._compiler.leaves[number], self._compiler.tests[number])
            return answers[number]

        moment = np.broadcast_to(to_millis(at), (rows,))
        users = columns.get("user_id", [None] * rows)
        return {slot: self._decide_slot(slot, rows, ask, moment, users) for slot in self.slots}

    def _decide_slot(
        self, slot: str, rows: int, ask: Callable[[int], Anything], moment: Array, users: Column
    ) -> Decided:
        rules = self.slots[slot]
        taken = np.full(rows, len(rules), dtype=np.intp)
        free = np.ones(rows, dtype=bool)
        for number, rule in enumerate(rules):
            matched = free & self._compiled[rule.id](ask)
            if rule.start_ms is not None:
                matched &= moment >= rule.start_ms
            if rule.end_ms is not None:
                matched &= moment < rule.end_ms
            if rule.rollout < 100:
                for row in np.flatnonzero(matched):
                    matched[row] = in_rollout(rule.id, users[row], rule.rollout)
            taken[matched] = number
            free &= ~matched
            if not free.any():
                break
        content, rule_id, reason = self._choices[slot]
        return Decided(content[taken], rule_id[taken], reason[taken])

    def decide_one(self, user: Mapping[str, Anything], at: Anything = None) -> dict[str, DecidedOne]:
        """Decide one user in every slot, by the same compiled rules."""
        ask, moment = self._asker(user), int(to_millis(at))
        decided = {}
        for slot, rules in self.slots.items():
            taken = next((rule for rule in rules if self.takes(rule, user, moment, ask)), None)
            content, rule = (None, None) if taken is None else (taken.content, taken.id)
            decided[slot] = DecidedOne(content, rule, _reason(taken))
        return decided

    def takes(
        self, rule: Rule, user: Mapping[str, Anything], at_ms: int, ask: Callable[[int], bool] | None = None
    ) -> bool:
        """Whether the rule, looked at alone, takes the user: dates, condition and rollout."""
        if not in_dates(rule, at_ms) or not self._compiled[rule.id](ask or self._asker(user)):
            return False
        return in_rollout(rule.id, user.get("user_id"), rule.rollout)

    def meets(self, rule: Rule, user: Mapping[str, Anything]) -> bool:
        """Whether the user meets the rule's condition."""
        return bool(self._compiled[rule.id](self._asker(user)))

    def text(self, content_id: str, locale: str | None = None) -> str:
        """The text of a content in the locale, its language, or its fallback."""
        return self.contents[content_id].localized(locale)

    def explain(self, user: Mapping[str, Anything], slot: str, at: Anything = None) -> "list[Verdict]":
        """Every rule of the slot in order, and why it did or did not take the user."""
        from usher.rules.why import explain

        return explain(self, user, slot, at)

    def _asker(self, user: Mapping[str, Anything]) -> Callable[[int], bool]:
        answers: dict[int, bool] = {}

        def ask(number: int) -> bool:
            if number not in answers:
                answers[number] = ask_user(self._compiler.leaves[number], self._compiler.tests[number], user)
            return answers[number]

        return ask


def in_dates(rule: Rule, at_ms: int) -> bool:
    """Whether the rule is on at that moment: start included, end not."""
    return (rule.start_ms is None or at_ms >= rule.start_ms) and (rule.end_ms is None or at_ms < rule.end_ms)


def to_millis(at: Anything) -> Array:
    """A datetime64, milliseconds or an array of them as int64 milliseconds; None is now."""
    if at is None:
        return np.asarray(round(time.time() * 1000), dtype=np.int64)
    values = np.asarray(at)
    if values.dtype.kind == "M":
        values = values.astype("datetime64[ms]")
    return values.astype(np.int64)


def _reason(rule: Rule | None) -> str:
    if rule is not None and rule.rollout < 100:
        return SPLIT
    return DEFAULT if rule is None or rule.when == EVERYONE else TARGETING_MATCH


def _choices(rules: list[Rule]) -> tuple[Array, Array, Array]:
    """What is shown by the number of the rule that takes; the last entry is of nobody's rule."""
    content = np.array([*(rule.content for rule in rules), None], dtype=object)
    rule_id = np.array([*(rule.id for rule in rules), None], dtype=object)
    reason = np.array([*(_reason(rule) for rule in rules), DEFAULT], dtype=object)
    return content, rule_id, reason


def _version(rules: Iterable[Rule], contents: Mapping[str, Content]) -> str:
    said: list[Anything] = []
    for rule in sorted(rules, key=lambda rule: rule.id):
        dates = [rule.start_ms, rule.end_ms]
        said.append(
            [rule.id, rule.slot, rule.priority, repr(rule.when), rule.content, *dates, rule.rollout, rule.owner]
        )
    for content in sorted(contents.values(), key=lambda content: content.id):
        said.append([content.id, dict(content.text), content.fallback])
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]
