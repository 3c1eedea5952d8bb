"""User agent to device, by ua-parser on its Rust regex backend."""

import re
from functools import lru_cache
from typing import NamedTuple

import ua_parser
from ua_parser.loaders import load_builtins
from ua_parser.regex import Resolver


class Device(NamedTuple):
    """What a user agent says: `device_type` is one of `usher.features.DEVICE_TYPES`; os and browser are families."""

    device_type: str = "other"
    os: str | None = None
    browser: str | None = None
    is_bot: bool = False


UNKNOWN_DEVICE = Device()

_DESKTOP_OS = {"Windows", "Mac OS X", "Linux", "Chrome OS", "Ubuntu", "Fedora", "Debian", "FreeBSD", "OpenBSD"}
_MOBILE_OS = {"iOS", "Android", "Windows Phone", "BlackBerry OS", "KaiOS", "HarmonyOS"}
_TABLET = re.compile(r"iPad|Tablet|Kindle|Silk/|PlayBook", re.IGNORECASE)
_SCREENLESS = re.compile(r"SMART-TV|SmartTV|\bTV\b|\bAFT[A-Z]{1,4}\b|CrKey|PlayStation|Xbox", re.IGNORECASE)
_BOT = re.compile(
    r"bot\b|bot/|crawl|spider|slurp|headless|lighthouse|facebookexternalhit|preview"
    r"|^(curl|wget|python|go-http|java|okhttp|libwww|axios|node|postman)",
    re.IGNORECASE,
)


class Devices:
    """`Devices().parse("Mozilla/5.0 (iPhone; ...").device_type == "mobile"`."""

    def __init__(self, cache_size: int = 16_384) -> None:
        self._parser = ua_parser.Parser(Resolver(load_builtins()))
        self._cached = lru_cache(cache_size)(self._parse)

    def parse(self, user_agent: str | None) -> Device:
        """The device of a user agent; no user agent is an unknown device, not a bot."""
        return self._cached(user_agent) if isinstance(user_agent, str) and user_agent else UNKNOWN_DEVICE

    def _parse(self, user_agent: str) -> Device:
        parsed = self._parser.parse(user_agent)
        os = parsed.os.family if parsed.os else None
        browser = parsed.user_agent.family if parsed.user_agent else None
        family = parsed.device.family if parsed.device else ""
        brand = (parsed.device.brand if parsed.device else None) or ""
        is_bot = family == "Spider" or bool(_BOT.search(user_agent))
        return Device("other" if is_bot else _device_type(user_agent, os, brand), os, browser, is_bot)


def _device_type(user_agent: str, os: str | None, brand: str) -> str:
    if _SCREENLESS.search(user_agent):
        return "other"
    if _TABLET.search(user_agent) or brand == "Generic_Android_Tablet":
        return "tablet"
    if os == "Android" and "Mobile" not in user_agent and "Mozilla/" in user_agent:
        return "tablet"  # Chrome for Android says "Mobile" on phones only
    if os in _MOBILE_OS:
        return "mobile"
    return "desktop" if os in _DESKTOP_OS else "other"
