"""The plain reference interpreter and the strategies that test the evaluator against it."""

import json
from typing import Any as Anything

from hypothesis import strategies as st

from usher.features import CONTINENTS, DEVICE_TYPES
from usher.rules.bucket import bucket, fnv1a32
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.model import Cap, Group, Holdout, Rule

TEXTS = ["", "de", "de-AT", "DE_at", "en", "Köln", "\\u{41}", "A", "x" * 3]
FIELDS_TESTED: dict[str, list[Anything]] = {
    "continent": ["EU", "AS", "NA"],
    "device_type": ["mobile", "desktop", "tablet", "other"],
    "locale": TEXTS,
    "city": TEXTS,
    "is_bot": [True, False],
    "sessions_total": [0, 1, 2, 3],
    "feature_counts.analytics": [0, 1, 2],
    "preferences.analytics": [0.0, 0.25, 0.5, 0.6, 1.0],
    "consent.ads": [True, False],
    "recent.Content Shown|a|24h": [0, 1, 2],
    "recent.Feature Used||48h": [0, 1, 2, 3],
}
LATELY = ("Content Shown|a", "Content Shown|b", "Feature Used|analytics", "Feature Used|reports", "Signed Up|")
HOUR = 3_600_000
MOMENTS = [0, 10, 15, 20, 30 * HOUR, 49 * HOUR]


CLOSED = {"continent": CONTINENTS, "device_type": DEVICE_TYPES}
UNHEARD_OF = {"continent": ["Europe", ""], "device_type": ["tv", "Mobile"]}
"""Values that the API may be given."""


def alike(locale: Anything) -> Anything:
    """Locales are the same whatever their case, with `_` and with `-`."""
    if isinstance(locale, tuple):
        return tuple(map(alike, locale))
    return locale.lower().replace("_", "-") if isinstance(locale, str) else locale


def value(user: dict[str, Anything], field: str, at_ms: int) -> Anything:
    """What is known of a field; None if nothing is, which is what a value outside a closed set says."""
    if field in CLOSED:
        return user.get(field) if user.get(field) in CLOSED[field] else None
    if field == "locale":
        return alike(user.get(field))
    if field.startswith("consent."):
        consent = user.get("consent")
        consent = json.loads(consent) if isinstance(consent, str) and consent else consent
        return consent.get(field[8:]) if consent else None
    if not field.startswith("recent."):
        prefix, _, name = field.partition(".")
        return (user.get(prefix) or {}).get(name) if name and field not in user else user.get(field)
    recent = user.get("recent")
    recent = json.loads(recent) if isinstance(recent, str) and recent else recent
    if recent is None or recent == "":
        return None
    event, detail, hours = field[7:].split("|")
    found = 0
    for key, pairs in recent.items():
        if key == f"{event}|{detail}" or (not detail and key.startswith(f"{event}|")):
            found += sum(n for hour, n in pairs if at_ms // HOUR - int(hours[:-1]) <= hour <= at_ms // HOUR)
    return found


def holds(condition: Condition, user: dict[str, Anything], at_ms: int = 0) -> bool:
    """The meaning of a condition, word by word."""
    if isinstance(condition, Not):
        return not holds(condition.item, user, at_ms)
    if isinstance(condition, All):
        return all(holds(item, user, at_ms) for item in condition.items)
    if isinstance(condition, Any):
        return any(holds(item, user, at_ms) for item in condition.items)
    actual, wanted = value(user, condition.field, at_ms), condition.value
    wanted = alike(wanted) if condition.field == "locale" else wanted
    if condition.op == "present":
        return (actual is not None) == wanted
    if actual is None:
        return False
    return {
        "eq": lambda: actual == wanted,
        "ne": lambda: actual != wanted,
        "lt": lambda: actual < wanted,
        "le": lambda: actual <= wanted,
        "gt": lambda: actual > wanted,
        "ge": lambda: actual >= wanted,
        "in": lambda: actual in wanted,
        "between": lambda: wanted[0] <= actual <= wanted[1],
        "starts_with": lambda: actual.startswith(wanted),
        "ends_with": lambda: actual.endswith(wanted),
        "contains": lambda: wanted in actual,
    }[condition.op]()


def decide(rules: list[Rule], user: dict[str, Anything], at_ms: int, holdout: Holdout | None = None) -> str | None:
    """The id of the rule that decides, tried one by one."""
    matching = []
    name = user.get("user_id")
    for rule in rules:
        on = (rule.start_ms is None or rule.start_ms <= at_ms) and (rule.end_ms is None or at_ms < rule.end_ms)
        rolled = rule.rollout == 100 or (name is not None and bucket(rule.id, name) < rule.rollout / 100)
        if rule.group is not None:  # GrowthBook's namespaces
            place = None if name is None else fnv1a32(name + "__" + rule.group.name) % 1000 / 1000
            rolled = rolled and place is not None and rule.group.low / 100 <= place < rule.group.high / 100
        if holdout is not None and rule.when != All(()):
            rolled = rolled and not (name is not None and bucket(holdout.seed, name) < holdout.percent / 100)
        if rule.cap is not None:
            shown = value(user, f"recent.Content Shown|{rule.content}|{rule.cap.hours}h", at_ms)
            rolled = rolled and (shown is None or shown < rule.cap.times)
        if on and rolled and holds(rule.when, user, at_ms):
            matching.append(rule)
    return min(matching, key=lambda rule: rule.order).id if matching else None


@st.composite
def leaf(draw: st.DrawFn) -> Leaf:
    name = draw(st.sampled_from(sorted(FIELDS_TESTED)))
    values = FIELDS_TESTED[name]
    ops = ["eq", "ne", "in", "present"]
    if name in ("locale", "city", "continent", "device_type"):
        ops += ["starts_with", "ends_with", "contains"]
        values = [value for value in values if value]
    elif name not in ("is_bot", "consent.ads"):
        ops += ["lt", "le", "gt", "ge", "between"]
    op: Anything = draw(st.sampled_from(ops))
    if op == "present":
        return Leaf(name, op, draw(st.booleans()))
    if op == "in":
        return Leaf(name, op, tuple(draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))))
    if op == "between":
        return Leaf(name, op, tuple(sorted(draw(st.lists(st.sampled_from(values), min_size=2, max_size=2)))))
    if op in ("starts_with", "ends_with", "contains"):
        text = draw(st.sampled_from(values))
        return Leaf(name, op, text[: draw(st.integers(1, len(text)))])
    return Leaf(name, op, draw(st.sampled_from(values)))


conditions: st.SearchStrategy[Anything] = st.recursive(
    leaf(),
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Any, st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)
pairs = st.lists(st.tuples(st.integers(-30, 50), st.integers(1, 3)).map(list), max_size=3)
lately = st.dictionaries(st.sampled_from(LATELY), pairs, max_size=4)
consents = st.dictionaries(st.sampled_from(["ads", "x"]), st.booleans())
users: st.SearchStrategy[dict[str, Anything]] = st.fixed_dictionaries(
    {
        name: st.one_of(st.none(), st.sampled_from([*values, *UNHEARD_OF.get(name, [])]))
        for name, values in FIELDS_TESTED.items()
        if not name.startswith(("consent", "recent"))
    }
    | {
        "user_id": st.one_of(st.none(), st.text(max_size=4)),
        "recent": st.one_of(st.none(), st.just(""), lately, lately.map(json.dumps)),
        "consent": st.one_of(st.none(), st.just(""), consents, consents.map(json.dumps)),
    }
)
holdouts = st.sampled_from([None, None, Holdout(0.0), Holdout(50.0), Holdout(100.0, "other")])


@st.composite
def rule_sets(draw: st.DrawFn, most: int = 6) -> list[Rule]:
    rules = []
    for number in range(draw(st.integers(1, most))):
        start = draw(st.sampled_from([None, None, 10]))
        end = draw(st.sampled_from([None, None, 20]))
        rules.append(
            Rule(
                f"r{number}",
                "next_step",
                draw(st.integers(0, 2)),
                draw(st.one_of(st.just(All(())), conditions, conditions, conditions)),
                draw(st.sampled_from(["a", "b"])),
                start,
                end,
                draw(st.sampled_from([100.0, 100.0, 50.0, 0.0])),
                draw(st.sampled_from([None, None, Cap(2, 24), Cap(1, 48)])),
                draw(st.sampled_from([None, None, Group("g", 0, 50), Group("g", 50, 100)])),
            )
        )
    return rules
