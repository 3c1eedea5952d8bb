"""Deterministic bucketing: GrowthBook's hash version 2, so that results agree with its SDKs.

``n = fnv1a32(str(fnv1a32(seed + user_id))) % 10000 / 10000``, over UTF-8; a user is in a rollout of p percent when
``n < p / 100``: raising p never moves out a user who was in. So it is in the Python SDK 4.0.0; its versions before took
in who is exactly at the boundary (``n <= coverage``). Exclusion groups are GrowthBook's namespaces:
``n = fnv1a32(user_id + "__" + group) % 1000 / 1000``, in when ``low / 100 <= n < high / 100``.
"""


def fnv1a32(text: str) -> int:
    """32-bit FNV-1a of the UTF-8 bytes; lone surrogates count as U+FFFD's replacement `?`."""
    value = 0x811C9DC5
    for byte in text.encode("utf-8", "replace"):
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value


def bucket(seed: str, user_id: str) -> float:
    """The user's place in [0, 1), by steps of 0.0001: ``bucket("seed", "a") == 0.0505``."""
    return _place(seed, user_id) / 10000


def in_rollout(seed: str, user_id: str | None, percent: float) -> bool:
    """Whether the user is among the first `percent` percent; nobody unknown is in a partial rollout."""
    if percent >= 100:
        return True
    # in whole places, because 0.07 / 100 is a little more than 0.0007 as a float
    return isinstance(user_id, str) and _place(seed, user_id) < round(percent * 100, 6)


def _place(seed: str, user_id: str) -> int:
    return fnv1a32(str(fnv1a32(seed + user_id))) % 10000


def in_group(name: str, user_id: str | None, low: float, high: float) -> bool:
    """Whether the user is in that part of the exclusion group, by tenths of a percent; nobody unknown is."""
    return isinstance(user_id, str) and round(low * 10) <= group_place(name, user_id) < round(high * 10)


def group_place(name: str, user_id: str) -> int:
    """The user's place in the group, 0 to 999."""
    return fnv1a32(f"{user_id}__{name}") % 1000
