"""The claims on MongoDB: ``_id`` is the name, so a name is claimed once."""

from collections.abc import Iterable, Iterator, Sequence

from pymongo.errors import BulkWriteError

from meterctl.core.errors import Damaged, StoreUnreachable, undamaged
from meterctl.core.model import Claim
from meterctl.core.stores.border import claim_of
from meterctl.core.stores.mongo.database import Document, MongoDatabase, find
from meterctl.core.stores.mongo.failures import duplicates


class MongoClaims:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._claims = database.claims

    def take(self, requested: Sequence[Claim]) -> dict[str, Claim]:
        self._database.require_plain(self._claims)
        with self._database.answered():
            clashes = set(self._insert(requested))
            holders = self._find([requested[place].name for place in clashes]) if clashes else {}
        new = {claim.name: claim for place, claim in enumerate(requested) if place not in clashes}
        in_force = new | holders
        if missing := [claim.name for claim in requested if claim.name not in in_force]:
            # Another primary took over between the clash and the read.
            raise StoreUnreachable(f"{self._database.place} did not return the claim on {missing[0]}")
        return in_force

    def holders(self, names: Iterable[str]) -> dict[str, Claim]:
        with self._database.answered():
            return self._find(list(names))

    def move(self, holder: Claim, to: Claim) -> bool:
        change = {"$set": {"org": to.org, "session": to.session}}
        with self._database.answered():
            return self._claims.update_one(_document(holder), change).matched_count == 1

    def read(self, *, after: str = "") -> Iterator[Claim | Damaged]:
        def page(name: str, size: int) -> list[Document]:
            return list(find(self._claims, {"_id": {"$gt": name}}).sort("_id", 1).limit(size))

        yield from map(_claim, self._database.strays(self._claims))
        yield from map(_claim, self._database.stream(page, after, lambda document: document["_id"]))

    def _insert(self, requested: Sequence[Claim]) -> list[int]:
        """Claim the free names; return the positions of the others."""
        try:
            if requested:
                self._claims.insert_many([_document(claim) for claim in requested], ordered=False)
        except BulkWriteError as error:
            return duplicates(error)
        return []

    def _find(self, names: Sequence[str]) -> dict[str, Claim]:
        claims = undamaged(map(_claim, find(self._claims, {"_id": {"$in": names}})))
        return {claim.name: claim for claim in claims}


def _document(claim: Claim) -> Document:
    return {"_id": claim.name, "org": claim.org, "session": claim.session}


def _claim(document: Document) -> Claim | Damaged:
    return claim_of(document["_id"], document.get("org"), document.get("session"))
