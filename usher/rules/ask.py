"""One question about all users: a guess that the evaluator confirms, else z3, whose users it must confirm as well."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any as Anything

import z3

from usher.rules.bundle import Bundle
from usher.rules.encode import Encoder
from usher.rules.findings import Finding, Kind
from usher.rules.model import Rule

Fields = dict[str, Anything]
Shows = Callable[[Fields, int], bool]
"""Whether a user at a moment shows what was asked for."""


@dataclass(frozen=True)
class Answer:
    """Unsatisfiable (`sat` False), satisfied by a checked witness (True), or not settled (None)."""

    sat: bool | None
    user: Fields = field(default_factory=dict)
    at_ms: int = 0


class TimeIsOverError(Exception):
    """The time for all questions is over."""


class Asker:
    """Asks about one bundle from `now_ms` on, within a time for each question and one for all."""

    def __init__(self, bundle: Bundle, now_ms: int, question_ms: int, total_s: float) -> None:
        self.bundle = bundle
        self.now_ms = now_ms
        self.question_ms = question_ms
        self.deadline = time.monotonic() + total_s

    def on(self, rule: Rule) -> int:
        """The first moment from now on at which the rule is on; it has not expired."""
        return max(self.now_ms, rule.start_ms or 0)

    def ask(
        self,
        shows: Shows,
        guesses: Iterable[Fields | None],
        questions: Callable[[Encoder], list[Anything]],
        at_ms: int,
    ) -> Answer:
        """Whether some user `shows` it: one of the guesses, or one that z3 finds; z3 alone says that there is none."""
        begun = time.monotonic()
        left_ms = int((self.deadline - begun) * 1000)
        if left_ms <= 0:
            raise TimeIsOverError
        for user in guesses:
            if user is not None and shows(user, at_ms):
                return Answer(True, user, at_ms)
        encoder, solver = Encoder(self.bundle.holdout, self.now_ms), z3.Solver()
        budget_ms = min(self.question_ms, left_ms)
        solver.set("timeout", budget_ms)
        asked = questions(encoder)
        solver.add(*encoder.always(), *asked)
        result = solver.check()
        if result != z3.sat:
            return Answer(False if result == z3.unsat else None)
        model = solver.model()
        solver.add(encoder.at == at_ms)
        if solver.check() == z3.sat:  # rather than at a moment that only z3 would choose
            model = solver.model()
        user = encoder.user(model, begun + budget_ms / 1000 - time.monotonic())
        answer = Answer(True, user, encoder.at_ms(model))
        return answer if shows(answer.user, answer.at_ms) else Answer(None)


def finding(
    kind: Kind, slot: str, rules: tuple[Rule, ...], sentence: str, answer: Answer, wanted: bool = False
) -> Finding:
    """What the answer says of the rules, at the first of them; with the witness if that is `wanted`."""
    names = tuple(rule.id for rule in rules)
    file, line = (rules[0].file, rules[0].line) if rules else ("", 0)
    if answer.sat is None:
        sentence = f"Undecided whether {kind}: {sentence}"
        return Finding("undecided", slot, names, sentence, None, None, file, line, kind)
    witness, at_ms = (answer.user, answer.at_ms) if wanted else (None, None)
    return Finding(kind, slot, names, sentence, witness, at_ms, file, line)
