"""What leaves the collector instead of a person's id and address."""

import base64
import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable, Mapping

from usher.settings import opened

_KID = re.compile(r"[a-z0-9]{1,16}")
_PSEUDONYM = re.compile(r"[a-z0-9]{1,16}:[A-Za-z0-9_-]{43}")
MIN_SECRET_CHARACTERS = 32


class PrivacyError(RuntimeError):
    """The pseudonym keys cannot be used; the message says what to do."""


class Pseudonyms:
    """Keyed HMAC-SHA-256 of ids, `kid:` in front; the first key makes new pseudonyms, the others still find old ones.

    >>> names = Pseudonyms([("k2", "b" * 32), ("k1", "a" * 32)])
    >>> names("ada").split(":")[0], [name.split(":")[0] for name in names.all("ada")]
    ('k2', ['k2', 'k1'])
    >>> Pseudonyms([])("ada")
    'ada'
    """

    def __init__(self, keys: Iterable[tuple[str, str]]) -> None:
        self.keys = [(kid, secret.encode()) for kid, secret in keys]
        if len({kid for kid, _ in self.keys}) < len(self.keys):
            raise PrivacyError("USHER_PSEUDONYM_KEYS names one kid twice: each key needs a kid of its own.")
        if len(self.keys) > 2:
            raise PrivacyError("USHER_PSEUDONYM_KEYS has over two keys: keep the new one and the one it replaces.")

    def __call__(self, user_id: str) -> str:
        """The pseudonym by the newest key; the id itself when there are no keys."""
        return self._name(*self.keys[0], user_id) if self.keys else user_id

    def all(self, user_id: str) -> list[str]:
        """Under which names the user may be stored, the newest first; a pseudonym, as profiles show it, is its own."""
        if self.keys and _PSEUDONYM.fullmatch(user_id):
            return [user_id]
        return [self._name(kid, secret, user_id) for kid, secret in self.keys] or [user_id]

    @staticmethod
    def _name(kid: str, secret: bytes, user_id: str) -> str:
        mac = hmac.digest(secret, user_id.encode(), hashlib.sha256)
        return f"{kid}:{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None) -> "Pseudonyms":
        """From USHER_PSEUDONYM_KEYS (or the file of USHER_PSEUDONYM_KEYS_FILE), `kid=secret` by spaces, the newest
        first; without it ids stay as they are."""
        text = opened(environ).get("USHER_PSEUDONYM_KEYS", "")
        pairs = [entry.partition("=")[::2] for entry in text.split()]
        for kid, secret in pairs:
            if not _KID.fullmatch(kid) or len(secret) < MIN_SECRET_CHARACTERS:
                raise PrivacyError(
                    f"USHER_PSEUDONYM_KEYS: each entry must be kid=secret, the kid of a-z and 0-9 (16 at most) and the "
                    f"secret of at least {MIN_SECRET_CHARACTERS} characters; the entry of kid {kid[:16]!r} is not."
                )
        return cls(pairs)


def reduced_ip(address: str, how: str) -> str | None:
    """An address as far as it may be kept: `full`, `truncate` to /24 or /48, `drop`; not an address: None.

    >>> reduced_ip("81.2.69.142", "truncate"), reduced_ip("2001:db8:1:2::3", "truncate")
    ('81.2.69.0', '2001:db8:1::')
    """
    if how == "drop":
        return None
    try:
        ip = ipaddress.ip_address(address.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if how == "full":
        return str(ip)
    prefix = 24 if ip.version == 4 else 48
    return str(ipaddress.ip_network(f"{ip}/{prefix}", strict=False).network_address)
