"""What a user sees, asked now: the profile, the request's own context, and the stream's own model and rules."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from usher.access import kafka_login
from usher.columns import NUMBERS, model_matrix, used
from usher.enrich import Enricher
from usher.features import PRODUCT_FEATURES, SLOTS
from usher.model import Predictor, Served
from usher.profile import as_of
from usher.rules import Bundle, DecidedOne, ServedRules
from usher.rules.steps import step_order
from usher.service.requests import BROWSER

PLACE = ("country", "continent", "region", "city")
DEVICE = ("device_type", "os", "browser", "is_bot")
STEP_ORDER = SLOTS[3]
MAX_TEXT = {"userAgent": 2048, "locale": 64}
MAX_OTHER = 256
"""Characters of a context's texts; a longer one counts as absent: it cannot be true, and a newcomer gets no error."""


@dataclass(frozen=True)
class Decision:
    """What one slot shows: `value` is the content id, or the steps in order; `text` is in the user's language."""

    slot: str
    decision_id: str
    variant: str | None
    value: Any
    reason: str
    rule: str | None
    text: str | None


@dataclass(frozen=True)
class Decisions:
    """All slots at one moment; `degraded`: the profile could not be read, the context alone decided."""

    slots: dict[str, Decision]
    features: list[str]
    engagement_score: float
    model_version: str
    rules_version: str
    degraded: bool


class Decider:
    """Decides one user at a time with the code that decides columns of them in the stream."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._enricher = Enricher(settings["geo_database"])
        self._models = Served(settings["model_dir"])
        self._rules = ServedRules(kafka_login(settings), settings["rules_dir"])
        self._consent_category = settings["consent_category"]
        self._silence_refuses = settings["consent_mode"] == "opt_in"

    @property
    def bundle(self) -> Bundle:
        """The rules in force."""
        return self._rules.bundle

    def close(self) -> None:
        """Stop following the published rules."""
        self._rules.close()

    def decide(
        self,
        user_id: str | None,
        profile: Mapping[str, Any] | None,
        context: Mapping[str, Any],
        now: float,
        degraded: bool = False,
    ) -> Decisions:
        """`context` as in OFREP (ip, userAgent, locale, or the fields of a profile), `now` in seconds."""
        agreed = self.agrees(context)
        refused = agreed is False or (agreed is None and self._silence_refuses and profile is None)
        known = {} if profile is None or refused else as_of(dict(profile), now)
        user = dict.fromkeys(NUMBERS, 0) | {"feature_counts": {}} | known | self.present(context, known)
        user["user_id"] = user_id
        model = self._models.champion
        preferences, engagement = self._predict(model, user)
        user |= {"preferences": preferences, "engagement_score": engagement}
        bundle = self.bundle
        decided = bundle.decide_one({} if refused else user, at=round(now * 1000))
        versions = (bundle.version, model.version)
        slots = {}
        for slot in dict.fromkeys((*SLOTS[:3], *decided)):
            one = decided.get(slot) or DecidedOne(None, None, "DEFAULT")
            text = one.content_id and bundle.text(one.content_id, user.get("locale"))
            name = decision_id(user_id, slot, one.content_id, one.rule_id, *versions)
            slots[slot] = Decision(slot, name, one.content_id, one.content_id, one.reason, one.rule_id, text)
        plain = refused or bundle.held_out(user_id)
        slots[STEP_ORDER] = self._steps(user, plain, versions)
        features = sorted(PRODUCT_FEATURES, key=lambda name: 0.0 if plain else -preferences[name])
        return Decisions(slots, features, engagement, versions[1], versions[0], degraded)

    def present(self, context: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
        """What the request says of this moment; it counts before what the profile remembers."""
        ip, user_agent = _text(context, "ip"), _text(context, "userAgent")
        found = {name: column[0] for name, column in self._enricher([ip], [user_agent]).items()}
        fields = {name: found[name] for name in PLACE} if found["country"] else {}
        if user_agent or not known:
            fields |= {name: found[name] for name in DEVICE}
        said = {name: _text(context, name) for name in (*PLACE, *DEVICE[:3], "locale")}
        fields |= {name: text for name, text in said.items() if text is not None}
        consent = _consent(context)
        return fields if consent is None else fields | {"consent": consent}

    def agrees(self, context: Mapping[str, Any]) -> bool | None:
        """Whether the request says that its user consents to being personalized (Segment's consent spec).

        None: it does not say. Then a profile says it, for who refuses has none.
        """
        agreed = (_consent(context) or {}).get(self._consent_category)
        return agreed if isinstance(agreed, bool) else None

    def _predict(self, model: Predictor, user: Mapping[str, Any]) -> tuple[dict[str, float], float]:
        """As `udfs/predict.py` does, for one row."""
        known = {name: user[name] for name in NUMBERS} | used(user["feature_counts"])
        columns: dict[str, Any] = {name: [value] for name, value in known.items()}
        columns |= {name: [user.get(name)] for name in ("device_type", "continent")}
        said = model.predict(model_matrix(columns))
        rounded = {name: round(float(p), 4) for name, p in zip(PRODUCT_FEATURES, said.preferences[0], strict=True)}
        return rounded, round(float(said.engagement[0]), 2)

    def _steps(self, user: Mapping[str, Any], plain: bool, versions: tuple[str, str]) -> Decision:
        """In the default order for who is held out or refuses to be personalized."""
        columns = {f"preferences.{name}": [p] for name, p in user["preferences"].items()}
        steps = step_order(columns, [plain])[0]
        reason = "DEFAULT" if plain else "TARGETING_MATCH"
        name = decision_id(user["user_id"], STEP_ORDER, ">".join(steps), None, *versions)
        return Decision(STEP_ORDER, name, ">".join(steps), {"steps": steps}, reason, None, None)


def decision_id(*decided: str | None) -> str:
    """The same decision by the same versions for the same user has the same id, whichever worker makes it.

    `Content Shown` and `Content Clicked` carry it back. Rules and model versions are in front, readable.
    """
    user_id, slot, content, rule, rules_version, model_version = decided
    said = "\x1f".join(part or "" for part in (user_id, slot, content, rule))
    return f"{rules_version}.{model_version}.{hashlib.blake2b(said.encode(), digest_size=8).hexdigest()}"


def asked_by_browser(user_agent: str) -> bool:
    """Whether the request comes from the user's own browser, so that its address and agent are the user's."""
    return user_agent.startswith(BROWSER)


def _text(context: Mapping[str, Any], name: str) -> str | None:
    value = context.get(name)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT.get(name, MAX_OTHER) else None


def _consent(context: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the request says of consent; as in an event, that replaces all that was said before."""
    consent = context.get("consent")
    preferences = consent.get("categoryPreferences") if isinstance(consent, dict) else None
    return preferences if isinstance(preferences, dict) else None
