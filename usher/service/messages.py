"""One Segment-spec message as a client sent it: checked, completed, stamped.

The checks are those of the stream (connectors/…/EventReader.java), so that what the collector takes is not quarantined
later; `tests/service/test_end_to_end.py` holds the one to the other.
"""

import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from usher.service.privacy import Pseudonyms, reduced_ip
from usher.service.problems import Fault

TYPES = ("track", "identify", "page", "screen", "alias", "group")
LETTERS = {name[0]: name for name in TYPES if name != "screen"}
"""analytics.js posts a message to a path of its type's first letter."""
MAX_MESSAGE_BYTES = 32 * 1024
MAX_ID_BYTES = 512
MAX_TEXT = 2048
EARLIEST_MS = 631_152_000_000  # 1990-01-01
HOUR_MS = 3_600_000

SERVER_LIBRARIES = frozenset(
    f"{prefix}analytics-{language}"
    for prefix in ("", "@segment/")
    for language in ("python", "node", "ruby", "java", "go", "php", "rust", "net")
)
"""SDKs of servers: the address and user agent of such a request are not the user's."""

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-](0\d|1[0-7]):[0-5]\d)?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_IDS = ("messageId", "userId", "anonymousId", "previousId", "groupId")
_DEVICE_IDS = ("id", "advertisingId", "token")
_OBJECTS = ("properties", "traits", "context", "integrations")
_SCALARS = ("feature", "step", "content_id", "slot", "decision_id", "variation")

Message = dict[str, Any]


class Origin(NamedTuple):
    """Where a request comes from, and when it was received (milliseconds)."""

    ip: str
    user_agent: str
    received_ms: int


class Record(NamedTuple):
    """What goes to Kafka."""

    key: bytes
    value: bytes


class Reader:
    """Messages to records: `Reader(Pseudonyms([]), "truncate").read(message, "track", origin)`."""

    def __init__(self, pseudonyms: Pseudonyms, ip_privacy: str) -> None:
        self._pseudonyms, self._ip_privacy = pseudonyms, ip_privacy

    def read(self, message: Any, kind: str | None, origin: Origin, at: str = "") -> Record | list[Fault]:
        """The record, or all that is wrong; `kind` is the type that the path names, `at` a JSON pointer."""
        if not isinstance(message, dict):
            return [Fault(at or "/", "must be a JSON object.")]
        complete(message, kind, origin)
        faults = [Fault(f"{at}/{field}", reason) for field, reason in faults_of(message, kind, origin.received_ms)]
        if faults:
            return faults
        stamp(message, origin)
        self._protect(message)
        try:
            value = orjson.dumps(message)
        except orjson.JSONEncodeError:  # it reads deeper JSON than it writes
            return [Fault(at or "/", "is nested too deeply: at most 250 levels of objects and lists.")]
        if len(value) > MAX_MESSAGE_BYTES:
            return [Fault(at or "/", f"has {len(value)} bytes; the limit is {MAX_MESSAGE_BYTES}. Send less in it.")]
        return Record((message.get("userId") or message["anonymousId"]).encode(), value)

    def _protect(self, message: Message) -> None:
        """Ids become pseudonyms; with them go the traits, which name the person (no part of the stream reads them)."""
        context = message["context"]
        if "ip" in context:
            context["ip"] = reduced_ip(context["ip"], self._ip_privacy) if context["ip"] else None
        if not self._pseudonyms.keys:
            return
        for name in _IDS[1:]:
            if message.get(name):
                message[name] = self._pseudonyms(message[name])
        message.pop("traits", None)
        for name in ("traits", "externalIds"):
            context.pop(name, None)
        self._protect_context(context)

    def _protect_context(self, context: Message) -> None:
        """SDKs of apps put the device's own ids here, and all of them the group's."""
        group = context.pop("groupId", None)
        if isinstance(group, str) and group:
            context["groupId"] = self._pseudonyms(group)
        device = context.pop("device", None)
        if isinstance(device, dict):
            context["device"] = {name: value for name, value in device.items() if name not in _DEVICE_IDS}


def complete(message: Message, kind: str | None, origin: Origin) -> None:
    """What SDKs leave out: `type` (the path names it), `messageId`, `timestamp`. The write key goes no further."""
    message.pop("writeKey", None)
    if kind is not None and message.get("type") is None:
        message["type"] = kind
    if message.get("messageId") is None:
        message["messageId"] = f"usher-{uuid.uuid4()}"
    if message.get("timestamp") in (None, ""):
        message["timestamp"] = iso_of(origin.received_ms)


def stamp(message: Message, origin: Origin) -> None:
    """`receivedAt` always; the request's address and user agent where the message has none and they are the user's."""
    message["receivedAt"] = iso_of(origin.received_ms)
    if not _corrects(message, origin.received_ms):
        message.pop("sentAt", None)
    context = message["context"] = message.get("context") or {}
    library = context.get("library")
    if message.get("channel") == "server" or (isinstance(library, dict) and _is_server(library.get("name"))):
        return
    context["ip"] = context.get("ip") or origin.ip
    if origin.user_agent:
        context["userAgent"] = context.get("userAgent") or origin.user_agent[:MAX_TEXT]


def faults_of(message: Message, kind: str | None, received_ms: int) -> list[Fault]:
    """All that is wrong with a completed message."""
    faults = [
        Fault(name, "must be an object.")
        for name in _OBJECTS
        if message.get(name) is not None and not isinstance(message[name], dict)
    ]
    faults += _kind(message, kind) + _ids(message)
    for name in ("timestamp", "sentAt", "originalTimestamp"):
        faults += _time(message, name, received_ms)
    if isinstance(properties := message.get("properties"), dict):
        faults += _properties(properties)
    if isinstance(context := message.get("context"), dict):
        faults += _context(context)
    return faults


def millis_of(text: Any) -> int | None:
    """ISO-8601 with date and time to milliseconds since 1970, without an offset UTC; anything else: None."""
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        time = datetime.fromisoformat(text)
        return ((time if time.tzinfo else time.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None


def iso_of(millis: int) -> str:
    """Milliseconds since 1970 to ISO-8601 UTC."""
    whole = datetime.fromtimestamp(millis // 1000, UTC)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{millis % 1000:03d}Z"


def _kind(message: Message, kind: str | None) -> list[Fault]:
    faults = []
    if message.get("type") not in TYPES:
        faults.append(Fault("type", f"must be one of {', '.join(TYPES)}."))
    elif kind is not None and message["type"] != kind:
        faults.append(Fault("type", f"is {message['type']} but the path says {kind}."))
    event = message.get("event")
    if event is not None and (not isinstance(event, str) or len(event) > MAX_TEXT):
        faults.append(Fault("event", f"must be a string of at most {MAX_TEXT} characters."))
    elif message.get("type") == "track" and not event:
        faults.append(Fault("event", "is missing: a track message must name its event."))
    if message.get("type") == "alias" and not (message.get("previousId") or message.get("anonymousId")):
        faults.append(Fault("previousId", "is missing: an alias message must name the id used before."))
    if message.get("type") == "group" and not message.get("groupId"):
        faults.append(Fault("groupId", "is missing: a group message must name the group."))
    return faults


def _ids(message: Message) -> list[Fault]:
    faults = []
    for name in _IDS:
        value = message.get(name)
        if value is None or (isinstance(value, str) and 0 < len(value) * 4 <= MAX_ID_BYTES):
            continue
        if not isinstance(value, str) or not 0 < len(value.encode()) <= MAX_ID_BYTES:
            faults.append(Fault(name, f"must be a string of 1 to {MAX_ID_BYTES} bytes."))
    if message.get("userId") is None and message.get("anonymousId") is None:
        faults.append(Fault("userId", "is missing: userId or anonymousId must name the user."))
    if message.get("type") == "alias" and message.get("userId") is None:
        faults.append(Fault("userId", "is missing: an alias message must name the id used from now on."))
    return faults


def _time(message: Message, name: str, received_ms: int) -> list[Fault]:
    if message.get(name) in (None, ""):
        return []
    millis = millis_of(message[name])
    if millis is None:
        return [Fault(name, "must be an ISO-8601 time such as 2026-01-31T09:30:00.000Z.")]
    if name == "timestamp" and not _in_range(millis, received_ms) and not _corrects(message, received_ms):
        return [Fault(name, "must lie between 1990-01-01 and an hour from now: correct the clock or send sentAt.")]
    return []


def _corrects(message: Message, received_ms: int) -> bool:
    """Whether sentAt puts the event at a possible time; one that does not is no correction."""
    sent, happened = millis_of(message.get("sentAt")), millis_of(message.get("timestamp"))
    if sent is None or happened is None or message.get("originalTimestamp") is not None:
        return happened is not None and _in_range(happened, received_ms)
    return _in_range(received_ms - (sent - happened), received_ms)


def _in_range(millis: int, received_ms: int) -> bool:
    return EARLIEST_MS <= millis <= received_ms + HOUR_MS


def _properties(properties: Mapping[str, Any]) -> list[Fault]:
    return [
        Fault(f"properties/{name}", f"must be a string of at most {MAX_TEXT} characters.")
        for name in _SCALARS
        if isinstance(value := properties.get(name), dict | list) or (isinstance(value, str) and len(value) > MAX_TEXT)
    ]


def _context(context: Mapping[str, Any]) -> list[Fault]:
    faults = [
        Fault(f"context/{name}", f"must be a string of at most {MAX_TEXT} characters.")
        for name in ("ip", "userAgent", "locale")
        if (value := context.get(name)) is not None and (not isinstance(value, str) or len(value) > MAX_TEXT)
    ]
    consent = context.get("consent")
    if consent is not None and not isinstance(consent, dict):
        return [*faults, Fault("context/consent", "must be an object.")]
    preferences = (consent or {}).get("categoryPreferences")
    if preferences is not None and not is_preferences(preferences):
        faults.append(Fault("context/consent/categoryPreferences", "must map each category to true or false."))
    return faults


def is_preferences(preferences: Any) -> bool:
    """Whether it maps consent categories to booleans, as Segment's consent specification has it."""
    return isinstance(preferences, dict) and all(isinstance(given, bool) for given in preferences.values())


def _is_server(library: Any) -> bool:
    return isinstance(library, str) and library in SERVER_LIBRARIES
