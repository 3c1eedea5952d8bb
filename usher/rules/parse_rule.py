"""From the YAML of one rule to a `Rule`; everything wrong is a sentence in the problems of its file."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from usher.rules.conditions import EVERYONE
from usher.rules.fields import hours_of
from usher.rules.model import Cap, Example, Group, Rule
from usher.rules.parse_condition import ConditionParser
from usher.rules.parse_example import faults
from usher.rules.problems import Problem
from usher.rules.yamltree import Path_, Tree

ID = re.compile(r"[a-z0-9][a-z0-9_]{0,99}\Z")
_KEYS = {
    *("id", "slot", "priority", "when", "content", "start", "end"),
    *("rollout", "cap", "group", "owner", "examples"),
}
_MANY = 1_000_000


def note(tree: Tree, path: Path_, sentence: str, remedy: str) -> None:
    """Add a problem at the line of `path`."""
    tree.problems.append(Problem(tree.file, tree.line(path), sentence, remedy))


class RuleParser:
    """Reads one rule, which has an id; what could not be read gets a harmless value, and a problem."""

    def __init__(self, tree: Tree, entry: dict[str, Any], path: Path_) -> None:
        self.tree = tree
        self.entry = entry
        self.path = path
        self.id: str = entry["id"]

    def rule(self, contents: Collection[str], slots: Collection[str]) -> Rule:
        """The rule, which may fill one of `slots` with one of `contents`."""
        for key in sorted(set(self.entry) - _KEYS):
            self._note(key, f"'{key}' is not known.", f"use {', '.join(sorted(_KEYS))}.")
        self._one_of("slot", slots, "is not a slot of rules", f"use {', '.join(slots)}, or declare it in `slots`.")
        remedy = "declare it in content/content.yaml, or correct the name."
        self._one_of("content", contents, "is shown but does not exist", remedy)
        start_ms, end_ms = self._time("start"), self._time("end")
        if start_ms is not None and end_ms is not None and start_ms >= end_ms:
            self._note("end", "it ends before it starts.", "move `end` after `start`.")
        first_ms = end_ms - 1 if start_ms is None and end_ms is not None else start_ms
        condition = self.entry.get("when", None)
        parser = ConditionParser(self.tree, self.id, contents)
        return Rule(
            id=self.id,
            slot=str(self.entry.get("slot")),
            priority=int(self._number("priority", 0, 1000, whole=True)),
            when=parser.parse(condition, (*self.path, "when")) if "when" in self.entry else EVERYONE,
            content=str(self.entry.get("content")),
            start_ms=start_ms,
            end_ms=end_ms,
            rollout=float(self._number("rollout", 100, 100)),
            cap=self._cap(),
            group=self._group(),
            owner=self._owner(),
            examples=self._examples(first_ms, contents),
            file=self.tree.file,
            line=self.tree.line(self.path),
        )

    def _one_of(self, key: str, known: Collection[str], what: str, remedy: str) -> None:
        value = self.entry.get(key)
        if not isinstance(value, str) or value not in known:
            self._note(key, f"{key} '{value}' {what}.", remedy)

    def _number(self, key: str, default: float, high: float, whole: bool = False) -> float:
        value = self.entry.get(key, default)
        kind = int if whole else int | float
        if not isinstance(value, kind) or isinstance(value, bool) or not 0 <= value <= high:
            number = "a whole number" if whole else "a number"
            self._note(key, f"{key} {value!r} is not 0 to {high:g}.", f"write {number} from 0 to {high:g}.")
            return default
        return value

    def _owner(self) -> str:
        owner = self.entry.get("owner", "")
        if not isinstance(owner, str):
            self._note("owner", "the owner is not a text.", "put it in quotes.")
        return str(owner)

    def _time(self, key: str) -> int | None:
        return self._moment(self.entry[key], (key,)) if key in self.entry else None

    def _moment(self, value: Any, at: Path_) -> int | None:
        try:
            moment = datetime.fromisoformat(value)
        except (TypeError, ValueError):
            self._note(at, f"{at[-1]} {value!r} is not a time.", "write 2026-12-24 or 2026-12-24T18:00:00Z.")
            return None
        return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)

    def _cap(self) -> Cap | None:
        data = self.entry.get("cap")
        if data is None:
            return None
        times = data.get("times") if isinstance(data, dict) and set(data) == {"times", "within"} else None
        hours = hours_of(data["within"]) if times is not None else None
        if not isinstance(times, int) or isinstance(times, bool) or not 1 <= times <= _MANY or hours is None:
            remedy = "write `cap: {times: 3, within: 7d}`, with 1h to 30d."
            self._note("cap", "its cap is not well formed.", remedy)
            return None
        return Cap(times, hours)

    def _group(self) -> Group | None:
        data = self.entry.get("group")
        if data is None:
            return None
        good = isinstance(data, dict) and set(data) == {"name", "part"} and isinstance(data["part"], list)
        name, part = (data["name"], data["part"]) if good else ("", [])
        numbers = [number for number in part if isinstance(number, int | float) and not isinstance(number, bool)]
        tenths = len(part) == 2 and len(numbers) == 2 and all(round(number * 10) / 10 == number for number in numbers)
        if not isinstance(name, str) or not ID.match(name) or not tenths or not 0 <= part[0] < part[1] <= 100:
            remedy = "write `group: {name: welcome_tests, part: [0, 50]}`, in percent with at most one decimal."
            self._note("group", "its group is not well formed.", remedy)
            return None
        return Group(name, float(part[0]), float(part[1]))

    def _examples(self, first_ms: int | None, contents: Collection[str]) -> tuple[Example, ...]:
        found = []
        examples = self.entry.get("examples", [])
        for index, item in enumerate(examples if isinstance(examples, list) else [None]):
            where: Path_ = ("examples", index)
            good = isinstance(item, dict) and {"user", "expect"} <= set(item) <= {"user", "expect", "at"}
            if not good or not isinstance(item["user"], dict) or not isinstance(item["expect"], str | None):
                remedy = "write `- {user: {...}, expect: CONTENT}`, with `expect: null` for nothing."
                self._note(where, "an example is not well formed.", remedy)
                continue
            at_ms = self._moment(item["at"], (*where, "at")) if "at" in item else first_ms
            for key, what, remedy in faults(item["user"], contents):
                self._note((*where, "user", key), f"its example {what}.", remedy)
            found.append(Example(item["user"], item["expect"], at_ms, self.tree.line((*self.path, *where))))
        return tuple(found)

    def _note(self, at: str | Path_, sentence: str, remedy: str) -> None:
        path = (*self.path, *((at,) if isinstance(at, str) else at))
        note(self.tree, path, f"Rule '{self.id}': {sentence}", remedy)
