"""Profiles by id, within a time budget: Elasticsearch reads by id are realtime."""

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from usher.service.elastic import Elastic, ElasticError

Profile = dict[str, Any]


class ProfilesUnavailable(Exception):
    """Elasticsearch did not answer within the budget, or not as it should."""


class Profiles:
    """`await Profiles(Elastic(["http://localhost:9200"]), 50).get(["u1"])`: the document, or None."""

    def __init__(self, elastic: Elastic, budget_ms: float) -> None:
        self._elastic, self._budget_s = elastic, budget_ms / 1000

    async def get(self, ids: Sequence[str]) -> Profile | None:
        """The profile under the first of these ids that has one, or of whom they were merged into.

        Raises `ProfilesUnavailable` when the budget is spent.
        """
        try:
            async with asyncio.timeout(self._budget_s):
                found = await (self._one(ids[0]) if len(ids) == 1 else self._first(ids))
                return found if found is not None else await self._merged(ids)
        except (TimeoutError, ElasticError, ValueError, KeyError, TypeError) as error:
            raise ProfilesUnavailable(type(error).__name__) from error

    async def _one(self, user_id: str) -> Profile | None:
        document = await self._elastic.ask("GET", f"profiles/_doc/{quote(user_id, safe='')}")
        return dict(document["_source"]) if document["found"] else None

    async def _first(self, ids: Sequence[str], index: str = "profiles") -> Profile | None:
        docs = [{"_index": index, "_id": user_id} for user_id in ids]
        answer = await self._elastic.ask("POST", "_mget", {"docs": docs})
        return next((dict(found["_source"]) for found in answer["docs"] if found.get("found")), None)

    async def _merged(self, ids: Sequence[str]) -> Profile | None:
        """By an id that was merged into another: `identities` says into whose."""
        identity = await self._first(ids, "identities")
        return None if identity is None else await self._one(identity["user_id"])
