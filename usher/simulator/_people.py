"""Who the newcomers are: addresses, user agents, and the latent traits that drive what they do."""

import uuid
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from usher.features import PRODUCT_FEATURES


class Country(NamedTuple):
    """A locale and public addresses that geo databases place in the country; addresses are data, nothing is sent."""

    locale: str
    weight: int
    continent: str
    addresses: tuple[str, ...]


COUNTRIES = {
    "US": Country("en-US", 24, "NA", ("8.8.8.8", "12.34.56.78", "66.220.144.10", "73.10.20.30", "98.10.20.30")),
    "DE": Country("de-DE", 9, "EU", ("91.10.20.30", "79.200.10.20", "87.123.45.67")),
    "GB": Country("en-GB", 9, "EU", ("86.10.20.30", "81.100.20.30")),
    "FR": Country("fr-FR", 7, "EU", ("90.10.20.30", "82.64.10.20", "78.192.1.1")),
    "ES": Country("es-ES", 4, "EU", ("83.32.1.1", "88.0.1.1", "80.24.1.1")),
    "NL": Country("nl-NL", 3, "EU", ("84.24.1.1", "77.160.1.1", "145.97.1.1")),
    "PL": Country("pl-PL", 3, "EU", ("83.0.1.1", "178.36.1.1")),
    "IN": Country("en-IN", 14, "AS", ("49.36.1.2", "106.192.1.1", "117.192.1.1")),
    "JP": Country("ja-JP", 5, "AS", ("126.10.20.30", "133.10.20.30", "219.100.1.1")),
    "BR": Country("pt-BR", 7, "SA", ("177.10.20.30", "187.10.20.30", "189.40.1.1")),
    "CA": Country("en-CA", 4, "NA", ("99.224.1.1", "70.24.1.1", "24.80.1.1")),
    "MX": Country("es-MX", 3, "NA", ("187.128.1.1", "189.128.1.1", "201.128.1.1")),
    "AU": Country("en-AU", 3, "OC", ("1.120.1.1", "101.160.1.1")),
    "NG": Country("en-NG", 3, "AF", ("105.112.1.1", "197.210.1.1", "41.58.1.1")),
    "ZA": Country("en-ZA", 2, "AF", ("41.0.1.1", "196.25.1.1")),
}
"""Checked against @ip-location-db/geo-whois-asn-country-mmdb 2.3.2026061719."""

_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_SAFARI = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
USER_AGENTS = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36": ("desktop", 30),
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0": ("desktop", 8),
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_SAFARI} Version/17.5 Safari/605.1.15": ("desktop", 14),
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0": ("desktop", 5),
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) {_SAFARI} Version/17.5 Mobile/15E148 Safari/604.1": (
        "mobile",
        18,
    ),
    f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {_WEBKIT} Chrome/126.0.0.0 Mobile Safari/537.36": ("mobile", 17),
    f"Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) {_SAFARI} Version/16.6 Mobile/15E148 Safari/604.1": ("tablet", 5),
    f"Mozilla/5.0 (Linux; Android 13; SM-X200) {_WEBKIT} Chrome/126.0.0.0 Safari/537.36": ("tablet", 2),
    "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko)": ("other", 1),
}
"""User agent -> (device type, weight)."""

_TASTE = {
    "desktop": (1.4, 1.3, 1.0, 1.3, 1.0, 0.8),
    "mobile": (0.6, 0.7, 1.5, 0.6, 0.9, 1.6),
    "tablet": (0.9, 0.7, 1.5, 0.7, 1.5, 1.0),
    "other": (1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
}
"""How much likelier a device makes each of PRODUCT_FEATURES: what a model can know before the first click."""


@dataclass(frozen=True)
class Newcomer:
    """One person; `preference`, `patience` and `energy` are the latent truth that no message carries."""

    user_id: str
    anonymous_id: str
    country: str
    continent: str
    ip: str
    locale: str
    user_agent: str
    device_type: str
    preference: tuple[float, ...]
    """Shares over PRODUCT_FEATURES, summing to 1."""
    patience: float
    """0..1: completes steps rather than skipping them, signs up rather than leaving."""
    energy: float
    """Around 1: longer sessions, sooner back."""


def newcomer(number: int, seed: int, rng: Random) -> Newcomer:
    """The newcomer of that number, from the generator given."""
    code = rng.choices([*COUNTRIES], [country.weight for country in COUNTRIES.values()])[0]
    country = COUNTRIES[code]
    user_agent = rng.choices([*USER_AGENTS], [weight for _, weight in USER_AGENTS.values()])[0]
    device_type = USER_AGENTS[user_agent][0]
    pull = [rng.gammavariate(0.5, 1.0) * taste for taste in _TASTE[device_type]]
    return Newcomer(
        user_id=f"u-{seed}-{number:06d}",
        anonymous_id=new_id(rng),
        country=code,
        continent=country.continent,
        ip=rng.choice(country.addresses),
        locale=country.locale,
        user_agent=user_agent,
        device_type=device_type,
        preference=tuple(share / sum(pull) for share in pull),
        patience=rng.betavariate(3, 1.5),
        energy=rng.lognormvariate(0, 0.6) * (0.8 if device_type == "mobile" else 1.1),
    )


def new_id(rng: Random) -> str:
    """A version 4 UUID that the seed determines."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


assert all(len(taste) == len(PRODUCT_FEATURES) for taste in _TASTE.values())
