"""What newcomers do: sessions of messages, and all newcomers merged in order of time."""

import heapq
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from usher.features import ONBOARDING_STEPS, PRODUCT_FEATURES

from ._people import Newcomer, new_id, newcomer

Message = dict[str, Any]

_CONSENT = {"analytics": True, "personalization": True}
_SITE = "https://app.example.com"


class Product(NamedTuple):
    """How present each feature is in the product, 1 unless named, before and after a change of it.

    >>> Product(1_767_225_600_000, before={"collaboration": 0.03}, after={"reports": 0.03})   # one comes, one goes
    """

    changed_ms: int
    before: Mapping[str, float]
    after: Mapping[str, float]

    def presence(self, now: int) -> list[float]:
        """Over PRODUCT_FEATURES."""
        present = self.before if now < self.changed_ms else self.after
        return [present.get(name, 1.0) for name in PRODUCT_FEATURES]


def simulate(
    users: int,
    seed: int,
    start: datetime,
    duration: timedelta,
    *,
    arrivals: float = 0.8,
) -> Iterator[Message]:
    """Segment-spec messages of `users` newcomers, in order of `timestamp`.

    >>> messages = simulate(100, seed=7, start=datetime(2026, 1, 1, tzinfo=UTC), duration=timedelta(hours=2))

    Newcomers arrive throughout the first `arrivals` share of `duration`; what would come after its end is cut off.
    The same arguments give the same messages.
    """
    if not 0 < arrivals <= 1:
        raise ValueError(f"arrivals is {arrivals}, but must be a share of the duration above 0 and up to 1.")
    begin, end = _millis(start), _millis(start + duration)
    rng = Random(f"{seed}:arrivals")
    order = sorted((begin + int(rng.random() * arrivals * (end - begin)), number) for number in range(users))
    waiting: list[tuple[int, int, int, Message]] = []
    for arrival, number in order:
        while waiting and waiting[0][0] < arrival:
            yield heapq.heappop(waiting)[3]
        _, life = life_of(number, seed, arrival, end)
        for position, (time, message) in enumerate(life):
            heapq.heappush(waiting, (time, number, position, message))
    while waiting:
        yield heapq.heappop(waiting)[3]


def life_of(
    number: int, seed: int, arrival: int, end: int, product: Product | None = None
) -> tuple[Newcomer, list[tuple[int, Message]]]:
    """One newcomer and their messages with times in ms, from arrival until before `end`."""
    rng = Random(f"{seed}:{number}")
    person = newcomer(number, seed, rng)
    life = _Life(person, rng, arrival, product)
    while life.now < end and life.session():
        life.pause()
    return person, [(time, message) for time, message in life.messages if time < end]


class _Life:
    """A newcomer going about: `now` moves on with each message."""

    def __init__(self, person: Newcomer, rng: Random, now: int, product: Product | None) -> None:
        self.person, self.rng, self.now, self.product = person, rng, now, product
        self.messages: list[tuple[int, Message]] = []
        self.steps = list(ONBOARDING_STEPS)
        self.signed_up = False
        self.path = "/"
        self._batch = 0  # first message of the SDK batch that is not sent yet

    def session(self) -> bool:
        """A burst of 5 to 30 messages (a step may add two over plan); False when the newcomer will not be back."""
        first = len(self.messages)
        planned = min(28, max(5, round(self.rng.gauss(14 * math.sqrt(self.person.energy), 5))))
        self._page("/" if not self.signed_up else "/home")
        if not self.signed_up:
            self._page("/pricing")
            if self.rng.random() < 0.45 - 0.45 * self.person.patience:
                self._page("/about")
                self._page("/blog")
                self._page("/")
                return self._flush(stay=False)
            self._sign_up()
        while len(self.messages) - first < planned - 1:
            self._act()
        if len(self.messages) - first < planned:
            self._page("/home")
        return self._flush(stay=self.rng.random() < 0.95)

    def pause(self) -> None:
        """Away for well over the session gap: from 40 minutes to days, sooner back with more energy."""
        self.now += 2_400_000 + int(self.rng.expovariate(self.person.energy / 18_000_000))

    def _act(self) -> None:
        if self.steps and self.rng.random() < 0.35:
            self._step()
        elif self.rng.random() < 0.22:
            self._content()
        elif self.rng.random() < 0.25:
            self._page(f"/{self._feature()}")
        else:
            self._track("Feature Used", {"feature": self._feature()})

    def _sign_up(self) -> None:
        self.signed_up = True
        traits = {"country": self.person.country, "plan": self.rng.choice(("free", "trial"))}
        self._emit("identify", traits=traits)
        self._track("Signed Up", {"method": self.rng.choice(("email", "google", "sso"))})

    def _step(self) -> None:
        step = self.steps.pop(0)
        self._track("Onboarding Step Viewed", {"step": step})
        done = self.rng.random() < 0.25 + 0.7 * self.person.patience
        self._track(f"Onboarding Step {'Completed' if done else 'Skipped'}", {"step": step})
        if not self.steps:
            self._track("Onboarding Completed", {})

    def _content(self) -> None:
        slot = self.rng.choice(("welcome_message", "next_step", "feature_highlight"))
        feature = self.rng.choice(PRODUCT_FEATURES)
        content = {"welcome_message": "welcome_default", "next_step": f"step_{(self.steps or ['done'])[0]}"}
        shown = {"content_id": content.get(slot, f"highlight_{feature}"), "slot": slot}
        self._track("Content Shown", shown)
        likes = self.person.preference[PRODUCT_FEATURES.index(feature)] if slot == "feature_highlight" else 0.15
        if self.rng.random() < 0.05 + 0.9 * likes:
            self._track("Content Clicked", dict(shown))

    def _feature(self) -> str:
        likes = self.person.preference
        if self.product is not None:
            likes = tuple(p * there for p, there in zip(likes, self.product.presence(self.now), strict=True))
        return self.rng.choices(PRODUCT_FEATURES, likes)[0]

    def _page(self, path: str) -> None:
        self.path = path
        self._emit("page", properties={"path": path, "url": _SITE + path})

    def _track(self, event: str, properties: dict[str, Any]) -> None:
        self._emit("track", event=event, properties=properties)

    def _emit(self, kind: str, event: str | None = None, **fields: dict[str, Any]) -> None:
        self.now += 400 + int(self.rng.expovariate(1 / 9_000))
        message = {
            "messageId": new_id(self.rng),
            "type": kind,
            "event": event,
            "userId": self.person.user_id if self.signed_up else None,
            "anonymousId": self.person.anonymous_id,
            "timestamp": _iso(self.now),
            "receivedAt": None,  # set when the batch is sent
            "properties": fields.get("properties", {} if kind == "track" else None),
            "traits": fields.get("traits"),
            "context": {
                "ip": self.person.ip,
                "userAgent": self.person.user_agent,
                "locale": self.person.locale,
                "page": {"path": self.path, "url": _SITE + self.path},
                "consent": {"categoryPreferences": dict(_CONSENT)},
            },
        }
        self.messages.append((self.now, {name: value for name, value in message.items() if _kept(name, value)}))
        if len(self.messages) - self._batch >= 20:
            self._send()

    def _flush(self, stay: bool) -> bool:
        self._send()
        return stay

    def _send(self) -> None:
        received = _iso(self.now + self.rng.randint(40, 400))
        for _, message in self.messages[self._batch :]:
            message["receivedAt"] = received
        self._batch = len(self.messages)


def _kept(name: str, value: object) -> bool:
    return value is not None or name == "receivedAt"


def _millis(time: datetime) -> int:
    if time.tzinfo is None:
        raise ValueError(f"start {time} has no time zone: give one, such as datetime(..., tzinfo=UTC).")
    return round(time.timestamp() * 1000)


def _iso(millis: int) -> str:
    time = datetime.fromtimestamp(millis // 1000, UTC)
    return f"{time:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"
