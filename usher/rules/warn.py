"""Warnings: rules that say the same, conditions that always hold, and parts of conditions that can be dropped."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any as Anything

import z3

from usher.rules.ask import Answer, Asker, Fields, TimeIsOverError, finding
from usher.rules.columns import User
from usher.rules.compiled import Compiler
from usher.rules.conditions import EVERYONE, All, Condition, Leaf, Not
from usher.rules.findings import Finding
from usher.rules.guess import guess
from usher.rules.model import Rule


class Warner:
    """Warns slot by slot; `met` holds a user of each rule that has one."""

    def __init__(self, asker: Asker, met: Mapping[str, Answer]) -> None:
        self.bundle = asker.bundle
        self.asker = asker
        self._met = met

    def slot(self, slot: str, rules: list[Rule]) -> Iterator[Finding]:
        """Every warning about the rules of one slot, which can take somebody."""
        try:
            for rule in rules:
                always = self._always(rule)
                yield from self._redundant(rule) if always is None else [always]
            yield from self._duplicates(rules)
        except TimeIsOverError:
            sentence = f"Slot '{slot}': the time was over before all warnings were found; give it more."
            yield Finding("undecided", slot, (), sentence, undecided="redundant")

    def _always(self, rule: Rule) -> Finding | None:
        if not rule.personal:
            return None
        answer = self._differ(rule.when, EVERYONE, [{}, guess(Not(rule.when), self.asker.now_ms)])
        if answer.sat:
            return None
        sentence = f"Rule '{rule.id}': every user meets its condition ({rule.when}); leave `when` out."
        return finding("redundant", rule.slot, (rule,), sentence, answer)

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
        return finding("duplicate", one.slot, (one, two), sentence, answer)

    def _redundant(self, rule: Rule) -> Iterator[Finding]:
        """Parts that can be dropped one after the other, and all of them together."""
        condition, droppable = rule.when, _droppable(rule.when)
        while (found := next(droppable, None)) is not None:
            item, rest = found
            wishes = (rest, condition, item, Not(item), All((rest, Not(item))), All((Not(rest), item)))
            answer = self._differ(condition, rest, [guess(wish, self.asker.now_ms) for wish in wishes])
            if not answer.sat:
                sentence = f"Rule '{rule.id}': its condition means the same without '{item}'; drop it."
                yield finding("redundant", rule.slot, (rule,), sentence, answer)
            if answer.sat is False:
                condition, droppable = rest, _droppable(rest)

    def _differ(self, one: Condition, two: Condition, guesses: Iterable[Fields | None]) -> Answer:
        """Whether a user meets just one of the two conditions."""
        compiler = Compiler()
        first, second = compiler.compile(one), compiler.compile(two)

        def shows(fields: Fields, at_ms: int) -> bool:
            user = User(fields, at_ms)
            answers = [user.ask(leaf, test) for leaf, test in zip(compiler.leaves, compiler.tests, strict=True)]
            return bool(first(answers.__getitem__)) != bool(second(answers.__getitem__))

        now = self.asker.now_ms
        return self.asker.ask(shows, guesses, lambda z: [z3.Xor(z.condition(one), z.condition(two))], now)


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
