"""Whose a record is, by the ids in it."""

import json
from collections.abc import Iterable
from typing import Any

Names = tuple[str, ...]
"""All ids under which one person is stored."""
_OWN = ("user_id", "userId", "anonymousId")
"""Whose a record is: the first of these ids that it has, as the stream has it."""


def is_of(record: Any, names: Iterable[str]) -> bool:
    """Whether a Kafka record is the person's: by its key, or by its value."""
    if record.key is not None and record.key.decode(errors="replace") in names:
        return True
    return is_about(record.value or b"", names)


def is_about(value: bytes, names: Iterable[str]) -> bool:
    """Whether JSON is the person's: by the user it names; by the id's text alone if it is no JSON object."""
    named = any(form in value for name in names for form in _forms(name))
    # an id may be spelled in other ways than these: escaped, or as a number
    if not named and b"\\" not in value and not any(name.encode() in value for name in names if name.isdecimal()):
        return False
    message = readable(value)
    return bool(owners(message) & set(names)) if isinstance(message, dict) else named


def owners(message: dict[str, Any]) -> set[str]:
    """The user of a message as the stream has it, and what else names them: the id before an alias, a number in the
    place of an id, for which the message is in quarantine, and the id of a dead letter's document."""
    ids = [message.get(field) for field in _OWN]
    first = next((one for one in ids if isinstance(one, str) and one), None)
    numbers = [str(one) for one in ids if isinstance(one, int) and not isinstance(one, bool)]
    found = {one for one in (first, message.get("previousId"), *numbers) if isinstance(one, str)}
    if "refused_at" in message:
        found |= {str(message.get("id")), *owners(message.get("document") or {})}
    return found


def readable(value: bytes | None) -> Any:
    """JSON as it is, anything else as text."""
    try:
        return json.loads(value or b"null")
    except (ValueError, RecursionError):
        return (value or b"").decode(errors="replace")


def _forms(name: str) -> set[bytes]:
    """An id as it stands in JSON, escaped or not."""
    return {json.dumps(name).encode(), json.dumps(name, ensure_ascii=False).encode()}
