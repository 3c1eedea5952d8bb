"""The decision matrix as CSV for a spreadsheet, and back: a column per field, a row per rule.

What one cell cannot say (`any`, `not`, two questions about one field) is in the column `when`, as JSON. A sheet is
about rules only: what a bundle says beside them (`slots`, `holdout`) stays in YAML.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

from usher.rules.bundle import Bundle
from usher.rules.cells import asked_of, cell_of
from usher.rules.fields import field_of, recent_of
from usher.rules.model import RULE_SLOTS, Rule
from usher.rules.parse import parse_tree
from usher.rules.parse_rule import ID
from usher.rules.problems import Problem, RulesError
from usher.rules.write import rule_data, to_yaml
from usher.rules.yamltree import MAX_BYTES, Tree

_FIRST = ("slot", "priority", "id")
_LAST = ("when", "content", "start", "end", "rollout", "cap", "group", "owner", "examples")
_JSON = ("when", "cap", "group", "examples")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", '"')


def to_csv(bundle: Bundle) -> str:
    """Every rule of the bundle, slot by slot in the order in which they are tried."""
    rows = [_row(rule) for rules in bundle.slots.values() for rule in rules]
    asked = sorted({name for row in rows for name in row} - {*_FIRST, *_LAST})
    text = io.StringIO()
    writer = csv.DictWriter(text, [*_FIRST, *asked, *_LAST], restval="", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def left_out(bundle: Bundle) -> str:
    """A sentence about what of the bundle no sheet holds; empty where that is nothing."""
    parts = [f"slots: [{', '.join(bundle.slots)}]"] if tuple(bundle.slots) != RULE_SLOTS else []
    if bundle.holdout is not None:
        parts.append(f"holdout: {{percent: {bundle.holdout.percent:g}, seed: {bundle.holdout.seed}}}")
    if not parts:
        return ""
    return f"Note: a sheet holds the rules only. Keep in a file of YAML beside them: {' and '.join(parts)}."


def from_csv(file: Path, directory: Path) -> str:
    """The YAML of the rules in `file`; raises `RulesError` with the lines of the file where something is wrong."""
    tree = read_csv(file)
    return to_yaml(parse_tree(tree, directory))


def read_csv(file: Path) -> Tree:
    """The data of the file as if it were YAML, with the line of every rule."""
    try:
        raw = file.read_bytes()[: MAX_BYTES + 1]
        text = raw.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        remedy = "check its path, and save it as CSV in UTF-8."
        raise RulesError([Problem(str(file), 1, f"The file cannot be read ({error}).", remedy)]) from None
    if len(raw) > MAX_BYTES:
        sentence = f"The file is larger than {MAX_BYTES:,} bytes."
        raise RulesError([Problem(str(file), 1, sentence, "split it into several files.")])
    tree = Tree(file.name, {"rules": []})
    head = text.partition("\n")[0]
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count), strict=True)
    try:
        names = [name.strip() for name in next(lines, [])]
        _check_head(tree, names)
        for cells in lines:
            tree.lines[("rules", len(tree.data["rules"]))] = lines.line_num
            if any(cell.strip() for cell in cells):
                _add(tree, names, cells)
    except csv.Error as error:
        remedy = "close every quote, and shorten cells to 131,072 characters."
        raise RulesError([Problem(tree.file, max(lines.line_num, 1), f"This is not CSV: {error}.", remedy)]) from None
    return tree


def _add(tree: Tree, names: list[str], cells: list[str]) -> None:
    """The rule of one line; without an id that can be used it is a problem, and no rule."""
    if any(cell.strip() for cell in cells[len(names) :]):
        sentence = f"The line has {len(cells)} cells, but the first line only {len(names)}."
        _note(tree, sentence, "put what holds the delimiter in quotes, or name the column.")
    row = dict(zip(names, cells, strict=False))
    name = row.get("id", "").strip()
    if ID.match(name):
        tree.data["rules"].append(_entry(tree, row))
    elif "id" in names:
        wrong = f"The id '{name[:100]}' has other characters than a-z, 0-9 and _" if name else "The rule has no id"
        _note(tree, f"{wrong}.", "write one such as `welcome_eu`.")


def _row(rule: Rule) -> dict[str, str]:
    data = rule_data(rule)
    cells, rest = {}, {}
    for name, asked in data.pop("when", {}).items():
        cell = cell_of(asked) if _is_field(name) else None
        if cell is None:
            rest[name] = asked
        else:
            cells[name] = cell
    if rest:
        data["when"] = rest
    for name in _JSON:
        if name in data:
            data[name] = json.dumps(data[name], ensure_ascii=False)
    if rule.owner.startswith(_FORMULA):
        data["owner"] = json.dumps(rule.owner)  # else a spreadsheet would run it
    return {name: str(value) for name, value in data.items()} | cells


def _entry(tree: Tree, row: dict[str, str]) -> dict[str, Any]:
    """The entry of the list ``rules:`` that a row says; a cell that cannot be read is left as it is, to be refused."""
    entry: dict[str, Any] = {}
    asked: dict[str, Any] = {}
    for name, cell in row.items():
        if not cell.strip():
            continue
        if name in _JSON:
            entry[name] = _json(tree, name, cell)
        elif name in ("priority", "rollout"):
            entry[name] = _number(cell)
        elif name in (*_FIRST, *_LAST):
            entry[name] = _json(tree, name, cell) if cell.startswith('"') else cell.strip()
        elif _is_field(name):
            asked[name] = asked_of(cell, field_of(name))
    if asked:
        entry["when"] = _both(tree, asked, entry.get("when", {}))
    return entry


def _both(tree: Tree, asked: dict[str, Any], when: Any) -> Any:
    """What the columns ask and what the column `when` asks, together."""
    if not isinstance(when, dict):
        return when  # to be refused
    if twice := sorted(asked.keys() & when):
        sentence = f"The column `{twice[0]}` and the column `when` both ask about '{twice[0]}'."
        _note(tree, sentence, "ask in one of them only; `when` can hold both questions.")
    return asked | when


def _is_field(name: str) -> bool:
    try:
        return field_of(name) is not None and recent_of(name) is None
    except KeyError:
        return False


def _json(tree: Tree, name: str, cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        _note(tree, f"The cell of `{name}` is not JSON: {cell[:100]}", "copy it from an exported matrix.")
        return None


def _note(tree: Tree, sentence: str, remedy: str) -> None:
    """A problem of the line that is being read."""
    line = tree.lines.get(("rules", len(tree.data["rules"])), 1)
    tree.problems.append(Problem(tree.file, line, sentence, remedy))


def _number(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _check_head(tree: Tree, names: list[str]) -> None:
    unknown = [name for name in names if name not in (*_FIRST, *_LAST) and not _is_field(name)]
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [name for name in ("slot", "id", "content") if name not in names]
    if unknown:
        sentence = f"The columns {', '.join(map(repr, unknown))} are not fields of the profile."
        tree.problems.append(Problem(tree.file, 1, sentence, "correct the first line."))
    if twice:
        sentence = f"The columns {', '.join(map(repr, twice))} are there more than once."
        tree.problems.append(Problem(tree.file, 1, sentence, "keep one of each."))
    if missing:
        sentence = f"There is no column {', '.join(missing)}."
        tree.problems.append(Problem(tree.file, 1, sentence, "write it into the first line."))
