"""The decision matrix as Markdown and as a page of HTML: a table per slot, in the order in which rules are tried."""

from datetime import UTC, datetime
from html import escape

from usher.rules.bundle import Bundle
from usher.rules.fields import period_of
from usher.rules.model import Rule

_HEAD = ("priority", "rule", "when", "content", "on", "limits", "owner")


def markdown(bundle: Bundle) -> str:
    """The whole bundle as Markdown."""
    rule_line = "|---:|" + "---|" * (len(_HEAD) - 1)
    parts = [_about(bundle)]
    for slot, rules in bundle.slots.items():
        rows = [_line(_cells(rule)) for rule in rules]
        parts.append("\n".join([f"## {slot}\n", _line(_HEAD), rule_line, *rows]))
    return "\n\n".join(parts) + "\n"


def html(bundle: Bundle) -> str:
    """One page that needs nothing else; contents are shown with their text."""
    head = "".join(f"<th>{name}</th>" for name in _HEAD)
    body = [f"<h1>Decision matrix</h1><p>{escape(_about(bundle))}</p>"]
    for slot, rules in bundle.slots.items():
        rows = "".join(_html_row(bundle, rule) for rule in rules)
        body.append(f"<h2>{escape(slot)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")
    page = "".join(body)
    title = "<title>Decision matrix</title>"
    return f'<!doctype html><html lang="en"><meta charset="utf-8">{_VIEW}{title}<style>{_STYLE}</style>{page}</html>\n'


def _about(bundle: Bundle) -> str:
    held = bundle.holdout
    holdout = f" {held.percent:g} % of the users are held out and get defaults only." if held else ""
    return f"Version {bundle.version}; in each slot the first rule that takes the user decides.{holdout}"


def _cells(rule: Rule) -> list[str]:
    dates = "always"
    if rule.start_ms is not None or rule.end_ms is not None:
        dates = f"{_day(rule.start_ms)} – {_day(rule.end_ms)}".strip()
    return [str(rule.priority), rule.id, str(rule.when), rule.content, dates, _limits(rule), rule.owner]


def _limits(rule: Rule) -> str:
    limits = [f"{rule.rollout:g} % of users"] if rule.rollout < 100 else []
    if rule.group is not None:
        limits.append(f"{rule.group.low:g}–{rule.group.high:g} % of group {rule.group.name}")
    if rule.cap is not None:
        limits.append(f"{rule.cap.times} times in {period_of(rule.cap.hours)}")
    return ", ".join(limits)


def _line(cells: tuple[str, ...] | list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _html_row(bundle: Bundle, rule: Rule) -> str:
    priority, name, when, content, *rest = map(escape, _cells(rule))
    text = escape(bundle.text(rule.content)) if rule.content in bundle.contents else ""
    shown = f"<code>{content}</code><br><small>{text}</small>"
    first = f'<td class="number">{priority}</td><td><code>{name}</code></td><td>{when}</td><td>{shown}</td>'
    return f"<tr>{first}{''.join(f'<td>{cell}</td>' for cell in rest)}</tr>"


def _day(millis: int | None) -> str:
    return "" if millis is None else f"{datetime.fromtimestamp(millis / 1000, UTC):%Y-%m-%d %H:%M}Z"


_VIEW = '<meta name="viewport" content="width=device-width">'
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; color: #1c2430; margin: 2rem auto; max-width: 80rem; padding: 0 1rem }
h2 { margin-top: 2rem } code { font-size: 13px; overflow-wrap: break-word } small { color: #5a6675 }
table { border-collapse: collapse; width: 100%; table-layout: fixed }
th:nth-child(1) { width: 6% } th:nth-child(2) { width: 18% } th:nth-child(3) { width: 31% }
th:nth-child(4) { width: 22% } th:nth-child(7) { width: 6% }
th { text-align: left; border-bottom: 2px solid #c6ced8; position: sticky; top: 0; background: #fff }
th, td { padding: .4rem .6rem; vertical-align: top } tbody tr:nth-child(odd) { background: #f4f6f9 }
.number { text-align: right; font-variant-numeric: tabular-nums }
"""
