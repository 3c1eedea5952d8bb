"""What a user did lately: ``{"Feature Used|analytics": [[497123, 2]]}`` is two uses in hour 497,123 of the UTC epoch.

"In the last d hours" reaches back to the start of the hour d hours ago, so it may see up to an hour more, never less:
a cap is then a promise.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any as Anything

from usher.rules.fields import Recent, hours_of

HOUR_MS = 3_600_000


def parse_recent(value: Anything) -> Mapping[str, Anything] | None:
    """The column's JSON text or a mapping as a mapping; None, which is unknown, for anything else."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except ValueError:
            return None
    return value if isinstance(value, Mapping) else None


def count_recent(recent: Mapping[str, Anything], asked: Recent, at_ms: int) -> int:
    """How often, up to that moment; an example may also write ``{"2d": 1}`` (age: n), or just ``1`` for this hour.

    What has another form counts as nothing: one odd profile must not stop a whole batch.
    """
    if asked.detail:
        entries = [recent.get(f"{asked.event}|{asked.detail}")]
    else:
        entries = [found for key, found in recent.items() if key.partition("|")[0] == asked.event]
    last = at_ms // HOUR_MS
    return sum(_sum(entry, last - asked.hours, last) for entry in entries if entry)


def _sum(entry: Anything, first: int, last: int) -> int:
    try:
        return sum(n for hour, n in entry if first <= hour <= last)
    except (TypeError, ValueError):  # not a list of pairs of numbers
        return sum(n for hour, n in _pairs(entry, last) if first <= hour <= last)


def _pairs(entry: Anything, last: int) -> Iterator[tuple[int, int]]:
    """What of the entry can be read as hour and count."""
    if isinstance(entry, Mapping):
        ages = [(hours_of(age), n) for age, n in entry.items()]
        entry = [(last - age, n) for age, n in ages if age is not None]
    elif isinstance(entry, int):
        entry = [(last, entry)]
    for pair in entry if isinstance(entry, list | tuple) else ():
        if isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(number, int) for number in pair):
            yield pair[0], pair[1]
