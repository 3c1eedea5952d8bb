"""A directory of YAML files to rules and contents, or a `RulesError` that holds every problem found."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from usher.rules.model import RULE_SLOTS, Content, Holdout, Rule, RuleSet
from usher.rules.parse_rule import ID, RuleParser, note
from usher.rules.problems import Problem, RulesError
from usher.rules.yamltree import Path_, Tree, read, read_text

MAX_RULES = 2_000
MAX_FILES = 200
MAX_SLOTS = 100
MAX_TOTAL = 4_000_000
"""Bytes of all files of rules, and of all files of contents."""
Source = Path | Mapping[str, str]
"""A directory that holds rules/ and content/, or texts by name: ``{"rules/welcome.yaml": "rules: ..."}``."""
_FILE_KEYS = ("rules", "slots", "holdout")
_LOCALE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*\Z")


def load(source: Source) -> RuleSet:
    """Read ``rules/*.yaml`` and ``content/*.yaml``."""
    if isinstance(source, Path) and not (source / "rules").is_dir():
        raise RulesError([Problem(str(source), 1, "There is no directory 'rules' here.", "give the one above it.")])
    problems: list[Problem] = []
    contents: dict[str, Content] = {}
    for tree in _trees(source, "content", problems):
        _contents(tree, contents)
        problems += tree.problems
    trees = _trees(source, "rules", problems)
    slots, holdout = _slots(trees), _holdout(trees)
    rules: dict[str, Rule] = {}
    written = sum(map(_written, trees))
    if written > MAX_RULES:
        sentence = f"There are {written:,} rules, more than {MAX_RULES:,}."
        raise RulesError([Problem("rules", 1, sentence, "merge rules: a `when` can ask what several ask.")])
    for tree in trees:
        _rules(tree, rules, contents, slots)
        problems += tree.problems
    if problems:
        raise RulesError(problems)
    return RuleSet(tuple(sorted(rules.values(), key=lambda rule: rule.id)), contents, slots, holdout)


def parse_tree(tree: Tree, directory: Path) -> list[Rule]:
    """The rules of one file, which may show the contents and fill the slots that `directory` declares."""
    problems: list[Problem] = []
    contents: dict[str, Content] = {}
    for one in _trees(directory, "content", problems):
        _contents(one, contents)
        problems += one.problems
    rules: dict[str, Rule] = {}
    _rules(tree, rules, contents, _slots(_trees(directory, "rules", problems)))
    if problems or tree.problems:
        raise RulesError([*problems, *tree.problems])
    return list(rules.values())


def texts(directory: Path) -> dict[str, str]:
    """The files that `load` reads, by name, as a bundle is published; they must have been loaded without problems."""
    paths = [*_paths(directory, "content"), *_paths(directory, "rules")]
    return {f"{path.parent.name}/{path.name}": path.read_text("utf-8") for path in paths}


def _paths(directory: Path, part: str) -> list[Path]:
    """The files of one part; those whose names begin with a dot are an editor's, which may vanish at any time."""
    return [path for path in sorted((directory / part).glob("*.yaml")) if not path.name.startswith(".")]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # to be said when it is read
        return 0


def _trees(source: Source, part: str, problems: list[Problem]) -> list[Tree]:
    if isinstance(source, Path):
        for path in sorted((source / part).glob("[!.]*.yml")):
            sentence = "The file is not read, because its name ends in .yml."
            problems.append(Problem(f"{part}/{path.name}", 1, sentence, f"rename it to {path.stem}.yaml."))
        found = _paths(source, part)
        size = sum(map(_size, found))
        if size > MAX_TOTAL:
            sentence = f"The files have {size:,} bytes, more than {MAX_TOTAL:,}."
            problems.append(Problem(part, 1, sentence, "merge rules, or shorten texts."))
            return []
        paths = {f"{part}/{path.name}": path for path in found}
        names, reader = list(paths), lambda name: read(paths[name], name)
    else:
        names = sorted(name for name in source if name.startswith(f"{part}/"))
        reader = lambda name: read_text(source[name], name)  # noqa: E731
    if len(names) > MAX_FILES:
        problems.append(Problem(part, 1, f"There are more than {MAX_FILES} files.", "merge some of them."))
    return [reader(name) for name in names[:MAX_FILES]]


def _written(tree: Tree) -> int:
    rules = tree.data.get("rules") if isinstance(tree.data, dict) else None
    return len(rules) if isinstance(rules, list) else 0


def _contents(tree: Tree, contents: dict[str, Content]) -> None:
    data = tree.data.get("content") if isinstance(tree.data, dict) else None
    if not isinstance(data, dict):
        if not tree.problems:
            note(tree, (), "There is no mapping `content` in this file.", "write `content:` and the ids below it.")
        return
    for name, entry in data.items():
        path: Path_ = ("content", name)
        text: Any = entry.get("text") if isinstance(entry, dict) else None
        good = isinstance(text, dict) and text and all(isinstance(value, str) for value in text.values())
        if not good or not ID.match(name) or set(entry) - {"text", "fallback"}:
            note(tree, path, f"Content '{name}' is not well formed.", "write `text: {en: ...}` and `fallback: en`.")
        elif entry.get("fallback") not in text:
            remedy = f"set fallback to one of {', '.join(text)}."
            note(tree, path, f"Content '{name}' has no text in its fallback locale.", remedy)
        elif wrong := [locale for locale in text if not _LOCALE.match(locale)]:
            note(tree, path, f"Content '{name}': '{wrong[0]}' is not a locale.", "write e.g. `de` or `de-AT`.")
        elif name in contents:
            note(tree, path, f"Content '{name}' is declared twice.", "keep one of the two.")
        else:
            contents[name] = Content(name, text, entry["fallback"])


def _slots(trees: list[Tree]) -> tuple[str, ...]:
    """What the files declare as `slots`, in order; the slots that ship if none does."""
    found: dict[str, None] = {}
    for tree in trees:
        declared = tree.data.get("slots", []) if isinstance(tree.data, dict) else []
        for slot in declared if isinstance(declared, list) else [None]:
            if isinstance(slot, str) and ID.match(slot) and slot != "step_order":
                found[slot] = None
            else:
                sentence = f"`slots` declares {slot!r}, which is not the name of a slot of rules."
                note(tree, ("slots",), sentence, "write `slots: [welcome_message]`, with a-z, 0-9 and _.")
    if len(found) > MAX_SLOTS:
        note(trees[0], (), f"There are more than {MAX_SLOTS} slots.", "merge some of them.")
    return tuple(found) or RULE_SLOTS


def _holdout(trees: list[Tree]) -> Holdout | None:
    found = None
    for tree in trees:
        data = tree.data.get("holdout") if isinstance(tree.data, dict) else None
        if data is None:
            continue
        percent = data.get("percent") if isinstance(data, dict) and set(data) <= {"percent", "seed"} else None
        seed = data.get("seed", "holdout") if percent is not None else None
        number = float(percent) if isinstance(percent, int | float) and not isinstance(percent, bool) else -1.0
        if not 0 <= number <= 100 or not isinstance(seed, str) or not ID.match(seed):
            note(tree, ("holdout",), "`holdout` is not well formed.", "write `holdout: {percent: 5, seed: holdout}`.")
        elif found is not None:
            note(tree, ("holdout",), "`holdout` is declared twice.", "keep one of the two.")
        else:
            found = Holdout(number, seed)
    return found


def _rules(tree: Tree, rules: dict[str, Rule], contents: dict[str, Content], slots: tuple[str, ...]) -> None:
    mapping = tree.data if isinstance(tree.data, dict) else {}
    for key in sorted(set(mapping) - set(_FILE_KEYS)):
        note(tree, (key,), f"'{key}' is not known here.", f"use {', '.join(_FILE_KEYS)}.")
    data = mapping.get("rules")
    if not isinstance(data, list):
        if not tree.problems and not set(mapping) & {"slots", "holdout"}:
            note(tree, (), "There is no list `rules` in this file.", "write `rules:` and `- id: ...` below it.")
        return
    for index, entry in enumerate(data):
        path: Path_ = ("rules", index)
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not ID.match(entry["id"]):
            given = entry.get("id") if isinstance(entry, dict) else entry
            sentence = f"A rule needs an id of a-z, 0-9 and _, and has {given!r}."
            note(tree, path, sentence, "give it `id: ...`.")
            continue
        rule = RuleParser(tree, entry, path).rule(contents, slots)
        if rule.id in rules:
            first = rules[rule.id]
            where = f"{first.file}:{first.line}"
            note(tree, path, f"Rule '{rule.id}' is declared twice, first at {where}.", "rename one of the two.")
        rules.setdefault(rule.id, rule)
