"""Proofs about a bundle, by z3: contradictory, shadowed, conflict, gap, duplicate, redundant; each with a witness.

Fields are taken as independent of each other (a country does not imply its continent), and any may be null.
Every witness is asked of the evaluator again; what z3 or that check cannot settle is said to be undecided.
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any as Anything
from typing import Literal

import z3

from usher.features import SLOTS
from usher.rules.bucket import in_rollout
from usher.rules.bundle import Bundle
from usher.rules.conditions import All, Condition, Leaf
from usher.rules.encode import Encoder
from usher.rules.model import Rule

Kind = Literal["contradictory", "shadowed", "conflict", "gap", "duplicate", "redundant", "example", "undecided"]
_WARNINGS = ("duplicate", "redundant")
_USER_IDS = 20_000


@dataclass(frozen=True)
class Finding:
    """One verdict; `witness` is a user (with `at_ms`) who shows it, where there can be one."""

    kind: Kind
    slot: str
    rules: tuple[str, ...]
    sentence: str
    witness: dict[str, Anything] | None = None
    at_ms: int | None = None
    file: str = ""
    line: int = 0
    severity: Literal["error", "warning"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "severity", "warning" if self.kind in _WARNINGS else "error")


@dataclass(frozen=True)
class _Answer:
    """Unsatisfiable (`sat` False), satisfied by a checked witness (True), or not settled (None)."""

    sat: bool | None
    user: dict[str, Anything] = field(default_factory=dict)
    at_ms: int = 0


class Prover:
    """Asks z3 about the slots of one bundle, within a time for each question and one for all."""

    def __init__(self, bundle: Bundle, question_ms: int = 2_000, total_s: float = 60.0) -> None:
        self.bundle = bundle
        self.question_ms = question_ms
        self._met: dict[str, dict[str, Anything]] = {}
        self.deadline = time.monotonic() + total_s

    def prove(self) -> list[Finding]:
        """Every finding: examples that fail, then slot by slot in the order of the rules."""
        found = list(self._examples())
        for slot in SLOTS[:3]:
            found += self._slot(slot, self.bundle.slots.get(slot, []))
        return found

    def _examples(self) -> Iterator[Finding]:
        for rule in self.bundle.rules.values():
            for example in rule.examples:
                got = self.bundle.decide_one(example.user, rule.start_ms)[rule.slot]
                if got.content_id != example.expect:
                    what = f"Rule '{rule.id}': its example expects '{example.expect}' and gets '{got.content_id}'"
                    sentence = f"{what} by rule '{got.rule_id}'."
                    user = dict(example.user)
                    yield Finding(
                        "example", rule.slot, (rule.id,), sentence, user, rule.start_ms, rule.file, example.line
                    )

    def _slot(self, slot: str, rules: list[Rule]) -> Iterator[Finding]:
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
        for one, two in itertools.combinations(alive, 2):
            yield from self._duplicate(one, two)
            if one.priority == two.priority and one.content != two.content:
                yield from self._conflict(one, two, [other for other in alive if other.priority > one.priority])
        yield from self._gap(slot, alive)

    def _contradictory(self, rule: Rule) -> Finding | None:
        encoder = Encoder()
        answer = self._ask(encoder, [encoder.condition(rule.when)], meets=(rule,))
        if answer.sat:
            self._met[rule.id] = answer.user
            return None
        sentence = f"Rule '{rule.id}': no user meets its condition ({rule.when})."
        return self._finding("contradictory", rule.slot, (rule,), sentence, answer, wanted=False)

    def _shadowed(self, rule: Rule, higher: list[Rule]) -> Iterator[Finding]:
        higher = [other for other in higher if other.rollout >= 100 and _may_overlap(rule.when, other.when)]
        if not higher or rule.rollout <= 0:
            return
        encoder = Encoder()
        free = [z3.Not(encoder.takes_surely(other)) for other in higher]
        answer = self._ask(encoder, [encoder.takes(rule), *free], takes=(rule,), not_takes=tuple(higher))
        if not answer.sat:
            takers = self._takers(rule, higher) if answer.sat is False else higher
            names = ", ".join(f"'{other.id}'" for other in takers)
            sentence = f"Rule '{rule.id}': every user of it is taken by rules of higher priority ({names})."
            yield self._finding("shadowed", rule.slot, (rule, *takers), sentence, answer, wanted=False)

    def _takers(self, rule: Rule, higher: list[Rule]) -> list[Rule]:
        """A smallest set of rules that still shadows, found by leaving out one after the other."""
        needed = [other for other in higher if other.rollout >= 100]
        for other in list(needed):
            rest = [item for item in needed if item is not other]
            encoder = Encoder()
            free = [z3.Not(encoder.takes_surely(item)) for item in rest]
            if rest and self._ask(encoder, [encoder.takes(rule), *free], check=False).sat is False:
                needed = rest
        return needed

    def _conflict(self, one: Rule, two: Rule, higher: list[Rule]) -> Iterator[Finding]:
        if not _may_overlap(one.when, two.when):
            return
        higher = [other for other in higher if _may_overlap(one.when, other.when)]
        encoder = Encoder()
        free = [z3.Not(encoder.takes_surely(other)) for other in higher]
        questions = [encoder.takes(one), encoder.takes(two), *free]
        answer = self._ask(encoder, questions, takes=(one, two), not_takes=tuple(higher))
        if answer.sat is not False:
            same = f"have priority {one.priority} and a user in common"
            sentence = f"Rules '{one.id}' ({one.content}) and '{two.id}' ({two.content}) {same}."
            yield self._finding("conflict", one.slot, (one, two), sentence, answer, wanted=True)

    def _gap(self, slot: str, rules: list[Rule]) -> Iterator[Finding]:
        answer = self._known_gap(rules)
        if not answer.sat:
            encoder = Encoder()
            questions = [z3.Not(encoder.takes_surely(rule)) for rule in rules]
            answer = self._ask(encoder, questions, not_takes=tuple(rules))
        if answer.sat is not False:
            sentence = f"Slot '{slot}': no rule takes this user, and it has no default; add a rule without `when`."
            yield self._finding("gap", slot, (), sentence, answer, wanted=True)

    def _known_gap(self, rules: list[Rule]) -> _Answer:
        """Whether a user of whom nothing is known is in the gap: the commonest one, found without z3."""
        surely = [rule for rule in rules if rule.rollout >= 100]
        return _Answer(not any(self.bundle.takes(rule, {}, 0) for rule in surely))

    def _duplicate(self, one: Rule, two: Rule) -> Iterator[Finding]:
        if one.content != two.content or _dates(one) != _dates(two) or one.rollout != two.rollout:
            return
        if self._met.get(one.id) is not None and not self.bundle.meets(two, self._met[one.id]):
            return  # the user who meets one shows that they differ: no need to ask z3
        encoder = Encoder()
        differ = z3.Xor(encoder.condition(one.when), encoder.condition(two.when))
        if self._ask(encoder, [differ], check=False).sat is False:
            sentence = f"Rules '{one.id}' and '{two.id}' show '{one.content}' to the same users; drop one."
            yield self._finding("duplicate", one.slot, (one, two), sentence, _Answer(False), wanted=False)

    def _redundant(self, rule: Rule) -> Iterator[Finding]:
        items = rule.when.items if isinstance(rule.when, All) else ()
        for item in items if len(items) > 1 else ():
            encoder = Encoder()
            rest = [encoder.condition(other) for other in items if other is not item]
            if self._ask(encoder, [*rest, z3.Not(encoder.condition(item))], check=False).sat is False:
                sentence = f"Rule '{rule.id}': '{item}' follows from the rest of its condition; drop it."
                yield self._finding("redundant", rule.slot, (rule,), sentence, _Answer(False), wanted=False)

    def _ask(
        self,
        encoder: Encoder,
        questions: list[Anything],
        meets: tuple[Rule, ...] = (),
        takes: tuple[Rule, ...] = (),
        not_takes: tuple[Rule, ...] = (),
        check: bool = True,
    ) -> _Answer:
        left_ms = int((self.deadline - time.monotonic()) * 1000)
        if left_ms <= 0:
            return _Answer(None)
        solver = z3.Solver()
        solver.set("timeout", min(self.question_ms, left_ms))
        solver.add(*encoder.always, *questions)
        result = solver.check()
        if result == z3.unsat:
            return _Answer(False)
        if result != z3.sat or not check:
            return _Answer(None if result != z3.sat else True)
        user, at_ms = encoder.user(solver.model()), encoder.at_ms(solver.model())
        _give_id(user, [(self.bundle.rules[name], wanted) for name, wanted in encoder.rollouts(solver.model()).items()])
        surely = [rule for rule in not_takes if rule.rollout >= 100]
        right = all(self.bundle.meets(rule, user) for rule in meets)
        right = right and all(self.bundle.takes(rule, user, at_ms) for rule in takes)
        right = right and not any(self.bundle.takes(rule, user, at_ms) for rule in surely)
        return _Answer(True if right else None, user, at_ms)

    def _finding(
        self, kind: Kind, slot: str, rules: tuple[Rule, ...], sentence: str, answer: _Answer, wanted: bool
    ) -> Finding:
        names = tuple(rule.id for rule in rules)
        file, line = (rules[0].file, rules[0].line) if rules else ("", 0)
        if answer.sat is None:
            sentence = f"Undecided whether {kind}: {sentence}"
            return Finding("undecided", slot, names, sentence, file=file, line=line)
        witness, at_ms = (answer.user, answer.at_ms) if wanted else (None, None)
        return Finding(kind, slot, names, sentence, witness, at_ms, file, line)


def prove(bundle: Bundle, question_ms: int = 2_000, total_s: float = 60.0) -> list[Finding]:
    """Every finding about the bundle; empty means proven free of them."""
    return Prover(bundle, question_ms, total_s).prove()


def _give_id(user: dict[str, Anything], rollouts: list[tuple[Rule, bool]]) -> None:
    """Give the user an id that is in and out of the partial rollouts as wanted, if one is soon found."""
    for number in range(_USER_IDS if rollouts else 0):
        name = f"user-{number}"
        if all(in_rollout(rule.id, name, rule.rollout) == wanted for rule, wanted in rollouts):
            user["user_id"] = name
            return


def _may_overlap(one: Condition, two: Condition) -> bool:
    """Quickly false for conditions that ask for different values of one field."""
    wanted = {leaf.field: leaf.value for leaf in _conjuncts(one) if leaf.op == "eq"}
    return all(wanted.get(leaf.field, leaf.value) == leaf.value for leaf in _conjuncts(two) if leaf.op == "eq")


def _conjuncts(condition: Condition) -> list[Leaf]:
    items = condition.items if isinstance(condition, All) else (condition,)
    return [item for item in items if isinstance(item, Leaf)]


def _dates(rule: Rule) -> tuple[int | None, int | None]:
    return rule.start_ms, rule.end_ms
