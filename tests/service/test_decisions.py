"""The decision API over HTTP: OFREP, profile and context together, and without a profile when it cannot be had."""

import json
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from elasticsearch import Elasticsearch
from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from running import GERMANY, IPHONE, READ, Service, ask, profile, serving

from usher.features import ONBOARDING_STEPS, SLOTS
from usher.service.deciding import Decider
from usher.settings import load
from usher.stack import Stack

NODE = Path(__file__).parent / "node"


def test_a_first_time_visitor(service: Service) -> None:
    """No profile: place and device of the request decide, as the rules' own examples say."""
    found = ask(
        service, "welcome_message", {"targetingKey": "new", "ip": GERMANY, "userAgent": IPHONE, "locale": "de-DE"}
    )
    assert (found["value"], found["variant"], found["reason"]) == ("europe_mobile_welcome",) * 2 + ("TARGETING_MATCH",)
    assert found["metadata"]["text"].startswith("Willkommen!")
    assert found["metadata"]["rule"] == "welcome_europe_mobile"
    assert found["metadata"]["degraded"] is False
    assert ask(service, "welcome_message", {})["value"] == "default_welcome", "nothing known, not even an id"


def test_a_browser_shows_where_it_is_by_itself(service: Service) -> None:
    headers = {"User-Agent": IPHONE, "X-Forwarded-For": GERMANY, "Accept-Language": "fr-FR,fr;q=0.9"}
    found = ask(service, "welcome_message", {"targetingKey": "new"}, **headers)
    assert (found["value"], found["metadata"]["text"][:9]) == ("europe_mobile_welcome", "Bienvenue")
    server = headers | {"User-Agent": "python-httpx/0.28"}
    assert ask(service, "welcome_message", {"targetingKey": "new"}, **server)["value"] == "default_welcome"


def test_profile_and_context_together(service: Service, ada: str) -> None:
    assert ask(service, "feature_highlight", {"targetingKey": ada})["value"] == "analytics_tour"
    assert ask(service, "next_step", {"targetingKey": ada})["value"] == "step_get_help"
    assert ask(service, "welcome_message", {"targetingKey": ada})["value"] == "americas_welcome"
    there = {"targetingKey": ada, "ip": GERMANY, "userAgent": IPHONE}
    assert ask(service, "welcome_message", there)["value"] == "europe_mobile_welcome", "she travels, with her phone"
    assert ask(service, "feature_highlight", there)["value"] == "analytics_tour", "and is still herself"


def test_a_profile_counts_as_soon_as_it_is_written(service: Service, client: Elasticsearch, ada: str) -> None:
    client.index(index="profiles", id=ada, document=profile(ada, feature_counts={"reports": 2}))  # no refresh
    assert ask(service, "feature_highlight", {"targetingKey": ada})["value"] == "reports_tour"


def test_steps_and_features(service: Service, ada: str) -> None:
    found = ask(service, "step_order", {"targetingKey": ada})
    assert sorted(found["value"]["steps"]) == sorted(ONBOARDING_STEPS)
    assert found["variant"] == ">".join(found["value"]["steps"])
    assert len(ask(service, "feature_highlight", {"targetingKey": ada})["metadata"]["features"].split(",")) == 6


def test_bulk_with_etag(service: Service, client: Elasticsearch, ada: str) -> None:
    body = {"context": {"targetingKey": ada}}
    first = service.read.post("/ofrep/v1/evaluate/flags", json=body)
    assert [flag["key"] for flag in first.json()["flags"]] == [*SLOTS]
    etag = first.headers["etag"]
    again = service.read.post("/ofrep/v1/evaluate/flags", json=body, headers={"If-None-Match": etag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    client.index(index="profiles", id=ada, document=profile(ada, feature_counts={"reports": 2}))
    changed = service.read.post("/ofrep/v1/evaluate/flags", json=body, headers={"If-None-Match": etag})
    assert changed.status_code == 200 and changed.headers["etag"] != etag


def test_a_decision_has_one_id(service: Service, ada: str) -> None:
    ids = {ask(service, "next_step", {"targetingKey": user})["metadata"]["decision_id"] for user in (ada, ada, "eve")}
    assert len(ids) == 2
    versions = ask(service, "next_step", {"targetingKey": ada})["metadata"]
    assert ids.pop().startswith(f"{versions['rules_version']}.{versions['model_version']}.")


def test_who_does_not_consent_sees_defaults(service: Service, ada: str) -> None:
    consent = {"categoryPreferences": {"personalization": False, "analytics": True}}
    found = ask(service, "feature_highlight", {"targetingKey": ada, "consent": consent, "ip": GERMANY})
    assert (found["value"], found["reason"]) == ("default_highlight", "DEFAULT")
    assert (
        ask(service, "welcome_message", {"targetingKey": ada, "consent": consent, "ip": GERMANY})["reason"] == "DEFAULT"
    )
    given = {"categoryPreferences": {"personalization": True}}
    assert ask(service, "feature_highlight", {"targetingKey": ada, "consent": given})["value"] == "analytics_tour"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"{", "PARSE_ERROR", "/"),
        (b"[]", "PARSE_ERROR", "/"),
        (b'{"context": 1}', "INVALID_CONTEXT", "/context"),
        (b'{"context": {"targetingKey": 7}}', "INVALID_CONTEXT", "/context/targetingKey"),
        (b'{"context": {"targetingKey": ""}}', "INVALID_CONTEXT", "/context/targetingKey"),
    ],
)
def test_bad_questions(service: Service, body: bytes, code: str, field: str) -> None:
    for path in ("/ofrep/v1/evaluate/flags", "/ofrep/v1/evaluate/flags/next_step"):
        answer = service.read.post(path, content=body)
        problem = answer.json()
        assert (answer.status_code, problem["errorCode"], problem["errors"][0]["field"]) == (400, code, field)
        assert problem["errorDetails"] == problem["detail"]


def test_no_such_slot(service: Service) -> None:
    answer = service.read.post("/ofrep/v1/evaluate/flags/footer", json={})
    assert (answer.status_code, answer.json()["errorCode"], answer.json()["key"]) == (404, "FLAG_NOT_FOUND", "footer")


# --- pseudonyms


def test_two_pseudonym_keys_while_they_rotate(
    ready: Stack, client: Elasticsearch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile that was made under the old key is found until the new one has replaced it."""
    from usher.service.privacy import Pseudonyms

    old, new = Pseudonyms([("k1", "1" * 32)]), Pseudonyms([("k2", "2" * 32)])
    client.index(index="profiles", id=old("ada"), document=profile(old("ada"), feature_counts={"analytics": 2}))
    monkeypatch.setenv("USHER_PSEUDONYM_KEYS", f"k2={'2' * 32} k1={'1' * 32}")
    with serving(ready.kafka, ready.elasticsearch, tmp_path, decision_budget_ms="2000") as service:
        assert ask(service, "feature_highlight", {"targetingKey": "ada"})["value"] == "analytics_tour"
        client.index(index="profiles", id=new("ada"), document=profile(new("ada"), feature_counts={"reports": 2}))
        assert ask(service, "feature_highlight", {"targetingKey": "ada"})["value"] == "reports_tour"
    client.delete(index="profiles", id=old("ada"))
    client.delete(index="profiles", id=new("ada"))


# --- the stream's own code


def test_service_and_stream_decide_alike() -> None:
    """Row by row, the service's decision is that of the UDFs on columns."""
    import pandas as pd

    from udfs.decide import DECIDE_COLUMNS, Decide
    from udfs.personalize import column
    from udfs.predict import Predict
    from usher.columns import PREDICT_COLUMNS, used
    from usher.features import PRODUCT_FEATURES

    settings = load({})
    profiles = [
        profile(
            f"u{n}",
            steps_completed=n % 6,
            events_total=7 * n,
            sessions_total=1 + n % 3,
            locale="de-DE",
            country=("DE", "US", None)[n % 3],
            continent=("EU", "NA", None)[n % 3],
            device_type=("mobile", "desktop")[n % 2],
            feature_counts={"reports": n % 4},
        )
        for n in range(40)
    ]
    rows = pd.DataFrame(profiles).reindex(columns=sorted({*PREDICT_COLUMNS, *DECIDE_COLUMNS} - {*PRODUCT_FEATURES}))
    counts = pd.DataFrame([used(one["feature_counts"]) for one in profiles])
    rows[[*counts]] = counts
    rows["user_id"] = [one["user_id"] for one in profiles]
    rows["at"] = pd.Timestamp.now("UTC").tz_localize(None)
    predict, decide = Predict(settings["model_dir"]), Decide(settings["rules_dir"], {})
    predict.open(None), decide.open(None)  # type: ignore[arg-type]
    known = {name: column(rows[name]) for name in rows}
    streamed = decide(known | predict(known))

    decider = Decider(settings | {"kafka": "127.0.0.1:9"})  # nothing was published
    for n, one in enumerate(profiles):
        asked = decider.decide(one["user_id"], one, {}, time.time())
        for slot in SLOTS[:3]:
            decision = asked.slots[slot]
            assert (decision.value, decision.rule, decision.reason) == tuple(
                streamed[f"{slot}_{part}"][n] for part in ("content", "rule", "reason")
            )
        assert asked.slots["step_order"].value["steps"] == streamed["steps"][n]


# --- clients that nobody here wrote


def test_the_python_openfeature_client(service: Service, ada: str) -> None:
    api.set_provider(OFREPProvider(service.url, headers_factory=lambda: {"Authorization": f"Bearer {READ}"}))
    try:
        client = api.get_client()
        found = client.get_string_details("feature_highlight", "fallback", EvaluationContext(ada))
        assert (found.value, found.variant, found.reason) == ("analytics_tour", "analytics_tour", "TARGETING_MATCH")
        assert found.flag_metadata["text"] == "You use analytics already: take the advanced tour."
        steps = client.get_object_details("step_order", {}, EvaluationContext(ada)).value
        assert len(steps["steps"]) == len(ONBOARDING_STEPS)  # type: ignore[call-overload]
        missing = client.get_string_details("footer", "fallback", EvaluationContext(ada))
        assert (missing.value, missing.error_code) == ("fallback", "FLAG_NOT_FOUND")
    finally:
        api.shutdown()


def test_the_node_openfeature_client(service: Service, ada: str) -> None:
    done = subprocess.run(["node", "decisions.mjs", service.url, READ, ada], cwd=NODE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["highlight"]["value"], found["highlight"]["reason"]) == ("analytics_tour", "TARGETING_MATCH")
    assert found["highlight"]["flagMetadata"]["rule"] == "tour_analytics"
    assert sorted(found["steps"]["value"]["steps"]) == sorted(ONBOARDING_STEPS)
    assert (found["missing"]["value"], found["missing"]["errorCode"]) == ("fallback", "FLAG_NOT_FOUND")
    assert found["denied"]["value"] == "fallback", "with a wrong key"


def test_health_is_open_and_answers_while_others_wait(service: Service) -> None:
    assert httpx.get(f"{service.url}/health").json() == {"status": "ok"}
