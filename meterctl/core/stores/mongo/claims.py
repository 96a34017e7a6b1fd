"""The claims on MongoDB: ``_id`` is the session, so a session is claimed once."""

from collections.abc import Iterable, Iterator, Sequence

from pymongo.errors import BulkWriteError

from meterctl.core.errors import Damaged, StoreUnreachable
from meterctl.core.stores.border import claim_of, undamaged
from meterctl.core.stores.mongo.database import Database, Document, find
from meterctl.core.stores.mongo.failures import duplicates


class MongoClaims:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._claims = database.claims

    def take(self, wanted: Sequence[tuple[str, str]]) -> dict[str, str]:
        with self._database.answered():
            clashed = self._insert(wanted)
            holders = self._find([wanted[place][0] for place in clashed]) if clashed else {}
        taken = {session: org for place, (session, org) in enumerate(wanted) if place not in set(clashed)}
        answer = taken | holders
        if unseen := [session for session, _ in wanted if session not in answer]:
            # Another primary took over between the clash and the look.
            raise StoreUnreachable(f"{self._database.place} could not tell who holds {unseen[0]}")
        return answer

    def holders(self, sessions: Iterable[str]) -> dict[str, str]:
        with self._database.answered():
            return self._find(list(sessions))

    def move(self, session: str, holder: str, to: str) -> bool:
        with self._database.answered():
            return self._claims.update_one({"_id": session, "org": holder}, {"$set": {"org": to}}).matched_count == 1

    def read(self, *, after: str = "") -> Iterator[tuple[str, str] | Damaged]:
        def page(session: str, size: int) -> list[Document]:
            return list(find(self._claims, {"_id": {"$gt": session}}).sort("_id", 1).limit(size))

        yield from (claim_of(stray["_id"], None) for stray in self._database.strays(self._claims))
        yield from map(_claim, self._database.stream(page, after, lambda document: document["_id"]))

    def _insert(self, wanted: Sequence[tuple[str, str]]) -> list[int]:
        """Claim what is free; the places of those that are not."""
        try:
            if wanted:
                self._claims.insert_many([{"_id": session, "org": org} for session, org in wanted], ordered=False)
        except BulkWriteError as error:
            return duplicates(error)
        return []

    def _find(self, sessions: Sequence[str]) -> dict[str, str]:
        claims = map(_claim, find(self._claims, {"_id": {"$in": sessions}}))
        return dict(map(undamaged, claims))


def _claim(document: Document) -> tuple[str, str] | Damaged:
    return claim_of(document["_id"], document.get("org"))
