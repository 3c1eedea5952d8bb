"""A question about one field as a spreadsheet's cell: ``EU``, ``mobile | tablet``, ``>= 2``, ``1 .. 4``, ``known``."""

import json
import re
from typing import Any

from usher.rules.fields import Field

_SIGNS = {"ne": "!=", "le": "<=", "ge": ">=", "lt": "<", "gt": ">"}
_WORDS = {"starts_with": "starts with", "ends_with": "ends with", "contains": "contains"}
_ASKED = re.compile(r"(!=|<=|>=|<|>|(?:starts with|ends with|contains)(?=[\s\"]|\Z))", re.IGNORECASE)
_OPS = {text: op for op, text in (_SIGNS | _WORDS).items()}
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
    """The inverse of `cell_of`, `Known` and `Contains Ber` included: a spreadsheet begins cells with a capital.

    What it cannot read stays a text, which the reader of rules then refuses.
    """
    cell = cell.strip()
    if cell.lower() in ("known", "unknown"):
        return {"present": cell.lower() == "known"}
    if asked := _ASKED.match(cell):
        return {_OPS[asked[0].lower()]: _one_or_more(cell[asked.end() :], field)}
    if isinstance(found := _one_or_more(cell, field), list):
        return found
    ends = cell.split("..")
    if len(ends) == 2 and field.kind in ("count", "number"):
        return {"between": [_value(end, field) for end in ends]}
    return found


def _one_or_more(text: str, field: Field) -> Any:
    parts = re.findall(r'(?:"(?:\\.|[^"\\])*"|[^|"])+', text)
    return [_value(part, field) for part in parts] if len(parts) > 1 else _value(text, field)


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
