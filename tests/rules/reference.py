"""The plain reference interpreter and the strategies that test the evaluator against it."""

from typing import Any as Anything

from hypothesis import strategies as st

from usher.rules.bucket import bucket
from usher.rules.conditions import All, Any, Condition, Leaf, Not
from usher.rules.model import Rule

TEXTS = ["", "de", "de-AT", "en", "Köln", "\\u{41}", "A", "x" * 3]
FIELDS_TESTED: dict[str, list[Anything]] = {
    "continent": ["EU", "AS", "NA"],
    "device_type": ["mobile", "desktop"],
    "locale": TEXTS,
    "city": TEXTS,
    "is_bot": [True, False],
    "sessions_total": [0, 1, 2, 3],
    "feature_counts.analytics": [0, 1, 2],
    "preferences.analytics": [0.0, 0.25, 0.5, 0.6, 1.0],
}


def holds(condition: Condition, user: dict[str, Anything]) -> bool:
    """The meaning of a condition, word by word."""
    if isinstance(condition, Not):
        return not holds(condition.item, user)
    if isinstance(condition, All):
        return all(holds(item, user) for item in condition.items)
    if isinstance(condition, Any):
        return any(holds(item, user) for item in condition.items)
    actual, wanted = user.get(condition.field), condition.value
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


def decide(rules: list[Rule], user: dict[str, Anything], at_ms: int) -> str | None:
    """The id of the rule that decides, tried one by one."""
    matching = []
    for rule in rules:
        on = (rule.start_ms is None or rule.start_ms <= at_ms) and (rule.end_ms is None or at_ms < rule.end_ms)
        name = user.get("user_id")
        rolled = rule.rollout == 100 or (name is not None and bucket(rule.id, name) < rule.rollout / 100)
        if on and rolled and holds(rule.when, user):
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
    elif name != "is_bot":
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
users: st.SearchStrategy[dict[str, Anything]] = st.fixed_dictionaries(
    {name: st.one_of(st.none(), st.sampled_from(values)) for name, values in FIELDS_TESTED.items()}
    | {"user_id": st.one_of(st.none(), st.text(max_size=4))}
)


@st.composite
def rule_sets(draw: st.DrawFn, most: int = 6) -> list[Rule]:
    rules = []
    for number in range(draw(st.integers(1, most))):
        start = draw(st.sampled_from([None, None, 10]))
        end = draw(st.sampled_from([None, None, 20]))
        rollout = draw(st.sampled_from([100.0, 100.0, 50.0, 0.0]))
        content, priority = draw(st.sampled_from(["a", "b"])), draw(st.integers(0, 2))
        when = draw(conditions)
        rules.append(Rule(f"r{number}", "next_step", priority, when, content, start, end, rollout))
    return rules
