"""What a person has done, whatever ids it was logged under.

Until a visitor signs up, their decisions are logged under an anonymous id. From then on rows of the user id hold what
was done under both, and name the other in `anonymous_ids`. So the rows of one person are summed by what each adds.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Doings:
    """Of n rows of the log in order of time."""

    persons: NDArray[np.object_]
    """[n], the id that the row's id has led to by the end of the log."""
    done: Numbers
    """[n, columns], what the person had done by then, under all ids, since the log began."""
    breaks: NDArray[np.int64]
    """[n], how often it had become unknown what the person did: differences across a break mean nothing."""
    told: NDArray[np.bool_]
    """[n], not so for an id that was taken in by another and later began anew, as after an erasure: whose is it?"""


def doings(rows: pd.DataFrame, columns: tuple[str, ...]) -> Doings:
    """The sums of lifetime counters `columns` by person; rows sorted by time, with or without `anonymous_ids`.

    A counter that falls is a break: state was dropped or rebuilt, or an id was found to be somebody else's.
    """
    counts = rows[[*columns]].to_numpy(np.float64)
    earlier = rows.groupby("user_id")[[*columns]].shift().to_numpy(np.float64)
    first = ~rows["user_id"].duplicated().to_numpy()
    # All of a new id is news; one that is older than the log did the rest before.
    new = (rows["events_total"] <= rows["events_30m"]).to_numpy()
    earlier[first] = np.where(new[first, None], 0, counts[first])
    added, broken = counts - earlier, ((counts < earlier) & np.isfinite(earlier)).any(axis=1)
    persons, told = rows["user_id"].to_numpy(object), np.ones(len(rows), bool)
    if "anonymous_ids" in rows:
        merged = _Merges(counts, broken)
        for position, (user, others) in enumerate(zip(persons, rows["anonymous_ids"], strict=True)):
            merged.read(position, user, others)
        added[[*merged.known]] -= np.array([*merged.known.values()]).reshape(-1, len(columns))
        added[merged.stale] = 0
        broken[merged.moved] = True
        told = ~rows["user_id"].isin(merged.returned).to_numpy()
        persons = np.array([merged.owner(user) for user in persons], object)
    sums = pd.DataFrame(np.column_stack([np.maximum(added, 0), broken])).groupby(persons).cumsum().to_numpy()
    return Doings(persons, sums[:, :-1], sums[:, -1].astype(np.int64), told)


@dataclass
class _Merges:
    """Reads who names whom, in order of time."""

    counts: Numbers
    broken: NDArray[np.bool_]
    known: dict[int, Numbers] = field(default_factory=dict)
    """By position of a row that takes ids in: what of its counters earlier rows of these ids already held."""
    stale: list[int] = field(default_factory=list)
    """Positions of rows of an id that had been taken in, and is counted there."""
    moved: list[int] = field(default_factory=list)
    """Positions of rows that take in an id which was another's before: what it did there is not told apart."""
    returned: set[str] = field(default_factory=set)
    """Ids that were taken in and began anew."""
    _owner: dict[str, str] = field(default_factory=dict)
    _holds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _newest: dict[str, int] = field(default_factory=dict)

    def read(self, position: int, user: str, others: tuple[str, ...]) -> None:
        """The next row: `user` speaks for themselves and for `others`."""
        before = () if self.broken[position] else self._holds.get(user, ())
        if others != before:
            self._take_in(position, user, set(others) - set(before))
            self._holds[user] = others
        if user in self._owner:
            self.stale.append(position)
            if self.broken[position]:
                self.returned.add(user)
        else:
            self._newest[user] = position

    def _take_in(self, position: int, user: str, new: set[str]) -> None:
        within = {inner for other in new for inner in self._holds.get(other, ())}  # of a chain, the last link counts
        for other in sorted(new - within):
            if other in self._owner:
                self.moved.append(position)
            elif other in self._newest:
                self.known[position] = self.known.get(position, 0) + self.counts[self._newest[other]]
        self._owner.pop(user, None)  # so that no circle can come about
        self._owner |= dict.fromkeys(new, user)

    def owner(self, user: str) -> str:
        """Whose an id has become by the end."""
        while user in self._owner:
            user = self._owner[user]
        return user
