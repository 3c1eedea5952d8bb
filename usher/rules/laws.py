"""What always holds of the counters of a profile, written once for z3's variables and for plain numbers.

The counters count parts of what a user did, so no part is more than its whole: what happened in the last 30 minutes,
events of one kind, uses of one feature. What is known of the last hours may be cut short (`usher.events.Recent` keeps
200 actions and 1,000 hours): it is never more than was ever counted, and nothing follows from its being less. The uses
of a feature are counted by name for the first 200 names of a user; of users with more, these laws may not hold.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any as Anything

from usher.features import LIFETIME_COUNTERS, PRODUCT_FEATURES, ROLLING_COUNTERS
from usher.rules.fields import EVENT_COUNTERS, recent_of

_KINDS = LIFETIME_COUNTERS[1:]
_FEATURES = tuple(f"feature_counts.{name}" for name in PRODUCT_FEATURES)
COUNTERS = frozenset((*LIFETIME_COUNTERS, *ROLLING_COUNTERS, *_FEATURES))
"""The fields that the laws are about, besides counts of the last hours."""
Number = Anything
"""A number, or a term of z3."""
Lately = Mapping[str, Mapping[str, Number]]
"""By event and detail, how often in all of the time that is asked about; "" stands for every other detail."""


def related(asked: Iterable[str]) -> bool:
    """Whether a law may say something about these fields: at least two counters, or one and the last hours."""
    names = set(asked)
    lately = {name for name in names if (found := recent_of(name)) is not None and found.event in EVENT_COUNTERS}
    counted = names & COUNTERS
    return len(counted) > 1 or bool(counted and lately)


def laws(of: Callable[[str], Number], lately: Lately) -> list[tuple[Number, Number]]:
    """Pairs of which the first is never more than the second; `of` gives every counter, asked about or not."""
    rolling, lifetime = sum(of(f"{kind}_30m") for kind in _KINDS), sum(map(of, _KINDS))
    found = [(of(f"{kind}_30m"), of(kind)) for kind in _KINDS]
    found.append((rolling, of("events_30m")))
    found.append((of("events_30m") - rolling, of("events_total") - lifetime))  # events of other kinds
    found.append((sum(map(of, _FEATURES)), of("features_used")))
    for event, details in lately.items():
        if event in EVENT_COUNTERS:
            found += _lately_and_ever(event, details, of)
    return found


def _lately_and_ever(event: str, details: Mapping[str, Number], of: Callable[[str], Number]) -> list[Anything]:
    """What was done lately, by detail and by all others together, was done as often in a lifetime."""
    found, others = [], of(EVENT_COUNTERS[event])
    for detail, count in details.items():
        if detail:
            named = f"feature_counts.{detail}"
            ever = of(named) if event == "Feature Used" and named in COUNTERS else count
            found.append((count, ever))
            others = others - ever
    return [*found, (details.get("", 0), others)]


def possible(known: Mapping[str, int]) -> bool:
    """Whether the laws allow the counts of these fields; what is not known of the others is taken to be little.

    A count of the last hours without a detail is of others than those with one. False may be wrong, True is not.
    """
    lately: dict[str, dict[str, int]] = defaultdict(dict)
    for name, count in known.items():
        if (asked := recent_of(name)) is not None:
            lately[asked.event][asked.detail] = max(count, lately[asked.event].get(asked.detail, 0))
    full = {name: count for name, count in known.items() if name in COUNTERS}
    named = any(name in full for name in _FEATURES)  # a profile that names some has used the others 0 times
    for name, feature in zip(_FEATURES, PRODUCT_FEATURES, strict=True):
        full.setdefault(name, 0 if named else lately["Feature Used"].get(feature, 0))
    done = {
        EVENT_COUNTERS[event]: sum(details.values()) for event, details in lately.items() if event in EVENT_COUNTERS
    }
    done["features_used"] = sum(full[name] for name in _FEATURES) + lately["Feature Used"].get("", 0)
    for kind in _KINDS:
        full.setdefault(f"{kind}_30m", 0)
        full.setdefault(kind, max(full[f"{kind}_30m"], done.get(kind, 0)))
    rolling = sum(full[f"{kind}_30m"] for kind in _KINDS)
    full.setdefault("events_30m", rolling)
    full.setdefault("events_total", full["events_30m"] - rolling + sum(full[kind] for kind in _KINDS))
    return all(small <= great for small, great in laws(full.__getitem__, lately))
