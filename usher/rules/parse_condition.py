"""From the YAML of `when:` to the typed condition tree; everything wrong is a sentence with a remedy."""

import difflib
import re
from collections.abc import Callable, Collection, Iterable
from typing import Any as Anything
from typing import cast

from usher.features import ONBOARDING_STEPS, PRODUCT_FEATURES
from usher.rules.conditions import ALL_OPS, ORDER_OPS, TEXT_OPS, All, Any, Condition, Leaf, Not, Op, Scalar
from usher.rules.fields import CATEGORY, EVENT_COUNTERS, FIELDS, RECENT_EVENTS, Field, Recent, field_of, hours_of
from usher.rules.places import continent_code, country_code
from usher.rules.problems import Problem
from usher.rules.yamltree import Path_, Tree

MAX_LEAVES = 200
MAX_TEXT = 200
MAX_CHOICES = 500
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_SUGAR = ("all", "any", "not", "did", "prefers", "location", "language")
_NEVER = Leaf("is_bot", "present", True)  # stands in for a condition that could not be read


class ConditionParser:
    """Reads the conditions of one file, and collects its problems in the file's tree."""

    def __init__(self, tree: Tree, rule_id: str, contents: Collection[str]) -> None:
        self.tree = tree
        self.rule_id = rule_id
        self.contents = contents
        self.leaves = 0

    def parse(self, data: Anything, path: Path_) -> Condition:
        """A mapping of questions, all of which must hold."""
        if self.leaves > MAX_LEAVES:
            return _NEVER  # that is said once, and enough
        if not isinstance(data, dict) or not data:
            return self._bad(path, "a condition must be a mapping of fields", "write e.g. `country: DE`.")
        items = [self._entry(str(key), value, (*path, key)) for key, value in data.items()]
        return items[0] if len(items) == 1 else All(tuple(items))

    def _entry(self, key: str, value: Anything, path: Path_) -> Condition:
        if key in ("all", "any"):
            if not isinstance(value, list) or not value:
                return self._bad(path, f"`{key}` needs a list of conditions", "write one condition per `- ` line.")
            items = tuple(self.parse(item, (*path, index)) for index, item in enumerate(value))
            return All(items) if key == "all" else Any(items)
        if key == "not":
            return Not(self.parse(value, path))
        sugar: dict[str, Callable[[Anything, Path_], Condition]] = {
            "did": self._did,
            "prefers": self._prefers,
            "location": self._location,
            "language": self._language,
        }
        if key in sugar:
            return sugar[key](value, path)
        if key.startswith("consent."):
            return self._consent(key, value, path)
        if key not in FIELDS:
            return self._bad(path, f"'{key}' is not a field of the profile", meant(key, [*FIELDS, *_SUGAR]))
        return self._field(FIELDS[key], value, path)

    def _consent(self, key: str, value: Anything, path: Path_) -> Condition:
        if not CATEGORY.match(key.removeprefix("consent.")):
            return self._bad(path, f"'{key}' is not a category of consent", "write e.g. `consent.advertising: true`.")
        return self._field(field_of(key), value, path)

    def _field(self, field: Field, value: Anything, path: Path_) -> Condition:
        if isinstance(value, list):
            return self._leaf(field, "in", value, path)
        if not isinstance(value, dict):
            return self._leaf(field, "eq", value, path)
        if not value:
            return self._bad(path, f"'{field.name}' is compared with nothing", "write e.g. `at_least: 2`.")
        items = [self._operator(field, str(op), operand, (*path, op)) for op, operand in value.items()]
        return items[0] if len(items) == 1 else All(tuple(items))

    def _operator(self, field: Field, op: str, value: Anything, path: Path_) -> Condition:
        op = {"at_least": "ge", "at_most": "le", "more_than": "gt", "less_than": "lt", "is": "eq"}.get(op, op)
        if op not in ALL_OPS:
            return self._bad(path, f"'{op}' is not an operator", meant(op, ALL_OPS))
        return self._leaf(field, op, value, path)

    def _leaf(self, field: Field, op: Op, value: Anything, path: Path_) -> Condition:
        self.leaves += 1
        if self.leaves == MAX_LEAVES + 1:
            self._bad(path, f"the condition asks more than {MAX_LEAVES} questions", "split it into several rules.")
        if op == "present":
            if not isinstance(value, bool):
                return self._bad(path, "`present` needs true or false", "write `present: true`.")
            return Leaf(field.name, op, value)
        if (op in ORDER_OPS and field.kind not in ("count", "number")) or (op in TEXT_OPS and field.kind != "text"):
            remedy = "use eq, ne, in or present" if field.kind == "bool" else "use an operator of its type"
            return self._bad(path, f"'{op}' does not apply to '{field.name}', which is a {field.kind}", f"{remedy}.")
        if op in ("in", "between"):
            return self._several(field, op, value, path)
        scalar = self._scalar(field, value, path, op not in TEXT_OPS)
        return _NEVER if scalar is None else Leaf(field.name, op, scalar)

    def _several(self, field: Field, op: Op, value: Anything, path: Path_) -> Condition:
        right = isinstance(value, list) and (len(value) == 2 if op == "between" else 1 <= len(value) <= MAX_CHOICES)
        if not right:
            wanted = "two values, low and high" if op == "between" else f"a list of 1 to {MAX_CHOICES} values"
            return self._bad(path, f"`{op}` needs {wanted}", f"write `{op}: [a, b]`.")
        scalars = [self._scalar(field, item, (*path, index), True) for index, item in enumerate(value)]
        known = tuple(scalar for scalar in scalars if scalar is not None)
        if len(known) < len(scalars):
            return _NEVER
        if op == "between" and cast(float, known[0]) > cast(float, known[1]):
            return self._bad(path, f"no number is between {known[0]} and {known[1]}", "write the low end first.")
        if op == "between":
            return Leaf(field.name, op, known)
        unique = tuple(sorted(set(known), key=str))
        return Leaf(field.name, op, unique) if len(unique) > 1 else Leaf(field.name, "eq", unique[0])

    def _scalar(self, field: Field, value: Anything, path: Path_, whole: bool) -> Scalar | None:
        """The value in the field's type, or None after a problem; `whole` is false for a part of a text."""
        if field.kind == "text":
            return self._text(field, value, path, whole)
        if field.kind == "bool":
            if not isinstance(value, bool):
                self._bad(path, f"'{field.name}' is true or false, not {value!r}", "write true or false.")
                return None
            return value
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or (field.kind == "count" and not isinstance(value, int)):
            kind = "a whole number" if field.kind == "count" else "a number"
            self._bad(path, f"'{field.name}' is {kind}, not {value!r}", f"write {kind} without quotes.")
            return None
        if not 0 <= value <= field.high:
            high = f"{field.high:,.0f}"
            self._bad(path, f"'{field.name}' is never {value}", f"use a value from 0 to {high}.")
            return None
        return cast(Scalar, value)

    def _text(self, field: Field, value: object, path: Path_, whole: bool) -> str | None:
        if not isinstance(value, str):
            self._bad(path, f"'{field.name}' is a text, not {value!r}", "put the value in quotes.")
            return None
        if not 1 <= len(value) <= MAX_TEXT or any(not " " <= char <= "\U0002ffff" for char in value):
            self._bad(path, "a text must have 1 to 200 printable characters", "shorten or correct it.")
            return None
        if whole and field.name == "continent":
            value = continent_code(value)
        if whole and field.name == "country":
            value = country_code(value)
        if whole and field.values is not None and value not in field.values:
            self._bad(path, f"'{field.name}' is never '{value}'", meant(value, field.values))
            return None
        return value

    def _did(self, value: Anything, path: Path_) -> Condition:
        asked = set(value) if isinstance(value, dict) else set()
        details = [key for key in ("feature", "step", "content") if key in asked]
        known = asked <= {"event", "at_least", "within", *details}
        if not known or len(details) > 1 or not asked & {"event", "feature"}:
            remedy = "write `did: {feature: analytics, at_least: 2}` or `did: {event: Content Clicked, within: 7d}`."
            return self._bad(path, "`did` needs feature, or event with at most one of feature, step, content", remedy)
        event, detail = value.get("event", "Feature Used"), details[0] if details else ""
        if event not in (*EVENT_COUNTERS, *RECENT_EVENTS):
            return self._bad(path, f"'{event}' is not counted", meant(event, {**EVENT_COUNTERS, **RECENT_EVENTS}))
        if detail and RECENT_EVENTS.get(event) != detail:
            return self._bad(path, f"'{event}' has no {detail}", "drop it.")
        if detail and not self._known_detail(detail, value[detail], path):
            return _NEVER
        field = self._counted(event, value[detail] if detail else "", value.get("within"), path)
        if field is None:
            return _NEVER
        at_least = value.get("at_least", 1)
        if at_least == 0 and not isinstance(at_least, bool):
            return self._bad((*path, "at_least"), "everyone did it at least 0 times", "write 1 or more.")
        return self._leaf(field, "ge", at_least, (*path, "at_least"))

    def _known_detail(self, detail: str, name: Anything, path: Path_) -> bool:
        known = {"feature": PRODUCT_FEATURES, "step": ONBOARDING_STEPS, "content": self.contents}[detail]
        if isinstance(name, str) and name in known:
            return True
        self._bad(path, f"'{name}' is not a {detail}", meant(name, known))
        return False

    def _counted(self, event: str, detail: str, within: Anything, path: Path_) -> Field | None:
        """The field that counts it: for life, in 30 minutes, or in the last hours."""
        if within is None:
            if event == "Feature Used" and detail:
                return FIELDS[f"feature_counts.{detail}"]
            if event in EVENT_COUNTERS and not detail:
                return FIELDS[EVENT_COUNTERS[event]]
            self._bad(path, f"'{event}' is counted for 30 days only", "add e.g. `within: 30d`.")
        elif within == "30m" and event in EVENT_COUNTERS and not detail:
            return FIELDS[f"{EVENT_COUNTERS[event]}_30m"]
        elif (hours := hours_of(within)) is None:
            self._bad(path, f"'{within}' is not counted", "write `within: 7d`: 1h to 30d (or 30m, without a detail).")
        elif event not in RECENT_EVENTS:
            self._bad(path, f"'{event}' is not counted by the hour", "write `within: 30m`, or drop it.")
        else:
            return field_of(Recent(event, detail, hours).name)
        return None

    def _prefers(self, value: Anything, path: Path_) -> Condition:
        if not isinstance(value, dict) or set(value) != {"feature", "at_least"}:
            remedy = "write `prefers: {feature: analytics, at_least: 0.6}`."
            return self._bad(path, "`prefers` needs feature and at_least", remedy)
        if value["feature"] not in PRODUCT_FEATURES:
            return self._bad(path, f"'{value['feature']}' is not a feature", meant(value["feature"], PRODUCT_FEATURES))
        return self._leaf(FIELDS[f"preferences.{value['feature']}"], "ge", value["at_least"], (*path, "at_least"))

    def _location(self, value: Anything, path: Path_) -> Condition:
        """Names only: as a code, `NA` would be Namibia or North America."""
        items: list[Condition] = []
        for name in value if isinstance(value, list) and value else [value]:
            text = str(name)
            if continent_code(text) != text:
                items.append(self._leaf(FIELDS["continent"], "eq", text, path))
            elif country_code(text) != text:
                items.append(self._leaf(FIELDS["country"], "eq", text, path))
            else:
                self._bad(path, f"'{text}' is not a place known by name", "use `country:` or `continent:` with a code.")
        return items[0] if len(items) == 1 else Any(tuple(items))

    def _language(self, value: Anything, path: Path_) -> Condition:
        if not isinstance(value, str) or not _LANGUAGE.fullmatch(value):
            code = str(value).lower()
            remedy = f"write `language: {code if _LANGUAGE.fullmatch(code) else 'de'}`; for a region, `locale: de-AT`."
            return self._bad(path, f"`language` needs one code of two or three small letters, not {value!r}", remedy)
        exact = self._leaf(FIELDS["locale"], "eq", value, path)
        return Any((exact, self._leaf(FIELDS["locale"], "starts_with", f"{value}-", path)))

    def _bad(self, path: Path_, what: str, remedy: str) -> Condition:
        sentence = f"Rule '{self.rule_id}': {what}."
        self.tree.problems.append(Problem(self.tree.file, self.tree.line(path), sentence, remedy))
        return _NEVER


def meant(word: object, known: Iterable[str]) -> str:
    """The remedy for a word that is not known: the one that was probably meant, or all of them."""
    names = list(known)
    if near := difflib.get_close_matches(str(word)[:100], names, n=1) or {str(word).upper()} & {*names}:
        return f"write '{next(iter(near))}'?"
    return f"use one of {', '.join(names[:40])}{', ...' if len(names) > 40 else ''}."
