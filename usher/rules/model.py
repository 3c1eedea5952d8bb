"""Rules and contents as they are after loading."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any as Anything

from usher.rules.conditions import Condition, specificity


@dataclass(frozen=True)
class Example:
    """A user, and the content they are expected to see in the rule's slot."""

    user: Mapping[str, Anything]
    expect: str
    line: int = field(default=0, compare=False)


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
    owner: str = ""
    examples: tuple[Example, ...] = ()
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def order(self) -> tuple[int, int, str]:
        """Sort key of the total order: priority and specificity descending, then id ascending."""
        return (-self.priority, -specificity(self.when), self.id)


@dataclass(frozen=True)
class Content:
    """A content variation: its text by locale, and the locale used where there is none."""

    id: str
    text: Mapping[str, str]
    fallback: str

    def localized(self, locale: str | None) -> str:
        """The text for ``de-AT``: that locale, else its language, else the fallback."""
        for key in (locale or "", (locale or "").split("-")[0]):
            if key in self.text:
                return self.text[key]
        return self.text[self.fallback]
