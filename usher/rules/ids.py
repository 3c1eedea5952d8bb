"""An id whose hashes are where a proof wants them, found by hashing millions of ids at once.

A rollout of 0.01 % lets in one id of 10,000, and two of them one of 100 million: numpy hashes those in seconds.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any as Anything

import numpy as np

from usher.rules.bucket import fnv1a32

Hashes = np.ndarray[Anything, np.dtype[np.uint32]]
_PRIME = np.uint32(0x01000193)
_DIGITS = np.frombuffer(b"0123456789", dtype=np.uint8).astype(np.uint32)
_SIZES = (1_000, 1_000, 10_000, 100_000)  # then as the last: most questions need a few ids only
_PLACES = 10_000


@dataclass(frozen=True)
class Gate:
    """The ids whose place is from `low` (included) to `high` (not), of 10,000 places or of 1,000 in a group.

    The hash is that of `usher.rules.bucket`: of a seed before the id in a rollout, of a name after it in a group.
    """

    seed: str
    low: int
    high: int
    group: bool = False

    @property
    def places(self) -> int:
        """How many places there are."""
        return 1000 if self.group else _PLACES

    @property
    def share(self) -> float:
        """The part of all ids that it lets in."""
        return (self.high - self.low) / self.places


@lru_cache(10_000)
def rollout_gate(seed: str, percent: float) -> Gate:
    """The places that `in_rollout` lets in."""
    return Gate(seed, 0, sum(place / _PLACES < percent / 100 for place in range(_PLACES)))


def group_gate(name: str, low: float, high: float) -> Gate:
    """The places that `in_group` lets in."""
    return Gate(name, round(low * 10), round(high * 10), group=True)


def find_id(wishes: Iterable[tuple[Gate, bool]], seconds: float) -> str | None:
    """An id that each gate lets in or, where that is wished, does not; None if there is none within that time."""
    # the gate that fewest pass is asked first, and the others of those few only
    ordered = sorted(wishes, key=lambda wish: wish[0].share if wish[1] else 1 - wish[0].share)
    deadline, number = time.monotonic() + seconds, 0
    while number == 0 or time.monotonic() < deadline:
        size = _SIZES[min(number, len(_SIZES) - 1)]
        prefix, left = f"user-{number}-", np.arange(size)
        for gate, wanted in ordered:
            left = left[passes(gate, prefix, size, left) == wanted]
            if not len(left):
                break
        else:
            return f"{prefix}{left[0]:0{len(str(size)) - 1}d}"
        number += 1
    return None


def passes(gate: Gate, prefix: str, size: int, numbers: Anything) -> Anything:
    """Which of the ids ``prefix + digits`` the gate lets in."""
    start = fnv1a32(prefix if gate.group else gate.seed + prefix)
    hashes = _appended(start, size)[numbers] if len(numbers) > size // 100 else _some(start, size, numbers)
    if gate.group:
        for byte in f"__{gate.seed}".encode("utf-8", "replace"):
            hashes = (hashes ^ np.uint32(byte)) * _PRIME
    else:
        hashes = of_decimals(hashes)
    places = hashes % np.uint32(gate.places)
    return (places >= gate.low) & (places < gate.high)


def _appended(start: int, size: int) -> Hashes:
    """The hashes after all digits of 0 to `size` - 1, each written in as many as the last: ten times more a step."""
    hashes = np.array([start], dtype=np.uint32)
    while len(hashes) < size:
        hashes = ((hashes[:, None] ^ _DIGITS) * _PRIME).ravel()
    return hashes


def _some(start: int, size: int, numbers: Anything) -> Hashes:
    """The same for a few numbers."""
    hashes, unit = np.full(len(numbers), start, dtype=np.uint32), size // 10
    while unit:
        hashes = (hashes ^ _DIGITS[numbers // unit % 10]) * _PRIME
        unit //= 10
    return hashes


def of_decimals(numbers: Hashes) -> Hashes:
    """``fnv1a32(str(number))`` of each: the first digits, which are few, by a table, then the last five."""
    first = numbers // np.uint32(100_000)
    last = numbers - first * np.uint32(100_000)
    hashes = _HEADS.take(first)
    for digits in _LAST_FIVE:
        hashes ^= digits.take(last)
        hashes *= _PRIME
    for short in np.flatnonzero(first == 0):
        hashes[short] = fnv1a32(str(numbers[short]))
    return hashes


def _heads() -> Hashes:
    """``fnv1a32(str(number))`` of 1 to 99,999, by their own number."""
    found = [np.zeros(1, dtype=np.uint32)]
    for size in (10, 100, 1_000, 10_000, 100_000):
        found.append(_some(fnv1a32(""), size, np.arange(size // 10, size)))
    return np.concatenate(found)


_HEADS = _heads()
_LAST_FIVE = [_DIGITS[np.arange(100_000) // unit % 10] for unit in (10_000, 1_000, 100, 10, 1)]
