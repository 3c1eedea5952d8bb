"""A profile as a person reads it."""

import time
from datetime import datetime
from typing import Any

from elasticsearch import Elasticsearch, NotFoundError

from usher.features import PRODUCT_FEATURES, ROLLING_COUNTERS, SLOTS

HALF_HOUR_S = 1800


def read(elasticsearch: str, user_id: str, now: float | None = None, **login: Any) -> dict[str, Any] | None:
    """The profile of a user by any of their ids, as it is at this moment (`now`, seconds), or None.

    `login` is what elasticsearch-py needs beside the address (`usher.access.elasticsearch_login`).
    """
    with Elasticsearch(**{"hosts": elasticsearch} | login) as client:
        document = _source(client, "profiles", user_id)
        owner = None if document else _source(client, "identities", user_id)
        if owner:
            document = _source(client, "profiles", owner["user_id"])
    return None if document is None else as_of(document, time.time() if now is None else now)


def _source(client: Elasticsearch, index: str, document_id: str) -> dict[str, Any] | None:
    try:
        return dict(client.get(index=index, id=document_id)["_source"])
    except NotFoundError:
        return None


def as_of(profile: dict[str, Any], now: float) -> dict[str, Any]:
    """The rolling counters of one who has been silent for 30 minutes are zero, whenever they were written."""
    updated = datetime.fromisoformat(profile["updated_at"]).timestamp()
    return profile | dict.fromkeys(ROLLING_COUNTERS, 0) if now - updated > HALF_HOUR_S else profile


def explained(profile: dict[str, Any]) -> str:
    """Who it is, what they did, what they see and why: a few lines of text."""
    likes = sorted(((profile["preferences"][name], name) for name in PRODUCT_FEATURES), reverse=True)[:3]
    place = " ".join(filter(None, (profile["city"], profile["country"], profile["continent"]))) or "somewhere"
    lines = [
        f"[bold]{profile['user_id']}[/] in {place}, {profile['device_type']} ({profile['os']}, {profile['browser']})",
        f"  did: {profile['events_total']} events ({profile['events_30m']} in 30 min), "
        f"{profile['sessions_total']} sessions, {profile['pages_viewed']} pages, "
        f"{profile['steps_completed']} steps, {profile['features_used']} feature uses",
        f"  will like: {', '.join(f'{name} {p:.0%}' for p, name in likes)}; "
        f"engagement {profile['engagement_score']:.0f}/100",
    ]
    for slot in SLOTS[:3]:
        decision = profile["decisions"][slot]
        lines.append(f"  {slot}: [cyan]{decision['content']}[/] by rule {decision['rule']} ({decision['reason']})")
    lines.append(f"  next steps: {' → '.join(profile['steps'])}")
    return "\n".join(lines)
