"""Does personalization help?  Those who get it beside those who do not, by chance alone, with 95 % intervals.

A hash of the user id draws who gets what (usher/rules/bucket.py), so that the sides differ in nothing else: the holdout
of the bundle in force, and each rule that is rolled out in part. All users of a part count, whether or not the rule's
condition ever met them (intention to treat), and users are chosen by when they came, which nothing shown to them can
change; those seen last would be those who were made to come back.

Each figure is a sum over users divided by another, and its variance that of the delta method: A. Deng, U. Knoblich and
J. Lu, Applying the Delta Method in Metric Analytics, KDD 2018, equation 3.
"""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from usher.rules.bundle import Bundle
from usher.rules.model import Rule
from usher.rules.recent import parse_recent
from usher.service.elastic import Elastic
from usher.service.recently import COMPLETED, DAYS, hours_since
from usher.service.scan import PEOPLE, SCANNED, newest

LEAST = 30
"""Users on either side below which nothing is said: the interval would be too narrow."""
Z = 1.959964
"""Of a normal distribution, 95 % lie within so many standard deviations."""
HOLDOUT = "holdout"
_FIELDS = ("user_id", "first_seen", "recent", "sessions_total", "content_shown", "content_clicked", "features_used")


class Kpi(NamedTuple):
    """Sum of `part` over the users divided by the sum of `whole`; `sign` is -1 where less is better."""

    name: str
    unit: str
    part: Callable[["Newcomer"], float]
    whole: Callable[["Newcomer"], float]
    sign: int = 1


class Newcomer(NamedTuple):
    """What counts of a profile; `hours` from the first event to the end of onboarding, None if not there yet."""

    sessions: int
    shown: int
    clicked: int
    used: int
    hours: int | None

    @classmethod
    def of(cls, profile: Mapping[str, Any]) -> "Newcomer":
        """From the fields of a profile."""
        completed = (parse_recent(profile.get("recent")) or {}).get(COMPLETED)
        hours = None if not completed else hours_since(profile["first_seen"], min(hour for hour, _ in completed))
        return cls(
            profile["sessions_total"],
            profile["content_shown"],
            profile["content_clicked"],
            profile["features_used"],
            hours,
        )


KPIS = (
    Kpi("completed onboarding", "%", lambda user: user.hours is not None, lambda user: 1),
    Kpi("hours to complete it", "h", lambda user: user.hours or 0, lambda user: user.hours is not None, -1),
    Kpi("came back (2 sessions or more)", "%", lambda user: user.sessions >= 2, lambda user: 1),
    Kpi("clicks per content shown", "%", lambda user: user.clicked, lambda user: user.shown),
    Kpi("features used per user", "", lambda user: user.used, lambda user: 1),
)


class Experiment(NamedTuple):
    """`gets`: whether that user is personalized by it; None for who takes no part."""

    name: str
    what: str
    gets: Callable[[str], bool | None]


@dataclass(frozen=True)
class Difference:
    """One figure of both sides and how far the treated are above the others; None where too few users say anything."""

    kpi: str
    unit: str
    treated: float | None
    control: float | None
    difference: float | None
    low: float | None
    high: float | None
    verdict: str
    """`better`, `worse`, `no difference shown` or `too few users`."""


@dataclass
class Sides:
    """What the users of an experiment did: for each user a row, for each of `KPIS` part and whole."""

    experiment: Experiment
    rows: dict[bool, list[list[tuple[float, float]]]] = field(default_factory=lambda: {True: [], False: []})

    def add(self, user_id: str, did: list[tuple[float, float]]) -> None:
        """One user's, if they take part."""
        gets = self.experiment.gets(user_id)
        if gets is not None:
            self.rows[gets].append(did)

    def summary(self) -> dict[str, Any]:
        """Users of both sides, and their differences."""
        sides = {gets: np.array(rows, float).reshape(-1, len(KPIS), 2) for gets, rows in self.rows.items()}
        return {
            "name": self.experiment.name,
            "what": self.experiment.what,
            "treated": len(sides[True]),
            "control": len(sides[False]),
            "kpis": [asdict(_difference(kpi, sides[True][:, n], sides[False][:, n])) for n, kpi in enumerate(KPIS)],
        }


def experiments(bundle: Bundle) -> list[Experiment]:
    """The holdout, if the bundle has one, and each rule that is rolled out in part or to a part of a group."""
    found = []
    if bundle.holdout is not None:
        what = f"all rules, withheld from {bundle.holdout.percent:g} % of the users"
        found.append(Experiment(HOLDOUT, what, lambda user_id: not bundle.held_out(user_id)))
    for rule in bundle.rules.values():
        if rule.rollout < 100 or rule.group is not None:
            what = f"{rule.content} in {rule.slot}, rolled out to {rule.rollout:g} %"
            if rule.group is not None:
                what += f" of part {rule.group.low:g} to {rule.group.high:g} of {rule.group.name}"
            found.append(Experiment(rule.id, what, partial(_admits, bundle, rule)))
    return found


def _admits(bundle: Bundle, rule: Rule, user_id: str) -> bool | None:
    return None if rule.personal and bundle.held_out(user_id) else rule.admits(user_id)


async def lift(elastic: Elastic, bundle: Bundle, now_ms: int, query: Mapping[str, Any] = PEOPLE) -> dict[str, Any]:
    """Over the users who came in the last `DAYS` days, the latest `SCANNED` of them."""
    sides = [Sides(experiment) for experiment in experiments(bundle)]
    since = (datetime.fromtimestamp(now_ms / 1000, UTC) - timedelta(days=DAYS)).isoformat()
    users = 0
    if sides:
        asked = {"bool": {"must": [query], "filter": {"range": {"first_seen": {"gte": since}}}}}
        async for profile in newest(elastic, asked, "first_seen", _FIELDS):
            users += 1
            newcomer = Newcomer.of(profile)
            did = [(float(kpi.part(newcomer)), float(kpi.whole(newcomer))) for kpi in KPIS]
            for side in sides:
                side.add(profile["user_id"], did)
    return {
        "rules_version": bundle.version,
        "days": DAYS,
        "users": users,
        "all": users < SCANNED,
        "experiments": [side.summary() for side in sides],
    }


def read(login: Mapping[str, Any], bundle: Bundle) -> dict[str, Any]:
    """`lift` of now, for whoever runs no event loop; `login` is that of `usher.access.elasticsearch_login`."""

    async def ask() -> dict[str, Any]:
        elastic = Elastic(**login)
        try:
            return await lift(elastic, bundle, time.time_ns() // 1_000_000)
        finally:
            elastic.close()

    return asyncio.run(ask())


def text(found: Mapping[str, Any]) -> str:
    """What `lift` found, as lines to read."""
    if not found["experiments"]:
        return "Nobody is held out, and no rule is rolled out in part; `holdout: {percent: 5}` in a rules file does it."
    lines = [f"{found['users']:,} users who came in the last {found['days']} days, by rules {found['rules_version']}."]
    for one in found["experiments"]:
        lines += ["", f"{one['name']}: {one['what']}", f"{'':32}{one['treated']:>10,}{one['control']:>10,}  difference"]
        lines += [_line(kpi) for kpi in one["kpis"]]
    return "\n".join(lines)


def _line(kpi: Mapping[str, Any]) -> str:
    percent = kpi["unit"] == "%"
    factor, digits = (100, 1) if percent else (1, 2)
    shown = [
        "–" if kpi[side] is None else f"{kpi[side] * factor:.{digits}f}{' %' if percent else ''}"
        for side in ("treated", "control")
    ]
    line = f"  {kpi['kpi']:30}{shown[0]:>10}{shown[1]:>10}  "
    if kpi["difference"] is not None:
        difference, low, high = (f"{kpi[name] * factor:+.{digits}f}" for name in ("difference", "low", "high"))
        line += f"{difference} [{low}, {high}]  "
    return line + kpi["verdict"]


def _difference(kpi: Kpi, treated: NDArray[np.float64], control: NDArray[np.float64]) -> Difference:
    (one, variance), (other, other_variance) = _ratio(treated), _ratio(control)
    if variance is None or other_variance is None or one is None or other is None:
        return Difference(kpi.name, kpi.unit, one, other, None, None, None, "too few users")
    difference, half = one - other, Z * math.sqrt(variance + other_variance)
    low, high = difference - half, difference + half
    verdict = "no difference shown"
    if low > 0 or high < 0:
        verdict = "better" if difference * kpi.sign > 0 else "worse"
    return Difference(kpi.name, kpi.unit, one, other, difference, low, high, verdict)


def _ratio(side: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Σ part / Σ whole of [n, 2], and its variance; None without anything to divide by, or with too few who count."""
    part, whole = side.T
    if whole.sum() == 0:
        return None, None
    ratio = float(part.sum() / whole.sum())
    if np.count_nonzero(whole) < LEAST:
        return ratio, None
    rest = part - ratio * whole  # sums to 0
    return ratio, float(len(side) / (len(side) - 1) * (rest @ rest) / whole.sum() ** 2)
