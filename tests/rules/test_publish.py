"""Publishing on a real Kafka: proved first, in force at once as a whole, rolled back by version, all on record."""

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer
from running import serving
from typer.testing import CliRunner
from waiting import until

from usher.rules import Bundle, PublishError, ServedRules
from usher.rules.cli import app
from usher.rules.findings import Finding
from usher.rules.prove import prove
from usher.rules.publish import history, in_force, publish, rollback
from usher.rules.topic import Login
from usher.stack import Stack
from usher.stack._servers import HOST, Kafka, free_port
from usher.stack.indices import create_indices
from usher.stack.topics import TOPICS, create_topics

NOBODY: Login = {"bootstrap_servers": ["127.0.0.1:1"]}
CONF = Path(__file__).parents[2] / "conf"
SWITCH_S = 5.0


@pytest.fixture
def edited(tmp_path: Path) -> Path:
    """The shipped rules, with the welcome in Europe changed."""
    for part in ("rules", "content"):
        shutil.copytree(CONF / part, tmp_path / part)
    file = tmp_path / "rules" / "welcome.yaml"
    file.write_text(file.read_text().replace("europe_welcome", "tablet_welcome"))
    return tmp_path


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Login]:
    """A real broker that asks its clients who they are; the login of one whom it knows."""
    home = tmp_path / "broker"
    plan = Kafka().prepare(home)
    config, address = home / "kafka" / "server.properties", f"{HOST}:{free_port(0)}"
    text = config.read_text().replace("listeners=PLAINTEXT", f"listeners=SASL_PLAINTEXT://{address},PLAINTEXT")
    text = text.replace("PLAINTEXT:PLAINTEXT,", "SASL_PLAINTEXT:SASL_PLAINTEXT,PLAINTEXT:PLAINTEXT,")
    module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    known = f'listener.name.sasl_plaintext.plain.sasl.jaas.config={module} user_ann="secret";'
    config.write_text(f"{text}sasl.enabled.mechanisms=PLAIN\n{known}\n")
    log = tmp_path / "broker.log"
    with log.open("wb") as out, subprocess.Popen(plan["command"], cwd=plan["cwd"], stdout=out, stderr=out) as broker:
        until(lambda: broker.poll() is not None or Kafka.ready(plan["state"], log), 60, "the broker")
        login = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN"}
        yield {"bootstrap_servers": [address], **login, "sasl_plain_username": "ann", "sasl_plain_password": "secret"}
        broker.kill()


def send(kafka: Login, value: bytes) -> None:
    producer = KafkaProducer(**kafka)
    producer.send("rules", key=b"own", value=value, partition=0).get(30)
    producer.close()


def test_a_version_is_of_what_the_rules_say_not_of_their_files() -> None:
    """Two files that each declare a slot, under each other's names."""
    content = {"content/a.yaml": "content:\n  a: {text: {en: A}, fallback: en}\n"}
    one, two = (f"slots: [{slot}]\nrules:\n- {{id: {slot}, slot: {slot}, content: a}}\n" for slot in "st")
    swapped = [Bundle.load(content | {"rules/a.yaml": x, "rules/b.yaml": y}) for x, y in ((one, two), (two, one))]
    assert swapped[0].version == swapped[1].version
    assert swapped[0].version != Bundle.load(content | {"rules/a.yaml": one}).version


def test_switch_refuse_and_roll_back(kafka: Login, edited: Path) -> None:
    shipped, changed = Bundle.load(CONF).version, Bundle.load(edited).version
    with ServedRules(kafka, str(CONF)) as rules:
        user = {"continent": "EU", "device_type": "desktop"}
        assert rules.bundle.version == shipped
        publish(kafka, edited, "try the tablet's text", "ann")
        until(lambda: rules.bundle.version == changed, SWITCH_S, "the bundle to be in force")
        assert rules.bundle.decide_one(user)["welcome_message"].content_id == "tablet_welcome"
        assert rules.bundle.text("tablet_welcome", "en") == "Welcome! Try your dashboards full screen."

        (edited / "rules" / "welcome.yaml").write_text("rules: []\n")
        with pytest.raises(PublishError, match="gap: Slot 'welcome_message'"):
            publish(kafka, edited)
        with pytest.raises(PublishError, match=f"never published.*{changed}"):
            rollback(kafka, "000000000000")
        publish(kafka, CONF, who="bob")
        until(lambda: rules.bundle.version == shipped, SWITCH_S, "the bundle to be in force")
        rollback(kafka, changed, "it sold better", "ann")
        until(lambda: rules.bundle.version == changed, SWITCH_S, "the bundle to be in force")
    told = [(one.action, one.who, one.version, one.replaces, one.note) for one in history(kafka)]
    assert told == [
        ("publish", "ann", changed, None, "try the tablet's text"),
        ("publish", "bob", shipped, changed, ""),
        ("rollback", "ann", changed, shipped, "it sold better"),
    ]
    with ServedRules(kafka, str(CONF)) as late:
        assert late.bundle.version == changed, "one who starts later finds what is in force"


def test_a_running_service_switches(kafka: Login, edited: Path, stack: Stack, tmp_path: Path) -> None:
    """`usher serve`, without a restart: what is published, then what is rolled back to."""
    create_topics(stack.kafka)
    create_indices(stack.elasticsearch)
    shipped = publish(kafka, CONF)
    with serving(stack.kafka, stack.elasticsearch, tmp_path) as service:

        def shown() -> tuple[str, str]:
            body = {"context": {"targetingKey": "nobody", "continent": "EU", "userAgent": "curl/8"}}
            found = service.read.post("/ofrep/v1/evaluate/flags/welcome_message", json=body).json()
            return found["metadata"]["rules_version"], found["value"]

        assert shown() == (shipped.version, "europe_welcome")
        for put, content in (
            (lambda: publish(kafka, edited), "tablet_welcome"),
            (lambda: rollback(kafka, shipped.version), "europe_welcome"),
        ):
            expected, began = (put().version, content), time.monotonic()
            until(lambda: shown() == expected, SWITCH_S, "the service to decide by the new rules")  # noqa: B023
            print(f"the service switched {time.monotonic() - began:.2f} s after it was published")


def test_a_broken_bundle_stays_out(kafka: Login, edited: Path, caplog: pytest.LogCaptureFixture) -> None:
    publish(kafka, edited)
    good = Bundle.load(edited).version
    bad = {"action": "publish", "version": "bad", "who": "x", "at": "", "note": "", "replaces": None}
    with ServedRules(kafka, str(CONF)) as rules:
        for value in (b"\xff", b"[]", json.dumps(bad | {"files": {"rules/a.yaml": "rules: [{}]"}}).encode()):
            send(kafka, value)
        until(lambda: "Rules bad are broken" in caplog.text, SWITCH_S, "the warning")
        assert rules.bundle.version == good
        with pytest.raises(PublishError, match="refuses version bad:\nrules/a.yaml:1: .*\nRemedy:"):
            rollback(kafka, "bad")
        assert len(history(kafka)) == 2, "what cannot be loaded is not put in force"
        found = in_force(kafka)
        assert found is not None and found.version == good
    with ServedRules(kafka, str(CONF)) as late:
        assert late.bundle.version == good


def test_a_topic_that_comes_later_is_followed(kafka: Login, edited: Path) -> None:
    with ServedRules(kafka, str(CONF)) as rules:
        create_topics(kafka["bootstrap_servers"][0])
        publish(kafka, edited)
        until(lambda: rules.bundle.version == Bundle.load(edited).version, 2 * SWITCH_S, "the bundle to be in force")


def test_what_was_proved_is_published_whoever_edits_it(
    kafka: Login, edited: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proved = Bundle.load(edited).version

    def meanwhile(bundle: Bundle, total_s: float) -> list[Finding]:
        shutil.rmtree(edited)
        return prove(bundle, total_s=total_s)

    monkeypatch.setattr("usher.rules.publish.prove", meanwhile)
    publication = publish(kafka, edited)
    assert publication.version == Bundle.load(history(kafka)[-1].files).version == proved


def test_a_broker_that_asks_who_it_is(secured: Login, edited: Path) -> None:
    assert publish(secured, edited).version == history(secured)[-1].version
    others = tuple(name for name in TOPICS if name != "rules")
    assert create_topics(secured["bootstrap_servers"], **secured) == others, "publishing makes its own topic only"


@pytest.mark.parametrize("ask", [lambda: publish(NOBODY, CONF), lambda: rollback(NOBODY, "x"), lambda: history(NOBODY)])
def test_a_kafka_that_is_down_is_a_sentence(ask: Callable[[], Any]) -> None:
    with pytest.raises(PublishError, match=r"Kafka at 127.0.0.1:1 does not answer. Remedy: start it"):
        ask()


def test_without_kafka_the_directory_is_in_force() -> None:
    with ServedRules({}, str(CONF)) as rules:
        assert rules.bundle.version == Bundle.load(CONF).version


def test_command_line(kafka: Login, edited: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USHER_KAFKA", kafka["bootstrap_servers"][0])
    run = CliRunner().invoke
    assert "Nothing was published yet" in run(app, ["log"]).stdout
    done = json.loads(run(app, ["publish", "--dir", str(edited), "--note", "why", "--json"]).stdout)
    assert (done["ok"], done["action"], done["note"]) == (True, "publish", "why")
    assert run(app, ["publish"]).exit_code == 0
    assert f"Version {done['version']} is in force" in run(app, ["rollback", done["version"]]).stdout
    lines = json.loads(run(app, ["log", "--json"]).stdout)["published"]
    assert [one["action"] for one in lines] == ["publish", "publish", "rollback"]
    (edited / "rules" / "welcome.yaml").write_text("rules: []\n")
    refused = run(app, ["publish", "--dir", str(edited)])
    assert refused.exit_code == 1 and "Nothing was published" in refused.stderr
