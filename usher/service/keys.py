"""Who may do what: write keys send, read keys ask for decisions, admin keys see and erase people."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from usher.settings import opened

Role = Literal["write", "read", "admin"]
ROLES: tuple[Role, ...] = ("write", "read", "admin")


class KeysError(RuntimeError):
    """No usable keys; the message says what to do."""


class Holder(NamedTuple):
    """A known key: what it may do, and a name that may be shown (the beginning of its hash)."""

    role: Role
    name: str


class Keys:
    """Knows keys by their SHA-256 alone: they are random and long, so that no salt or slow hash is needed.

    >>> Keys({"read": ["secret"]}).holder("secret").role
    'read'
    """

    def __init__(self, plain: Mapping[Role, Iterable[str]], hashed: Iterable[tuple[Role, str]] = ()) -> None:
        known = [(role, digest(key)) for role in ROLES for key in plain.get(role, ())] + [*hashed]
        self._known = [(bytes.fromhex(sha256), Holder(role, sha256[:8])) for role, sha256 in known]
        if not self._known:
            raise KeysError(
                "The service has no keys, so that nobody could use it: set USHER_WRITE_KEY, USHER_READ_KEY and "
                "USHER_ADMIN_KEY, or make them with `usher keys new write`, `… read` and `… admin`."
            )
        if len({sha256 for sha256, _ in self._known}) < len(self._known):
            raise KeysError("One key is given twice: each of write, read and admin needs a key of its own.")

    def holder(self, key: str | None) -> Holder | None:
        """Who holds this key, None if nobody; takes as long for a wrong key as for a right one."""
        asked = hashlib.sha256((key or "").encode("utf-8", "surrogateescape")).digest()
        found = None
        for sha256, holder in self._known:
            if hmac.compare_digest(sha256, asked):
                found = holder
        return found

    @classmethod
    def load(cls, file: Path, environ: Mapping[str, str] | None = None) -> "Keys":
        """The keys of the file and of USHER_WRITE_KEY, USHER_READ_KEY, USHER_ADMIN_KEY, or of …_FILE of each."""
        found = opened(environ)
        plain: dict[Role, list[str]] = {
            role: [key] for role in ROLES if (key := found.get(f"USHER_{role.upper()}_KEY"))
        }
        return cls(plain, [(entry["role"], entry["sha256"]) for entry in _entries(file)])


def digest(key: str) -> str:
    """The hash that is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key(file: Path, role: Role) -> str:
    """Make a key, keep its hash in `file`, and return it: it cannot be read again."""
    key = f"usher_{role}_{secrets.token_urlsafe(32)}"
    entries = [*_entries(file), {"role": role, "sha256": digest(key)}]
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    part.write_text(json.dumps(entries, indent=2) + "\n")
    part.chmod(0o600)
    part.replace(file)
    return key


def _entries(file: Path) -> list[dict[str, Role]]:
    if not file.exists():
        return []
    try:
        entries = json.loads(file.read_text())
        good = all(entry["role"] in ROLES and len(bytes.fromhex(entry["sha256"])) == 32 for entry in entries)
    except (ValueError, KeyError, TypeError) as error:
        raise KeysError(f"{file} cannot be read ({error}): make it again with `usher keys new`.") from error
    if not good:
        raise KeysError(f"{file} must list roles ({', '.join(ROLES)}) with SHA-256 hashes: use `usher keys new`.")
    return list(entries)
