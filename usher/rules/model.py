"""Rules and contents as they are after loading."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any as Anything

from usher.features import SLOTS
from usher.rules.bucket import in_group, in_rollout
from usher.rules.conditions import EVERYONE, All, Condition, Leaf, Not, specificity
from usher.rules.fields import Recent

MAX_LOCALE = 64
"""Characters of a locale that count; RFC 5646, section 4.4.1, asks for room for 35."""
RULE_SLOTS = SLOTS[:3]
"""The slots that rules fill where no file declares others; `step_order` has no rules."""


@dataclass(frozen=True)
class Example:
    """A user at a moment (None: the rule's first, else now), and the content they are expected to see in its slot."""

    user: Mapping[str, Anything]
    expect: str | None
    at_ms: int | None = None
    line: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Cap:
    """The rule holds back once its content was shown to the user `times` times in the last `hours` hours."""

    times: int
    hours: int


@dataclass(frozen=True)
class Group:
    """A part of the users of an exclusion group, `low` to `high` percent: disjoint parts have no user in common."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Holdout:
    """So many percent of the users get nothing but defaults: the rules without a condition."""

    percent: float
    seed: str = "holdout"


@dataclass(frozen=True)
class Rule:
    """Who sees what in which slot; times are UTC milliseconds, `start_ms` included, `end_ms` not."""

    id: str
    slot: str
    priority: int
    when: Condition
    content: str
    start_ms: int | None = None
    end_ms: int | None = None
    rollout: float = 100.0
    cap: Cap | None = None
    group: Group | None = None
    owner: str = ""
    examples: tuple[Example, ...] = ()
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort key of the total order: priority and specificity descending, then id ascending."""
        return (-self.priority, -specificity(self.when), self.id)

    @property
    def personal(self) -> bool:
        """Whether it asks anything of the user; a holdout sees only rules that do not."""
        return self.when != EVERYONE

    @property
    def asks(self) -> Condition:
        """The condition and, where there is a cap, that it is not reached; of an unknown past it is not."""
        if self.cap is None:
            return self.when
        shown = Leaf(Recent("Content Shown", self.content, self.cap.hours).name, "ge", self.cap.times)
        return All((self.when, Not(shown)))

    def admits(self, user_id: str | None) -> bool:
        """Whether the user is in the part of all users that the rule is rolled out to."""
        if self.group is not None and not in_group(self.group.name, user_id, self.group.low, self.group.high):
            return False
        return in_rollout(self.id, user_id, self.rollout)

    @property
    def certain(self) -> bool:
        """Whether it takes everyone who meets its condition while it is on: not rolled out in part, nor capped."""
        return self.rollout >= 100 and self.cap is None and self.group is None


@dataclass(frozen=True)
class Content:
    """A content variation: its text by locale, and the locale used where there is none."""

    id: str
    text: Mapping[str, str]
    fallback: str

    def localized(self, locale: str | None) -> str:
        """The text for ``zh-Hant-TW``: that locale, else ``zh-Hant``, else ``zh``, else the fallback (RFC 4647)."""
        tag = (locale or "")[:MAX_LOCALE].replace("_", "-").lower()
        texts = {name.replace("_", "-").lower(): text for name, text in self.text.items()}
        while tag:
            if tag in texts:
                return texts[tag]
            tag = tag.rpartition("-")[0]
        return self.text[self.fallback]


@dataclass(frozen=True)
class RuleSet:
    """Everything that was loaded: the rules, what they may show, the slots there are, and who is held out."""

    rules: tuple[Rule, ...]
    contents: Mapping[str, Content]
    slots: tuple[str, ...]
    holdout: Holdout | None = None
