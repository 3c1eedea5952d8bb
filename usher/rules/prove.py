"""Proofs about a bundle, by z3: contradictory, shadowed, conflict, gap; each with a witness where there can be one.

Users are those the job can make (`usher.rules.laws` and `usher.rules.encode` say what always holds of them); any field
may be null. Asked is about now and later. Every witness, guessed or found by z3, is asked of the evaluator; what is not
settled is said to be undecided. Warnings come after all errors, in the time that is left (`usher.rules.warn`).
"""

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any as Anything

import z3

from usher.rules.ask import Answer, Asker, Fields, TimeIsOverError, finding
from usher.rules.bundle import Bundle
from usher.rules.conditions import All
from usher.rules.encode import Encoder
from usher.rules.findings import Finding
from usher.rules.guess import guess
from usher.rules.model import Rule
from usher.rules.overlap import may_overlap
from usher.rules.warn import Warner


class Prover:
    """Proves the slots of one bundle one after the other."""

    def __init__(self, asker: Asker) -> None:
        self.bundle = asker.bundle
        self.asker = asker
        self._met: dict[str, Answer] = {}

    def prove(self) -> list[Finding]:
        """Every finding: examples that fail, then the errors slot by slot in the order of the rules, then warnings."""
        found = list(self._examples())
        alive: dict[str, list[Rule]] = {}
        for slot, rules in self.bundle.slots.items():
            found += self._slot(slot, rules, alive.setdefault(slot, []))
        warner = Warner(self.asker, self._met)
        for slot, rules in alive.items():
            found += warner.slot(slot, rules)
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

    def _slot(self, slot: str, rules: list[Rule], alive: list[Rule]) -> Iterator[Finding]:
        """What is wrong with a slot; `alive` gets the rules that can take somebody."""
        try:
            yield from self._all_of(slot, rules, alive)
        except TimeIsOverError:
            sentence = f"Slot '{slot}': the time was over before its {len(rules)} rules were compared; give it more."
            yield Finding("undecided", slot, (), sentence)

    def _all_of(self, slot: str, rules: list[Rule], alive: list[Rule]) -> Iterator[Finding]:
        for rule in rules:
            found = self._expired(rule) or self._contradictory(rule)
            if found is None or found.kind == "undecided":
                alive.append(rule)
            if found is not None:
                yield found
        for rule in alive:
            yield from self._shadowed(rule, [other for other in alive if other.priority > rule.priority])
        for priority, several in itertools.groupby(alive, key=lambda rule: rule.priority):
            higher = [other for other in alive if other.priority > priority]
            for one, two in itertools.combinations(several, 2):
                yield from self._conflict(one, two, higher)
        yield from self._gap(slot, rules, alive)

    def _expired(self, rule: Rule) -> Finding | None:
        if rule.end_ms is None or rule.end_ms > self.asker.now_ms:
            return None
        end = f"{datetime.fromtimestamp(rule.end_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
        sentence = f"Rule '{rule.id}': it ended at {end} and takes nobody any more; drop it, or move its `end`."
        return finding("expired", rule.slot, (rule,), sentence, Answer(True))

    def _contradictory(self, rule: Rule) -> Finding | None:
        def shows(user: Fields, at_ms: int) -> bool:
            return self.bundle.meets(rule, user, at_ms)

        at_ms = self.asker.on(rule)
        answer = self.asker.ask(shows, [guess(rule.asks, at_ms)], lambda z: [z.condition(rule.asks)], at_ms)
        if answer.sat:
            self._met[rule.id] = answer
            return None
        sentence = f"Rule '{rule.id}': no user meets its condition ({rule.asks})."
        return finding("contradictory", rule.slot, (rule,), sentence, answer)

    def _shadowed(self, rule: Rule, higher: list[Rule]) -> Iterator[Finding]:
        higher = [other for other in higher if other.certain and may_overlap(rule.when, other.when)]
        if not higher or rule.rollout <= 0:
            return
        answer = self._escapes(rule, higher)
        if not answer.sat:
            takers = self._takers(rule, higher) if answer.sat is False else higher
            names = ", ".join(f"'{other.id}'" for other in takers)
            sentence = f"Rule '{rule.id}': every user of it is taken by rules of higher priority ({names})."
            yield finding("shadowed", rule.slot, (rule, *takers), sentence, answer)

    def _escapes(self, rule: Rule, higher: list[Rule]) -> Answer:
        """Whether a user of the rule is taken by none of `higher`."""

        def shows(user: Fields, at_ms: int) -> bool:
            return self.bundle.takes(rule, user, at_ms) and not any(
                self.bundle.takes(one, user, at_ms) for one in higher
            )

        met = self._met.get(rule.id, Answer(None))
        return self.asker.ask(
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
            both = self.bundle.takes(one, user, at_ms) and self.bundle.takes(two, user, at_ms)
            return both and not any(self.bundle.takes(other, user, at_ms) for other in higher)

        def questions(z: Encoder) -> list[Anything]:
            return [z.takes(one), z.takes(two), *(z3.Not(z.takes(other)) for other in higher)]

        at_ms = max(self.asker.on(one), self.asker.on(two))
        answer = self.asker.ask(shows, [guess(All((one.asks, two.asks)), at_ms)], questions, at_ms)
        if answer.sat is not False:
            same = f"have priority {one.priority} and a user in common"
            sentence = f"Rules '{one.id}' ({one.content}) and '{two.id}' ({two.content}) {same}."
            yield finding("conflict", one.slot, (one, two), sentence, answer, wanted=True)

    def _gap(self, slot: str, rules: list[Rule], alive: list[Rule]) -> Iterator[Finding]:
        def shows(user: Fields, at_ms: int) -> bool:
            return not any(self.bundle.takes(rule, user, at_ms) for rule in alive)

        answer = self.asker.ask(shows, [{}], lambda z: [z3.Not(z.takes(rule)) for rule in alive], self.asker.now_ms)
        if answer.sat is not False:
            sentence = f"Slot '{slot}': no rule takes this user, and it has no default; add a rule without `when`."
            found = finding("gap", slot, (), sentence, answer, wanted=True)
            last = rules[-1] if rules else None  # the place to add a default
            file, line = (last.file, last.line) if last else ("rules", 1)
            yield replace(found, file=file, line=line)


def prove(bundle: Bundle, question_ms: int = 10_000, total_s: float = 60.0, now_ms: int | None = None) -> list[Finding]:
    """Every finding about the bundle from a moment on (None: from now on); empty means proven free of them."""
    moment = round(time.time() * 1000) if now_ms is None else now_ms
    return Prover(Asker(bundle, moment, question_ms, total_s)).prove()
