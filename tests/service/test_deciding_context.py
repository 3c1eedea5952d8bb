"""What the request says, and who is held out, as the service and the stream decide it: on the decider itself."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from running import profile

from udfs.decide import DECIDE_COLUMNS, Decide
from udfs.personalize import column
from udfs.predict import Predict
from usher.columns import PREDICT_COLUMNS, used
from usher.features import ONBOARDING_STEPS, PRODUCT_FEATURES
from usher.rules.bucket import in_rollout
from usher.service.deciding import Decider
from usher.settings import load

RULES = """
slots: [welcome_message]
holdout: {percent: 50}
rules:
  - {id: agreed, slot: welcome_message, priority: 1, when: {consent.advertising: true}, content: thanks}
  - {id: rest, slot: welcome_message, content: hello}
"""
CONTENT = """
content:
  thanks: {text: {en: Thank you}, fallback: en}
  hello: {text: {en: Hello}, fallback: en}
"""
NAMES = [f"u{number}" for number in range(60)]
HELD = {name for name in NAMES if in_rollout("holdout", name, 50)}
FREE = next(name for name in NAMES if name not in HELD)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Half of the users are held out; nothing was published, so the directory is in force."""
    for part, text in (("rules", RULES), ("content", CONTENT)):
        (tmp_path / part).mkdir()
        (tmp_path / part / "all.yaml").write_text(text)
    return load({}) | {"rules_dir": str(tmp_path), "kafka": "127.0.0.1:1"}


@pytest.fixture
def decider(settings: dict[str, Any]) -> Iterator[Decider]:
    decider = Decider(settings)
    yield decider
    decider.close()


def person(name: str, **fields: Any) -> dict[str, Any]:
    """Someone whose steps the model orders otherwise than the default has them."""
    counts = {"reports": 9, "collaboration": 4}
    return profile(name, events_total=40, sessions_total=5, device_type="desktop", feature_counts=counts, **fields)


def consent(**categories: bool) -> dict[str, Any]:
    return {"consent": {"categoryPreferences": categories}}


@pytest.mark.parametrize(
    ("known", "context", "shown"),
    [
        (None, consent(advertising=True), "thanks"),
        (None, consent(advertising=False), "hello"),
        (None, {"consent": {"categoryPreferences": {"advertising": "yes"}}}, "hello"),
        (None, {"consent": "yes"}, "hello"),
        ('{"advertising":true}', {}, "thanks"),
        ('{"advertising":true}', {"consent": {}}, "thanks"),
        ('{"advertising":true}', consent(advertising=False), "hello"),
        ('{"advertising":false}', consent(advertising=True), "thanks"),
        ('{"advertising":true}', consent(analytics=True), "hello"),
    ],
)
def test_consent_in_the_request_replaces_what_is_remembered(
    decider: Decider, known: str | None, context: dict[str, Any], shown: str
) -> None:
    found = decider.decide(FREE, person(FREE, consent=known), context, time.time())
    assert found.slots["welcome_message"].value == shown


def test_who_is_held_out_gets_default_steps_and_features(decider: Decider) -> None:
    personal = 0
    for name in NAMES:
        found = decider.decide(name, person(name), {}, time.time())
        steps = found.slots["step_order"]
        if name in HELD:
            assert (steps.value["steps"], steps.reason) == ([*ONBOARDING_STEPS], "DEFAULT")
            assert found.features == [*PRODUCT_FEATURES]
        else:
            personal += steps.value["steps"] != [*ONBOARDING_STEPS] and found.features != [*PRODUCT_FEATURES]
            assert steps.reason == "TARGETING_MATCH"
    assert personal == len(NAMES) - len(HELD) > 0, "and all others have their own"


def test_who_refuses_gets_default_steps_and_features(decider: Decider) -> None:
    found = decider.decide(FREE, person(FREE), consent(personalization=False), time.time())
    assert found.slots["step_order"].value["steps"] == [*ONBOARDING_STEPS]
    assert found.features == [*PRODUCT_FEATURES]


def test_the_stream_orders_the_steps_as_the_service_does(settings: dict[str, Any], decider: Decider) -> None:
    people = [person(name) for name in NAMES]
    rows = pd.DataFrame(people).reindex(columns=sorted({*PREDICT_COLUMNS, *DECIDE_COLUMNS} - {*PRODUCT_FEATURES}))
    counts = pd.DataFrame([used(one["feature_counts"]) for one in people])
    rows[[*counts]] = counts
    rows["at"] = pd.Timestamp.now("UTC").tz_localize(None)
    predict, decide = Predict(settings["model_dir"]), Decide(settings["rules_dir"], {})
    predict.open(None), decide.open(None)  # type: ignore[arg-type]
    known = {name: column(rows[name]) for name in rows}
    streamed = decide(known | predict(known))["steps"]
    asked = [decider.decide(one["user_id"], one, {}, time.time()).slots["step_order"].value["steps"] for one in people]
    assert streamed == asked
    assert {name for name, steps in zip(NAMES, asked, strict=True) if steps == [*ONBOARDING_STEPS]} == HELD
