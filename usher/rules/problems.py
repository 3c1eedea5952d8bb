"""What is wrong with a set of rules: sentences with file, line and remedy, collected, not one at a time."""

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Problem:
    """One thing to put right: ``conf/rules/a.yaml:7: Rule 'x' ... Remedy: ...``."""

    file: str
    line: int
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.sentence} Remedy: {self.remedy}"


class RulesError(Exception):
    """The rules cannot be loaded; ``problems`` holds every reason found."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = sorted(problems)
        shown = [str(problem) for problem in self.problems[:50]]
        if len(self.problems) > 50:
            shown.append(f"... and {len(self.problems) - 50} more.")
        super().__init__("\n".join(shown))


class PublishError(Exception):
    """Nothing was published; the text says why and what to do."""
