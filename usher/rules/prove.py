"""Proofs about a bundle, by z3: contradictory, shadowed, conflict, gap, duplicate, redundant; each with a witness.

Users are those the job can make (`usher.rules.guess` lists what always holds of them); any field may be null.
Every witness, guessed or found by z3, is asked of the evaluator; what is not settled is said to be undecided.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any as Anything

import z3

from usher.rules.bundle import Bundle
from usher.rules.columns import User
from usher.rules.compiled import Compiler
from usher.rules.conditions import All, Condition, Leaf, Not
from usher.rules.encode import Encoder
from usher.rules.findings import Finding, Kind
from usher.rules.guess import guess
from usher.rules.model import Rule
from usher.rules.overlap import may_overlap

Fields = dict[str, Anything]
Shows = Callable[[Fields, int], bool]
"""Whether a user at a moment shows what was asked for."""


@dataclass(frozen=True)
class _Answer:
    """Unsatisfiable (`sat` False), satisfied by a checked witness (True), or not settled (None)."""

    sat: bool | None
    user: Fields = field(default_factory=dict)
    at_ms: int = 0


class _TimeIsOverError(Exception):
    """The time for all questions is over."""


class Prover:
    """Asks about the slots of one bundle, within a time for each question and one for all."""

    def __init__(self, bundle: Bundle, question_ms: int = 10_000, total_s: float = 60.0) -> None:
        self.bundle = bundle
        self.question_ms = question_ms
        self.deadline = time.monotonic() + total_s
        self._met: dict[str, _Answer] = {}

    def prove(self) -> list[Finding]:
        """Every finding: examples that fail, then slot by slot in the order of the rules."""
        found = list(self._examples())
        for slot, rules in self.bundle.slots.items():
            found += self._slot(slot, rules)
        return found

    def _examples(self) -> Iterator[Finding]:
        for rule in self.bundle.rules.values():
            for example in rule.examples:
                got = self.bundle.decide_one(example.user, example.at_ms)[rule.slot]
                if got.content_id != example.expect:
                    what = f"Rule '{rule.id}': its example expects '{example.expect}' and gets '{got.content_id}'"
                    sentence = f"{what} by rule '{got.rule_id}'."
                    user = dict(example.user)
                    yield Finding(
                        "example", rule.slot, (rule.id,), sentence, user, example.at_ms, rule.file, example.line
                    )

    def _slot(self, slot: str, rules: list[Rule]) -> Iterator[Finding]:
        try:
            yield from self._all_of(slot, rules)
        except _TimeIsOverError:
            sentence = f"Slot '{slot}': the time was over before its {len(rules)} rules were compared; give it more."
            yield Finding("undecided", slot, (), sentence)

    def _all_of(self, slot: str, rules: list[Rule]) -> Iterator[Finding]:
        alive = []
        for rule in rules:
            finding = self._contradictory(rule)
            if finding is None or finding.kind == "undecided":
                alive.append(rule)
            if finding is not None:
                yield finding
        for rule in alive:
            yield from self._shadowed(rule, [other for other in alive if other.priority > rule.priority])
            yield from self._redundant(rule)
        yield from self._duplicates(alive)
        for priority, several in itertools.groupby(alive, key=lambda rule: rule.priority):
            higher = [other for other in alive if other.priority > priority]
            for one, two in itertools.combinations(several, 2):
                yield from self._conflict(one, two, higher)
        yield from self._gap(slot, alive)

    def _contradictory(self, rule: Rule) -> Finding | None:
        def shows(user: Fields, at_ms: int) -> bool:
            return self.bundle.meets(rule, user, at_ms)

        at_ms = _on(rule)
        answer = self._ask(shows, [guess(rule.asks, at_ms)], lambda z: [z.condition(rule.asks)], at_ms)
        if answer.sat:
            self._met[rule.id] = answer
            return None
        sentence = f"Rule '{rule.id}': no user meets its condition ({rule.asks})."
        return self._finding("contradictory", rule.slot, (rule,), sentence, answer, wanted=False)

    def _shadowed(self, rule: Rule, higher: list[Rule]) -> Iterator[Finding]:
        higher = [other for other in higher if other.certain and may_overlap(rule.when, other.when)]
        if not higher or rule.rollout <= 0:
            return
        answer = self._escapes(rule, higher)
        if not answer.sat:
            takers = self._takers(rule, higher) if answer.sat is False else higher
            names = ", ".join(f"'{other.id}'" for other in takers)
            sentence = f"Rule '{rule.id}': every user of it is taken by rules of higher priority ({names})."
            yield self._finding("shadowed", rule.slot, (rule, *takers), sentence, answer, wanted=False)

    def _escapes(self, rule: Rule, higher: list[Rule]) -> _Answer:
        """Whether a user of the rule is taken by none of `higher`."""

        def shows(user: Fields, at_ms: int) -> bool:
            return self._takes(rule, user, at_ms) and not any(self._takes(one, user, at_ms) for one in higher)

        met = self._met.get(rule.id, _Answer(None))
        return self._ask(
            shows, [met.user], lambda z: [z.takes(rule), *(z3.Not(z.takes_surely(one)) for one in higher)], met.at_ms
        )

    def _takers(self, rule: Rule, higher: list[Rule]) -> list[Rule]:
        """A smallest set of rules that still shadows, found by leaving out one after the other."""
        needed = higher
        for other in higher:
            rest = [item for item in needed if item is not other]
            if rest and self._escapes(rule, rest).sat is False:
                needed = rest
        return needed

    def _conflict(self, one: Rule, two: Rule, higher: list[Rule]) -> Iterator[Finding]:
        if one.content == two.content or not may_overlap(one.when, two.when):
            return
        higher = [other for other in higher if may_overlap(one.when, other.when) and may_overlap(two.when, other.when)]

        def shows(user: Fields, at_ms: int) -> bool:
            both = self._takes(one, user, at_ms) and self._takes(two, user, at_ms)
            return both and not any(self._takes(other, user, at_ms) for other in higher)

        def questions(z: Encoder) -> list[Anything]:
            return [z.takes(one), z.takes(two), *(z3.Not(z.takes(other)) for other in higher)]

        at_ms = max(_on(one), _on(two))
        answer = self._ask(shows, [guess(All((one.asks, two.asks)), at_ms)], questions, at_ms)
        if answer.sat is not False:
            same = f"have priority {one.priority} and a user in common"
            sentence = f"Rules '{one.id}' ({one.content}) and '{two.id}' ({two.content}) {same}."
            yield self._finding("conflict", one.slot, (one, two), sentence, answer, wanted=True)

    def _gap(self, slot: str, rules: list[Rule]) -> Iterator[Finding]:
        def shows(user: Fields, at_ms: int) -> bool:
            return not any(self._takes(rule, user, at_ms) for rule in rules)

        answer = self._ask(shows, [{}], lambda z: [z3.Not(z.takes(rule)) for rule in rules])
        if answer.sat is not False:
            sentence = f"Slot '{slot}': no rule takes this user, and it has no default; add a rule without `when`."
            yield self._finding("gap", slot, (), sentence, answer, wanted=True)

    def _duplicates(self, rules: list[Rule]) -> Iterator[Finding]:
        """Pairs that show one content to the same users; compared are those that no user met so far tells apart."""
        people = [(met.user, met.at_ms) for met in self._met.values()]
        alike: dict[tuple[Anything, ...], list[Rule]] = defaultdict(list)
        for rule, met in zip(rules, self.bundle.meets_each(rules, people), strict=True):
            if rule.rollout >= 100:  # in part, each rule is rolled out to users of its own
                alike[rule.content, rule.start_ms, rule.end_ms, rule.cap, rule.group, met.tobytes()].append(rule)
        for several in alike.values():
            different: list[Rule] = []
            for rule in several:
                found = next(filter(None, (self._duplicate(one, rule) for one in different)), None)
                if found is None:
                    different.append(rule)
                else:
                    yield found

    def _duplicate(self, one: Rule, two: Rule) -> Finding | None:
        answer = self._differ(one.asks, two.asks, [])
        if answer.sat:
            return None
        sentence = f"Rules '{one.id}' and '{two.id}' show '{one.content}' to the same users; drop one."
        return self._finding("duplicate", one.slot, (one, two), sentence, answer, wanted=False)

    def _redundant(self, rule: Rule) -> Iterator[Finding]:
        """Parts that can be dropped one after the other, and all of them together."""
        condition, droppable = rule.when, _droppable(rule.when)
        while (found := next(droppable, None)) is not None:
            item, rest = found
            wishes = (rest, condition, item, Not(item), All((rest, Not(item))), All((Not(rest), item)))
            answer = self._differ(condition, rest, [guess(wish, 0) for wish in wishes])
            if not answer.sat:
                sentence = f"Rule '{rule.id}': its condition means the same without '{item}'; drop it."
                yield self._finding("redundant", rule.slot, (rule,), sentence, answer, wanted=False)
            if answer.sat is False:
                condition, droppable = rest, _droppable(rest)

    def _differ(self, one: Condition, two: Condition, guesses: Iterable[Fields | None]) -> _Answer:
        """Whether a user meets just one of the two conditions."""
        compiler = Compiler()
        first, second = compiler.compile(one), compiler.compile(two)

        def shows(fields: Fields, at_ms: int) -> bool:
            user = User(fields, at_ms)
            answers = [user.ask(leaf, test) for leaf, test in zip(compiler.leaves, compiler.tests, strict=True)]
            return bool(first(answers.__getitem__)) != bool(second(answers.__getitem__))

        return self._ask(shows, guesses, lambda z: [z3.Xor(z.condition(one), z.condition(two))])

    def _takes(self, rule: Rule, user: Fields, at_ms: int) -> bool:
        return self.bundle.takes(rule, user, at_ms)

    def _ask(
        self,
        shows: Shows,
        guesses: Iterable[Fields | None],
        questions: Callable[[Encoder], list[Anything]],
        at_ms: int = 0,
    ) -> _Answer:
        """Whether some user `shows` it: one of the guesses, or one that z3 finds; z3 alone says that there is none."""
        left_ms = int((self.deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            raise _TimeIsOverError
        for user in guesses:
            if user is not None and shows(user, at_ms):
                return _Answer(True, user, at_ms)
        encoder, solver = Encoder(self.bundle.holdout), z3.Solver()
        solver.set("timeout", min(self.question_ms, left_ms))
        asked = questions(encoder)
        solver.add(*encoder.always(), *asked)
        result = solver.check()
        if result != z3.sat:
            return _Answer(False if result == z3.unsat else None)
        model = solver.model()
        answer = _Answer(True, encoder.user(model), encoder.at_ms(model))
        return answer if shows(answer.user, answer.at_ms) else _Answer(None)

    def _finding(
        self, kind: Kind, slot: str, rules: tuple[Rule, ...], sentence: str, answer: _Answer, wanted: bool
    ) -> Finding:
        names = tuple(rule.id for rule in rules)
        file, line = (rules[0].file, rules[0].line) if rules else ("", 0)
        if answer.sat is None:
            sentence = f"Undecided whether {kind}: {sentence}"
            return Finding("undecided", slot, names, sentence, None, None, file, line, kind)
        witness, at_ms = (answer.user, answer.at_ms) if wanted else (None, None)
        return Finding(kind, slot, names, sentence, witness, at_ms, file, line)


def prove(bundle: Bundle, question_ms: int = 10_000, total_s: float = 60.0) -> list[Finding]:
    """Every finding about the bundle; empty means proven free of them."""
    return Prover(bundle, question_ms, total_s).prove()


def _droppable(condition: Condition) -> Iterator[tuple[Condition, Condition]]:
    """Each part of an `all` or `any`, however deep, and the whole condition without it."""
    if isinstance(condition, Not):
        yield from ((item, Not(rest)) for item, rest in _droppable(condition.item))
    elif not isinstance(condition, Leaf):
        several = type(condition)
        for number, item in enumerate(condition.items):
            before, after = condition.items[:number], condition.items[number + 1 :]
            if before or after:
                yield item, several((*before, *after))
            yield from ((part, several((*before, rest, *after))) for part, rest in _droppable(item))


def _on(rule: Rule) -> int:
    """A moment at which the rule is on."""
    return rule.start_ms if rule.start_ms is not None else min(0, (rule.end_ms or 1) - 1)
