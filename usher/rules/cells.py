"""A question about one field as a spreadsheet's cell: ``EU``, ``mobile | tablet``, ``>= 2``, ``1 .. 4``, ``known``."""

import json
import re
from typing import Any

from usher.rules.fields import Field

_SIGNS = {"ne": "!=", "le": "<=", "ge": ">=", "lt": "<", "gt": ">"}
_WORDS = {"starts_with": "starts with", "ends_with": "ends with", "contains": "contains"}
_PREFIXES = {text: op for op, text in (_SIGNS | _WORDS).items()}
_PLAIN = re.compile(r"[^\s\"'=+\-@<>!|][^\"|]*(?<!\s)\Z")
_RESERVED = re.compile(r"(known|unknown)\Z|(starts|ends) with|contains|.*\.\.", re.IGNORECASE | re.DOTALL)


def cell_of(asked: Any) -> str | None:
    """The cell for what YAML writes below a field; None where it takes more than one question to say."""
    if isinstance(asked, list):
        return " | ".join(map(_quoted, asked))
    if not isinstance(asked, dict):
        return _quoted(asked)
    if len(asked) != 1:
        return None
    (op, value), *_ = asked.items()
    if op == "present":
        return "known" if value else "unknown"
    if op == "between":
        return f"{_quoted(value[0])} .. {_quoted(value[1])}"
    if op == "in":
        return " | ".join(map(_quoted, value))
    return f"{(_SIGNS | _WORDS)[op]} {_quoted(value)}"


def asked_of(cell: str, field: Field) -> Any:
    """The inverse of `cell_of`; what it cannot read stays a text, which the reader of rules then refuses."""
    cell = cell.strip()
    if cell in ("known", "unknown"):
        return {"present": cell == "known"}
    for prefix, op in _PREFIXES.items():
        if cell.startswith(prefix):
            return {op: _value(cell.removeprefix(prefix), field)}
    parts = re.findall(r'(?:"(?:\\.|[^"\\])*"|[^|"])+', cell)
    if len(parts) > 1:
        return [_value(part, field) for part in parts]
    ends = cell.split("..")
    if len(ends) == 2 and field.kind in ("count", "number"):
        return {"between": [_value(end, field) for end in ends]}
    return _value(cell, field)


def _quoted(value: Any) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    plain = _PLAIN.match(value) and not _RESERVED.match(value)
    return value if plain else json.dumps(value, ensure_ascii=False)


def _value(text: str, field: Field) -> Any:
    text = text.strip()
    if field.kind != "text" or text.startswith('"'):
        try:
            return json.loads(text.lower() if field.kind == "bool" else text)
        except ValueError:
            return text
    return text
