"""Profiles read one by one, newest first, for what Elasticsearch itself cannot add up."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from usher.service.elastic import Elastic

SCANNED = 20_000
"""Profiles read at most: 0.6 s of this process's time, in slices, and several of a busy Elasticsearch's."""
PAGE = 1_000
PEOPLE: dict[str, Any] = {"bool": {"must_not": {"term": {"is_bot": True}}}}
"""The query for everyone but bots."""


async def newest(
    elastic: Elastic, query: Mapping[str, Any], by: str, fields: Sequence[str]
) -> AsyncIterator[dict[str, Any]]:
    """Those fields of the `SCANNED` profiles that match and whose time `by` is the latest."""
    asked: dict[str, Any] = {"query": query, "size": PAGE, "_source": [*fields], "track_total_hits": False}
    asked["sort"] = [{by: "desc"}, {"user_id": "asc"}]
    for _ in range(SCANNED // PAGE):
        hits = (await elastic.ask("POST", "profiles/_search", asked))["hits"]["hits"]
        for hit in hits:
            yield hit["_source"]
        if len(hits) < PAGE:
            return
        asked["search_after"] = hits[-1]["sort"]
