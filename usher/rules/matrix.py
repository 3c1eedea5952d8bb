"""The decision matrix as Markdown: one table per slot, in the order in which rules are tried."""

from datetime import UTC, datetime

from usher.rules.bundle import Bundle
from usher.rules.model import Rule

_HEAD = "| priority | rule | when | content | on | rollout | owner |\n|---:|---|---|---|---|---:|---|"


def matrix(bundle: Bundle) -> str:
    """The whole bundle as Markdown."""
    parts = [f"Version `{bundle.version}`; in each slot the first rule that holds decides."]
    for slot, rules in bundle.slots.items():
        parts.append(f"## {slot}\n\n{_HEAD}\n" + "\n".join(_row(rule) for rule in rules))
    return "\n\n".join(parts) + "\n"


def _row(rule: Rule) -> str:
    dates = (
        "always" if rule.start_ms is None and rule.end_ms is None else f"{_day(rule.start_ms)} – {_day(rule.end_ms)}"
    )
    cells = [str(rule.priority), rule.id, str(rule.when), rule.content, dates, f"{rule.rollout:g} %", rule.owner]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _day(millis: int | None) -> str:
    return "" if millis is None else f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M}Z"
