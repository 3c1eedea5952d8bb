"""A directory of YAML files to rules and contents, or a `RulesError` that holds every problem found."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from usher.features import SLOTS
from usher.rules.conditions import EVERYONE
from usher.rules.model import Content, Example, Rule
from usher.rules.parse_condition import ConditionParser
from usher.rules.problems import Problem, RulesError
from usher.rules.yamltree import Path_, Tree, read

MAX_RULES = 2_000
MAX_FILES = 200
_ID = re.compile(r"[a-z0-9][a-z0-9_]{0,99}\Z")
_RULE_KEYS = {"id", "slot", "priority", "when", "content", "start", "end", "rollout", "owner", "examples"}


def load(directory: Path) -> tuple[list[Rule], dict[str, Content]]:
    """Read ``rules/*.yaml`` and ``content/*.yaml`` under `directory`."""
    if not (directory / "rules").is_dir():
        raise RulesError([Problem(str(directory), 1, "There is no directory 'rules' here.", "give the one above it.")])
    problems: list[Problem] = []
    contents: dict[str, Content] = {}
    for tree in _trees(directory, "content", problems):
        _contents(tree, contents)
        problems += tree.problems
    rules: dict[str, Rule] = {}
    for tree in _trees(directory, "rules", problems):
        _rules(tree, rules, contents)
        problems += tree.problems
        if len(rules) > MAX_RULES:
            sentence = f"There are more than {MAX_RULES:,} rules."
            problems.append(Problem(tree.file, 1, sentence, "merge rules, or load several bundles."))
            break
    if problems:
        raise RulesError(problems)
    return sorted(rules.values(), key=lambda rule: rule.id), contents


def _trees(directory: Path, part: str, problems: list[Problem]) -> list[Tree]:
    paths = sorted((directory / part).glob("*.yaml"))
    if len(paths) > MAX_FILES:
        problems.append(Problem(part, 1, f"There are more than {MAX_FILES} files.", "merge some of them."))
    return [read(path, f"{part}/{path.name}") for path in paths[:MAX_FILES]]


def _note(tree: Tree, path: Path_, sentence: str, remedy: str) -> None:
    tree.problems.append(Problem(tree.file, tree.line(path), sentence, remedy))


def _contents(tree: Tree, contents: dict[str, Content]) -> None:
    data = tree.data.get("content") if isinstance(tree.data, dict) else None
    if not isinstance(data, dict):
        if not tree.problems:
            _note(tree, (), "There is no mapping `content` in this file.", "write `content:` and the ids below it.")
        return
    for name, entry in data.items():
        path: Path_ = ("content", name)
        text: Any = entry.get("text") if isinstance(entry, dict) else None
        good = isinstance(text, dict) and text and all(isinstance(value, str) for value in text.values())
        if not good or not _ID.match(name) or set(entry) - {"text", "fallback"}:
            _note(tree, path, f"Content '{name}' is not well formed.", "write `text: {en: ...}` and `fallback: en`.")
        elif entry.get("fallback") not in text:
            known = ", ".join(text)
            _note(
                tree, path, f"Content '{name}' has no text in its fallback locale.", f"set fallback to one of {known}."
            )
        elif name in contents:
            _note(tree, path, f"Content '{name}' is declared twice.", "keep one of the two.")
        else:
            contents[name] = Content(name, text, entry["fallback"])


def _rules(tree: Tree, rules: dict[str, Rule], contents: dict[str, Content]) -> None:
    data = tree.data.get("rules") if isinstance(tree.data, dict) else None
    if not isinstance(data, list):
        if not tree.problems:
            _note(tree, (), "There is no list `rules` in this file.", "write `rules:` and `- id: ...` below it.")
        return
    for index, entry in enumerate(data[: MAX_RULES + 1]):
        path: Path_ = ("rules", index)
        if not isinstance(entry, dict) or not isinstance(entry.get("id"), str) or not _ID.match(entry["id"]):
            _note(
                tree, path, "A rule has no id, or one with other characters than a-z, 0-9 and _.", "give it `id: ...`."
            )
            continue
        rule = _rule(tree, entry, path, contents)
        if rule.id in rules:
            first = rules[rule.id]
            where = f"{first.file}:{first.line}"
            _note(tree, path, f"Rule '{rule.id}' is declared twice, first at {where}.", "rename one of the two.")
        rules.setdefault(rule.id, rule)


def _rule(tree: Tree, entry: dict[str, Any], path: Path_, contents: dict[str, Content]) -> Rule:
    name = entry["id"]
    for key in sorted(set(entry) - _RULE_KEYS):
        _note(tree, (*path, key), f"Rule '{name}': '{key}' is not known.", f"use {', '.join(sorted(_RULE_KEYS))}.")
    slot, content = entry.get("slot"), entry.get("content")
    if slot not in SLOTS[:3]:
        _note(tree, (*path, "slot"), f"Rule '{name}': '{slot}' is not a slot of rules.", f"use {', '.join(SLOTS[:3])}.")
    if content not in contents:
        remedy = "declare it in content/content.yaml, or correct the name."
        _note(tree, (*path, "content"), f"Rule '{name}' shows content '{content}', which does not exist.", remedy)
    priority, rollout = entry.get("priority", 0), entry.get("rollout", 100)
    if not isinstance(priority, int) or isinstance(priority, bool) or not 0 <= priority <= 1000:
        _note(
            tree, (*path, "priority"), f"Rule '{name}': priority {priority!r} is not 0 to 1000.", "use such a number."
        )
        priority = 0
    if not isinstance(rollout, int | float) or isinstance(rollout, bool) or not 0 <= rollout <= 100:
        _note(tree, (*path, "rollout"), f"Rule '{name}': rollout {rollout!r} is not 0 to 100.", "use a percentage.")
        rollout = 100
    if not isinstance(entry.get("owner", ""), str):
        _note(tree, (*path, "owner"), f"Rule '{name}': the owner is not a text.", "put it in quotes.")
    parser = ConditionParser(tree, name)
    when = parser.parse(entry["when"], (*path, "when")) if "when" in entry else EVERYONE
    start, end = (_time(tree, entry, path, key) for key in ("start", "end"))
    if start is not None and end is not None and start >= end:
        _note(tree, (*path, "end"), f"Rule '{name}' ends before it starts.", "move `end` after `start`.")
    examples = _examples(tree, entry, path)
    owner = str(entry.get("owner", ""))
    file, line = tree.file, tree.line(path)
    return Rule(name, str(slot), priority, when, str(content), start, end, float(rollout), owner, examples, file, line)


def _time(tree: Tree, entry: dict[str, Any], path: Path_, key: str) -> int | None:
    if key not in entry:
        return None
    try:
        moment = datetime.fromisoformat(entry[key])
    except (TypeError, ValueError):
        sentence = f"Rule '{entry['id']}': {key} {entry[key]!r} is not a time."
        _note(tree, (*path, key), sentence, "write 2026-12-24 or 2026-12-24T18:00:00Z.")
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _examples(tree: Tree, entry: dict[str, Any], path: Path_) -> tuple[Example, ...]:
    found = []
    examples = entry.get("examples", [])
    for index, item in enumerate(examples if isinstance(examples, list) else [None]):
        where: Path_ = (*path, "examples", index)
        good = isinstance(item, dict) and set(item) == {"user", "expect"} and isinstance(item["user"], dict)
        if not good or not isinstance(item["expect"], str):
            remedy = "write `- {user: {...}, expect: CONTENT}`."
            _note(tree, where, f"Rule '{entry['id']}': an example is not well formed.", remedy)
        else:
            found.append(Example(item["user"], item["expect"], tree.line(where)))
    return tuple(found)
