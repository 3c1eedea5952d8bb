"""Places checked against MaxMind's published test data, devices against user agents read by hand."""

from pathlib import Path

import pytest

from usher.enrich import ENRICHED_COLUMNS, Device, Devices, Enricher, Geo, GeoDatabaseError, Place, enrich
from usher.enrich._continents import CONTINENT_OF
from usher.features import CONTINENTS, DEVICE_TYPES

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
ANDROID = "Mozilla/5.0 (Linux; Android {}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0{} Safari/537.36"
IOS = "Mozilla/5.0 ({}) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
MAC = ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
       "Version/17.5 Safari/605.1.15")  # fmt: skip

USER_AGENTS = {
    CHROME: Device("desktop", "Windows", "Chrome"),
    MAC: Device("desktop", "Mac OS X", "Safari"),
    "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0": Device("desktop", "Linux", "Firefox"),
    IOS.format("iPhone; CPU iPhone OS 17_5 like Mac OS X"): Device("mobile", "iOS", "Mobile Safari"),
    IOS.format("iPad; CPU OS 16_6 like Mac OS X"): Device("tablet", "iOS", "Mobile Safari"),
    ANDROID.format("14; Pixel 8", " Mobile"): Device("mobile", "Android", "Chrome Mobile"),
    ANDROID.format("13; SM-X200", ""): Device("tablet", "Android", "Chrome"),
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": Device(
        "other", None, "Googlebot", True
    ),
    "curl/8.4.0": Device("other", None, "curl", True),
    "nonsense": Device(),
}


@pytest.mark.parametrize(
    ("ip", "place"),
    [
        ("81.2.69.142", Place("GB", "EU", "England", "London")),
        ("2.125.160.216", Place("GB", "EU", "England", "Boxford")),
        ("216.160.83.56", Place("US", "NA", "Washington", "Milton")),
        ("2001:218::1", Place("JP", "AS", None, None)),
        ("127.0.0.1", Place()),
        ("999.1.1.1", Place()),
        ("", Place()),
        (None, Place()),
    ],
)
def test_city_database(databases: Path, ip: str | None, place: Place) -> None:
    assert Geo(databases / "GeoIP2-City-Test.mmdb").lookup(ip) == place


def test_country_database(databases: Path) -> None:
    assert Geo(databases / "GeoIP2-Country-Test.mmdb").lookup("81.2.69.160") == Place("GB", "EU")


def test_database_of_country_codes_alone(databases: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    geo = Geo(databases / "GeoIP2-Country-Test.mmdb")

    class Reader:
        def get(self, ip: str) -> dict[str, str]:
            return {"country_code": "DE"}  # the format of ip-location-db

    monkeypatch.setattr(geo, "_reader", Reader())
    assert geo.lookup("1.2.3.4") == Place("DE", "EU")


def test_ipv6_asked_of_an_ipv4_database(databases: Path) -> None:
    assert Geo(databases / "MaxMind-DB-test-ipv4-24.mmdb").lookup("2001:218::1") == Place()


def test_missing_and_broken_databases_name_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "broken.mmdb").write_bytes(b"not a database")
    for name in ("missing.mmdb", "broken.mmdb"):
        with pytest.raises(GeoDatabaseError, match=f"{name}.*make geo"):
            Geo(tmp_path / name)


def test_every_continent_is_a_model_input() -> None:
    assert set(CONTINENT_OF.values()) == set(CONTINENTS)
    assert [CONTINENT_OF[c] for c in ("DE", "US", "JP", "BR", "AU", "NG", "AQ")] == [
        "EU",
        "NA",
        "AS",
        "SA",
        "OC",
        "AF",
        "AN",
    ]


@pytest.mark.parametrize(("user_agent", "device"), USER_AGENTS.items())
def test_devices(user_agent: str, device: Device) -> None:
    assert Devices().parse(user_agent) == device
    assert device.device_type in DEVICE_TYPES


def test_no_user_agent_is_an_unknown_device() -> None:
    assert Devices().parse(None) == Devices().parse("") == Device()


def test_columns(databases: Path) -> None:
    columns = Enricher(databases / "GeoIP2-City-Test.mmdb")(["81.2.69.142", None], [CHROME, None])
    assert tuple(columns) == ENRICHED_COLUMNS
    assert [*zip(*columns.values(), strict=True)] == [
        ("GB", "EU", "England", "London", "desktop", "Windows", "Chrome", False),
        (None, None, None, None, "other", None, None, False),
    ]
    assert enrich(["81.2.69.142"], [None], databases / "GeoIP2-City-Test.mmdb")["country"] == ["GB"]
    with pytest.raises(ValueError, match="1 addresses but 2 user agents"):
        enrich([None], [None, None], databases / "GeoIP2-City-Test.mmdb")
