"""A loaded set of rules that decides: ``Bundle.load(Path("conf")).decide_one({"country": "DE"})``."""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any as Anything

import numpy as np

from usher.rules.bucket import in_rollout
from usher.rules.columns import Array, Column, Columns, User
from usher.rules.compiled import Compiled, Compiler
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.model import RULE_SLOTS, Content, Holdout, Rule, RuleSet
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

    @classmethod
    def nothing(cls, rows: int) -> "Decided":
        """Of a slot that the bundle does not have."""
        nobody = np.full(rows, None, dtype=object)
        return cls(nobody, nobody, np.full(rows, DEFAULT, dtype=object))


@dataclass(frozen=True)
class DecidedOne:
    """What one user sees in one slot."""

    content_id: str | None
    rule_id: str | None
    reason: str


class Bundle:
    """Rules in their total order, compiled; `version` is a hash of what they say, not of how the files are laid out."""

    def __init__(
        self,
        rules: Iterable[Rule],
        contents: Mapping[str, Content],
        slots: Iterable[str] = RULE_SLOTS,
        holdout: Holdout | None = None,
    ) -> None:
        self.contents = dict(contents)
        self.holdout = holdout
        self.rules: dict[str, Rule] = {}
        self.slots: dict[str, list[Rule]] = {slot: [] for slot in slots}
        self._compiler = Compiler()
        self._compiled: dict[str, Compiled] = {}
        for rule in sorted(rules, key=lambda rule: (rule.slot, rule.order)):
            self.rules[rule.id] = rule
            self.slots.setdefault(rule.slot, []).append(rule)
            self._compiled[rule.id] = self._compiler.compile(rule.asks)
        self._choices = {slot: _choices(ordered) for slot, ordered in self.slots.items()}
        self.version = _version(self)

    @classmethod
    def load(cls, source: Path | str | Mapping[str, str]) -> "Bundle":
        """Load ``rules/*.yaml`` and ``content/*.yaml`` under a directory, or of a mapping of such names to texts.

        Raises `RulesError` with every problem.
        """
        return cls.of(load(source if isinstance(source, Mapping) else Path(source)))

    @classmethod
    def of(cls, found: RuleSet) -> "Bundle":
        """The bundle of what was loaded."""
        return cls(found.rules, found.contents, found.slots, found.holdout)

    def decide(self, columns: Mapping[str, Column], at: Anything = None) -> dict[str, Decided]:
        """Decide every row in every slot; `at` is a datetime64, milliseconds, or one of them per row (None: now)."""
        rows = len(next(iter(columns.values()))) if columns else 0
        moment = np.broadcast_to(to_millis(at), (rows,))
        batch = Columns(columns, rows, moment)
        answers: dict[int, Array] = {}

        def ask(number: int) -> Array:
            if number not in answers:
                answers[number] = batch.ask(self._compiler.leaves[number], self._compiler.tests[number])
            return answers[number]

        users = columns.get("user_id", [None] * rows)
        held = None if self.holdout is None else self.held(users)
        return {slot: self._decide_slot(slot, rows, ask, moment, users, held) for slot in self.slots}

    def _decide_slot(
        self, slot: str, rows: int, ask: Callable[[int], Anything], moment: Array, users: Column, held: Array | None
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
            if held is not None and rule.personal:
                matched &= ~held
            if rule.rollout < 100 or rule.group is not None:
                matched = _rows(matched, users, rule.admits)
            taken[matched] = number
            free &= ~matched
            if not free.any():
                break
        content, rule_id, reason = self._choices[slot]
        return Decided(content[taken], rule_id[taken], reason[taken])

    def decide_one(self, user: Mapping[str, Anything], at: Anything = None) -> dict[str, DecidedOne]:
        """Decide one user in every slot, by the same compiled rules."""
        moment = int(to_millis(at))
        ask, name = self._asker(user, moment), user.get("user_id")
        compiled = self._compiled
        decided = {}
        for slot, rules in self.slots.items():
            for rule in rules:
                if compiled[rule.id](ask) and self._admits(rule, name, moment):
                    decided[slot] = DecidedOne(rule.content, rule.id, _reason(rule))
                    break
            else:
                decided[slot] = DecidedOne(None, None, DEFAULT)
        return decided

    def takes(self, rule: Rule, user: Mapping[str, Anything], at_ms: int) -> bool:
        """Whether the rule, looked at alone, takes the user: dates, condition, cap, holdout, group and rollout."""
        return self.meets(rule, user, at_ms) and self._admits(rule, user.get("user_id"), at_ms)

    def _admits(self, rule: Rule, user_id: str | None, at_ms: int) -> bool:
        """Whether a user who meets the condition is also let in by dates, rollout, group and holdout."""
        return in_dates(rule, at_ms) and rule.admits(user_id) and not (rule.personal and self.held_out(user_id))

    def held_out(self, user_id: str | None) -> bool:
        """Whether the user is in the holdout, which gets nothing but defaults."""
        held = self.holdout
        return held is not None and isinstance(user_id, str) and in_rollout(held.seed, user_id, held.percent)

    def held(self, users: Column) -> Array:
        """`held_out` of each of the users."""
        everyone = np.ones(len(users), dtype=bool)
        return ~everyone if self.holdout is None else _rows(everyone, users, self.held_out)

    def meets(self, rule: Rule, user: Mapping[str, Anything], at_ms: int = 0) -> bool:
        """Whether the user meets the rule's condition and is below its cap."""
        return bool(self._compiled[rule.id](self._asker(user, at_ms)))

    def meets_each(self, rules: Iterable[Rule], people: Iterable[tuple[Mapping[str, Anything], int]]) -> list[Array]:
        """For each rule, which of the users (each at a moment) meet it, asked of all of them at once."""
        users = [User(fields, at_ms) for fields, at_ms in people]
        columns = Columns(_Asked(users), len(users))
        answers: dict[int, Array] = {}

        def ask(number: int) -> Array:
            if number not in answers:
                answers[number] = columns.ask(self._compiler.leaves[number], self._compiler.tests[number])
            return answers[number]

        return [np.broadcast_to(self._compiled[rule.id](ask), (len(users),)) for rule in rules]

    def text(self, content_id: str, locale: str | None = None) -> str:
        """The text of a content in the locale, its language, or its fallback."""
        return self.contents[content_id].localized(locale)

    def explain(self, user: Mapping[str, Anything], slot: str, at: Anything = None) -> "list[Verdict]":
        """Every rule of the slot in order, and why it did or did not take the user."""
        from usher.rules.why import explain

        return explain(self, user, slot, at)

    def _asker(self, fields: Mapping[str, Anything], at_ms: int) -> Callable[[int], bool]:
        leaves, tests = self._compiler.leaves, self._compiler.tests
        answers: list[bool | None] = [None] * len(leaves)
        user = User(fields, at_ms)

        def ask(number: int) -> bool:
            answer = answers[number]
            if answer is None:
                answer = answers[number] = user.ask(leaves[number], tests[number])
            return answer

        return ask


class _Asked(Mapping[str, Column]):
    """Any field of some users as a column."""

    def __init__(self, users: list[User]) -> None:
        self._users = users

    def __getitem__(self, field: str) -> Column:
        return [user.value(field) for user in self._users]

    def __contains__(self, field: object) -> bool:
        return True

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


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


def _reason(rule: Rule) -> str:
    if rule.rollout < 100 or rule.group is not None:
        return SPLIT
    return TARGETING_MATCH if rule.personal else DEFAULT


def _rows(among: Array, users: Column, passes: Callable[[Anything], bool]) -> Array:
    """The rows of `among` whose user passes."""
    found = among.copy()
    for row in np.flatnonzero(among):
        found[row] = passes(users[row])
    return found


def _choices(rules: list[Rule]) -> tuple[Array, Array, Array]:
    """What is shown by the number of the rule that takes; the last entry is of nobody's rule."""
    content = np.array([*(rule.content for rule in rules), None], dtype=object)
    rule_id = np.array([*(rule.id for rule in rules), None], dtype=object)
    reason = np.array([*(_reason(rule) for rule in rules), DEFAULT], dtype=object)
    return content, rule_id, reason


def _version(bundle: Bundle) -> str:
    said: list[Anything] = [sorted(bundle.slots), repr(bundle.holdout)]
    for rule in sorted(bundle.rules.values(), key=lambda rule: rule.id):
        gates = [rule.start_ms, rule.end_ms, rule.rollout, repr(rule.cap), repr(rule.group)]
        said.append([rule.id, rule.slot, rule.priority, repr(_sorted(rule.when)), rule.content, *gates, rule.owner])
    for content in sorted(bundle.contents.values(), key=lambda content: content.id):
        said.append([content.id, dict(content.text), content.fallback])
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12]


def _sorted(condition: Condition) -> Condition:
    """The same condition whichever way round its parts were written."""
    if isinstance(condition, Leaf):
        return condition
    if isinstance(condition, Not):
        return Not(_sorted(condition.item))
    items = tuple(sorted((_sorted(item) for item in condition.items), key=repr))
    return All(items) if isinstance(condition, All) else Any(items)
