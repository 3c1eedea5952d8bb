"""YAML to plain data with the line of every value, in bounded time and memory.

Only `true` and `false` are booleans (so `NO` is Norway), dates stay text, anchors and aliases are refused.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from usher.rules.problems import Problem

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
Path_ = tuple[str | int, ...]
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})\Z")
_FLOAT = re.compile(r"-?[0-9]{1,18}\.[0-9]{1,18}\Z")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass
class Tree:
    """The data of one file, and the line of each value by its path."""

    file: str
    data: Any = None
    lines: dict[Path_, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line(self, path: Path_) -> int:
        """The line of the value at `path`, or of the nearest one around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(path: Path, name: str) -> Tree:
    """Read one file; what is wrong with it is in `problems`, and `data` is then None."""
    try:
        with path.open("rb") as file:
            return _tree(file.read(MAX_BYTES + 1), name)
    except OSError as error:
        return _fail(Tree(name), 1, f"The file cannot be read ({error.strerror}).", "check its path and permissions.")


def read_text(text: str, name: str) -> Tree:
    """The same of a text."""
    return _tree(text.encode("utf-8", "surrogatepass"), name)


def _tree(raw: bytes, name: str) -> Tree:
    tree = Tree(name)
    try:
        if len(raw) > MAX_BYTES:
            return _fail(tree, 1, f"The file is larger than {MAX_BYTES:,} bytes.", "split it into several files.")
        _build(tree, raw.decode("utf-8"))
    except UnicodeDecodeError:
        return _fail(tree, 1, "The file is not UTF-8.", "save it as UTF-8.")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "it has a forbidden character"
        return _fail(tree, mark.line + 1 if mark else 1, f"This is not YAML: {what}.", "correct indent and quotes.")
    return tree


def _fail(tree: Tree, line: int, sentence: str, remedy: str) -> Tree:
    tree.data = None
    tree.problems.append(Problem(tree.file, line, sentence, remedy))
    return tree


def _scalar(event: yaml.ScalarEvent) -> Any:
    text = event.value
    if event.style in ("'", '"', "|", ">"):
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.match(text):
        return int(text)
    return float(text) if _FLOAT.match(text) else text


def _build(tree: Tree, text: str) -> None:
    stack: list[_Open] = [_Open((), [], False)]
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            _fail(tree, line, "Anchors (&) and aliases (*) are not accepted.", "write the value out, or quote it.")
            return
        if isinstance(event, yaml.DocumentStartEvent) and stack[0].value:
            _fail(tree, line, "The file has a second document (---).", "put it in a file of its own.")
            return
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            if len(stack) > MAX_DEPTH:
                _fail(tree, line, f"The file is nested deeper than {MAX_DEPTH} levels.", "use fewer levels.")
                return
            mapping = isinstance(event, yaml.MappingStartEvent)
            value: Any = {} if mapping else []
            path = stack[-1].put(tree, value, line)
            stack.append(_Open(path, value, mapping))
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
        elif isinstance(event, yaml.ScalarEvent):
            stack[-1].put(tree, _scalar(event), line)
    tree.data = stack[0].value[0] if stack[0].value else None


@dataclass
class _Open:
    """A mapping or sequence that is being read; `key` waits for its value."""

    path: Path_
    value: Any
    mapping: bool
    key: str | None = None

    def put(self, tree: Tree, value: Any, line: int) -> Path_:
        if not self.mapping:
            path = (*self.path, len(self.value)) if self.path or tree.lines else self.path
            self.value.append(value)
        elif self.key is None:
            self.key = value if isinstance(value, str) else str(value)
            if self.key in self.value:
                problem = f"The key '{self.key}' is written twice in one mapping."
                tree.problems.append(Problem(tree.file, line, problem, "keep one of the two."))
            tree.lines[(*self.path, self.key)] = line
            return (*self.path, self.key)
        else:
            path, self.value[self.key], self.key = (*self.path, self.key), value, None
            tree.lines.setdefault(path, line)
            return path
        tree.lines.setdefault(path, line)
        return path
