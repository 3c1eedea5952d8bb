"""What the collector makes of one message, and what it refuses, without any server."""

import hmac
import json
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from usher.model.reference import millis_of as independent_millis
from usher.service.messages import MAX_MESSAGE_BYTES, Origin, Reader, Record, iso_of, millis_of
from usher.service.privacy import PrivacyError, Pseudonyms, reduced_ip

NOW = independent_millis("2026-05-01T12:00:00.250Z")
ORIGIN = Origin("203.0.113.77", "Mozilla/5.0 (test)", NOW)
PLAIN = Reader(Pseudonyms([]), "full")


def taken(message: dict[str, Any], kind: str = "track", reader: Reader = PLAIN) -> dict[str, Any]:
    record = reader.read(message, kind, ORIGIN)
    assert isinstance(record, Record), record
    return dict(json.loads(record.value))


def refused(message: Any, kind: str = "track") -> dict[str, str]:
    faults = PLAIN.read(message, kind, ORIGIN)
    assert not isinstance(faults, Record)
    return dict(faults)


def test_what_is_missing_is_filled_in() -> None:
    message = taken({"userId": "ada", "event": "Signed Up", "writeKey": "secret"})
    assert message.pop("messageId").startswith("usher-")
    assert message == {
        "userId": "ada",
        "event": "Signed Up",
        "type": "track",
        "timestamp": "2026-05-01T12:00:00.250Z",
        "receivedAt": "2026-05-01T12:00:00.250Z",
        "context": {"ip": "203.0.113.77", "userAgent": "Mozilla/5.0 (test)"},
    }


def test_what_the_client_said_stays() -> None:
    context = {"ip": "198.51.100.9", "userAgent": "theirs", "locale": "de-DE", "page": {"path": "/start"}}
    message = taken(
        {"anonymousId": "a1", "messageId": "m1", "timestamp": "2026-05-01T11:59:00Z", "context": context}, "page"
    )
    assert (message["messageId"], message["timestamp"]) == ("m1", "2026-05-01T11:59:00Z")
    assert message["context"] == context


def test_a_server_does_not_lend_its_address_to_its_users() -> None:
    library = {"library": {"name": "@segment/analytics-node", "version": "3"}}
    assert taken({"userId": "ada", "event": "E", "context": library})["context"] == library


def test_the_key_is_the_user() -> None:
    both = PLAIN.read({"userId": "ada", "anonymousId": "a1"}, "identify", ORIGIN)
    one = PLAIN.read({"anonymousId": "a1"}, "identify", ORIGIN)
    assert isinstance(both, Record) and isinstance(one, Record)
    assert (both.key, one.key) == (b"ada", b"a1")


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"event": "E"}, "/userId"),
        ({"userId": "", "event": "E"}, "/userId"),
        ({"userId": 7, "event": "E"}, "/userId"),
        ({"userId": "ü" * 257, "event": "E"}, "/userId"),
        ({"userId": "u", "event": "E", "messageId": "m" * 513}, "/messageId"),
        ({"userId": "u"}, "/event"),
        ({"userId": "u", "event": "e" * 2049}, "/event"),
        ({"userId": "u", "event": "E", "type": "page"}, "/type"),
        ({"userId": "u", "event": "E", "timestamp": "yesterday"}, "/timestamp"),
        ({"userId": "u", "event": "E", "timestamp": "2026-02-30T00:00:00Z"}, "/timestamp"),
        ({"userId": "u", "event": "E", "timestamp": "1989-12-31T23:59:59Z"}, "/timestamp"),
        ({"userId": "u", "event": "E", "timestamp": "2026-05-01T13:00:01Z"}, "/timestamp"),
        ({"userId": "u", "event": "E", "sentAt": 5}, "/sentAt"),
        ({"userId": "u", "event": "E", "properties": []}, "/properties"),
        ({"userId": "u", "event": "E", "properties": {"feature": {}}}, "/properties/feature"),
        ({"userId": "u", "event": "E", "context": "web"}, "/context"),
        ({"userId": "u", "event": "E", "context": {"ip": 1}}, "/context/ip"),
        (
            {"userId": "u", "event": "E", "context": {"consent": {"categoryPreferences": {"a": "yes"}}}},
            "/context/consent/categoryPreferences",
        ),
        ({"userId": "u", "event": "E", "properties": {"blob": "x" * MAX_MESSAGE_BYTES}}, "/"),
        ({"userId": "u", "event": "E", "properties": {"deep": json.loads("[" * 300 + "]" * 300)}}, "/"),
        ([], "/"),
    ],
)
def test_each_fault_names_its_field(message: Any, field: str) -> None:
    faults = refused(message)
    assert list(faults) == [field]
    assert faults[field].endswith(".")


def test_all_faults_at_once() -> None:
    assert set(refused({"event": 1, "timestamp": 2, "traits": 3})) == {"/event", "/timestamp", "/traits", "/userId"}


def test_alias_and_group_need_both_names() -> None:
    assert set(refused({"userId": "u"}, "alias")) == {"/previousId"}
    assert set(refused({"anonymousId": "a"}, "alias")) == {"/userId"}
    assert set(refused({"userId": "u"}, "group")) == {"/groupId"}


def test_a_wrong_clock_is_no_reason_to_lose_an_event() -> None:
    ahead = taken({"userId": "u", "event": "E", "timestamp": "2031-01-01T00:00:00Z", "sentAt": "2031-01-01T00:00:10Z"})
    assert ahead["sentAt"], "ten seconds before it was sent: the stream corrects it"
    absurd = taken({"userId": "u", "event": "E", "timestamp": "2026-04-30T00:00:00Z", "sentAt": "1991-01-01T00:00:00Z"})
    assert "sentAt" not in absurd, "would put the event into the future"


@pytest.mark.parametrize("text", ["2026-05-01T12:00:00Z", "2026-05-01T12:00:00.123456+05:30", "2026-05-01T12:00"])
def test_times(text: str) -> None:
    assert millis_of(text) == independent_millis(text)
    assert millis_of(iso_of(independent_millis(text))) == independent_millis(text)


SECRET_1, SECRET_2 = "1" * 32, "2" * 32


def test_ids_become_pseudonyms_and_traits_go() -> None:
    reader = Reader(Pseudonyms([("k1", SECRET_1)]), "truncate")
    sent = {
        "userId": "ada",
        "anonymousId": "a1",
        "traits": {"email": "ada@example.org"},
        "context": {"traits": {"n": 1}},
    }
    record = reader.read(sent, "identify", ORIGIN)
    assert isinstance(record, Record)
    mac = urlsafe_b64encode(hmac.new(SECRET_1.encode(), b"ada", "sha256").digest()).rstrip(b"=").decode()
    assert record.key.decode() == f"k1:{mac}"
    assert json.loads(record.value)["userId"] == f"k1:{mac}"
    assert json.loads(record.value)["context"]["ip"] == "203.0.113.0"
    assert b"ada" not in record.value and b'"a1"' not in record.value and b"traits" not in record.value


def test_ids_of_devices_go_and_those_of_groups_become_pseudonyms() -> None:
    pseudonyms = Pseudonyms([("k1", SECRET_1)])
    context = {
        "device": {"id": "IDFV-1", "advertisingId": "IDFA-1", "token": "push-1", "model": "Pixel 9"},
        "externalIds": [{"id": "ada@example.org", "type": "email"}],
        "groupId": "acme",
    }
    message = taken({"userId": "ada", "groupId": "acme", "context": context}, "group", Reader(pseudonyms, "drop"))
    assert message["groupId"] == message["context"]["groupId"] == pseudonyms("acme")
    assert message["context"]["device"] == {"model": "Pixel 9"}
    assert "externalIds" not in message["context"]
    odd = {"device": "IDFV-1", "groupId": 7}
    context = taken({"userId": "ada", "context": odd}, "page", Reader(pseudonyms, "drop"))["context"]
    assert not {"device", "groupId"} & set(context)


def test_without_keys_ids_of_devices_stay() -> None:
    context = {"device": {"id": "IDFV-1"}, "groupId": "acme"}
    assert taken({"userId": "ada", "context": dict(context)}, "page")["context"].items() >= context.items()


def test_two_live_keys() -> None:
    old, both = Pseudonyms([("k1", SECRET_1)]), Pseudonyms([("k2", SECRET_2), ("k1", SECRET_1)])
    assert both.all("ada") == [both("ada"), old("ada")]
    assert both("ada").startswith("k2:") and both("ada") != both("eve")
    assert both.all(old("ada")) == [old("ada")], "who has the pseudonym may ask by it"
    assert both("k1:ada") not in ("k1:ada", both("ada")), "a client's id that looks like one is only an id"


@pytest.mark.parametrize(
    "text",
    [
        "secret",
        "k1=short",
        f"K 1={SECRET_1}",
        f"k1={SECRET_1} k1={SECRET_2}",
        f"a={SECRET_1} b={SECRET_1} c={SECRET_1}",
    ],
)
def test_bad_pseudonym_keys_are_refused(text: str) -> None:
    with pytest.raises(PrivacyError) as told:
        Pseudonyms.load({"USHER_PSEUDONYM_KEYS": text})
    assert SECRET_1 not in str(told.value) and "short" not in str(told.value)


@pytest.mark.parametrize(
    ("address", "full", "truncated"),
    [
        ("203.0.113.77", "203.0.113.77", "203.0.113.0"),
        ("2001:db8:aaaa:bbbb::1", "2001:db8:aaaa:bbbb::1", "2001:db8:aaaa::"),
        ("::ffff:203.0.113.77", "203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::1", "fe80::"),
        ("not an address", None, None),
    ],
)
def test_addresses(address: str, full: str | None, truncated: str | None) -> None:
    assert reduced_ip(address, "full") == full
    assert reduced_ip(address, "truncate") == truncated
    assert reduced_ip(address, "drop") is None


def test_pseudonym_keys_by_file(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"k1={SECRET_1}\n")
    found = Pseudonyms.load({"USHER_PSEUDONYM_KEYS_FILE": str(tmp_path / "keys")})
    assert found("ada") == Pseudonyms([("k1", SECRET_1)])("ada")
