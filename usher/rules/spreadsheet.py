"""The decision matrix as CSV for a spreadsheet, and back: a column per field, a row per rule.

What one cell cannot say (`any`, `not`, two questions about one field) is in the column `when`, as JSON.
"""

import csv
import io
import json
from pathlib import Path
from typing import Any

from usher.rules.bundle import Bundle
from usher.rules.cells import asked_of, cell_of
from usher.rules.fields import field_of, recent_of
from usher.rules.model import Rule
from usher.rules.parse import parse_tree
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
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=head.count))
    _check_head(tree, list(reader.fieldnames or ()))
    for row in reader:
        tree.lines[("rules", len(tree.data["rules"]))] = reader.line_num
        if any(value for value in row.values()):
            tree.data["rules"].append(_entry(tree, row))
    return tree


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


def _entry(tree: Tree, row: dict[Any, Any]) -> dict[str, Any]:
    """The entry of the list ``rules:`` that a row says; a cell that cannot be read is left as it is, to be refused."""
    entry: dict[str, Any] = {}
    when: dict[str, Any] = {}
    for name, cell in row.items():
        if not isinstance(cell, str) or not cell.strip():
            continue
        if name in _JSON:
            entry[name] = _json(tree, name, cell)
        elif name in ("priority", "rollout"):
            entry[name] = _number(cell)
        elif name in (*_FIRST, *_LAST):
            entry[name] = _json(tree, name, cell) if cell.startswith('"') else cell.strip()
        elif isinstance(name, str) and _is_field(name):
            when[name] = asked_of(cell, field_of(name))
    if isinstance(entry.get("when"), dict) or when:
        entry["when"] = when | (entry.get("when") or {})
    return entry


def _is_field(name: str) -> bool:
    try:
        return field_of(name) is not None and recent_of(name) is None
    except KeyError:
        return False


def _json(tree: Tree, name: str, cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        sentence = f"The cell of `{name}` is not JSON: {cell[:100]}"
        tree.problems.append(Problem(tree.file, _line(tree), sentence, "copy it from an exported matrix."))
        return None


def _line(tree: Tree) -> int:
    return tree.lines.get(("rules", len(tree.data["rules"])), 1)


def _number(cell: str) -> Any:
    try:
        return json.loads(cell)
    except ValueError:
        return cell


def _check_head(tree: Tree, names: list[str]) -> None:
    unknown = [name for name in names if name not in (*_FIRST, *_LAST) and not _is_field(name)]
    missing = [name for name in ("slot", "id", "content") if name not in names]
    if unknown:
        sentence = f"The columns {', '.join(map(repr, unknown))} are not fields of the profile."
        tree.problems.append(Problem(tree.file, 1, sentence, "correct the first line."))
    if missing:
        sentence = f"There is no column {', '.join(missing)}."
        tree.problems.append(Problem(tree.file, 1, sentence, "write it into the first line."))
