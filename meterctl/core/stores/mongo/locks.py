"""The locks on MongoDB: one document per name."""

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from meterctl.core.errors import Damaged, StoreUnreachable
from meterctl.core.model import Instant
from meterctl.core.ports import Lease
from meterctl.core.stores.border import lease_of
from meterctl.core.stores.mongo.database import Document, MongoDatabase

#: Tries to read a lock that other holders release at the same time.
_LOOKS = 5


class MongoLocks:
    def __init__(self, database: MongoDatabase) -> None:
        self._database = database
        self._locks = database.locks

    def acquire(self, lease: Lease, now: Instant) -> Lease:
        self._database.require_plain(self._locks)
        with self._database.answered():
            for _ in range(_LOOKS):
                in_force = self._renew(lease) or self._take(lease, now) or self._find(lease.name)
                if in_force is not None:
                    current = _lease(in_force)
                    return lease if isinstance(current, Damaged) else current  # correctness does not need the lock
        raise StoreUnreachable(f"{self._database.place} did not return the holder of the lock {lease.name}")

    def release(self, name: str, holder: str) -> bool:
        with self._database.answered():
            return self._locks.delete_one({"_id": name, "holder": holder}).deleted_count == 1

    def all(self) -> list[Lease | Damaged]:
        with self._database.answered():
            return [_lease(document) for document in self._locks.find().sort("_id", 1)]

    def _find(self, name: str) -> Document | None:
        return self._locks.find_one({"_id": name})

    def _renew(self, lease: Lease) -> Document | None:
        return self._locks.find_one_and_update(
            {"_id": lease.name, "holder": lease.holder},
            {"$set": {"expires_at": lease.expires_at}},
            return_document=ReturnDocument.AFTER,
        )

    def _take(self, lease: Lease, now: Instant) -> Document | None:
        """Return the lock if it was free or its lease was over; one in force clashes with the insert."""
        fields = {"holder": lease.holder, "acquired_at": lease.acquired_at, "expires_at": lease.expires_at}
        try:
            return self._locks.find_one_and_update(
                {"_id": lease.name, "$or": [{"expires_at": {"$lte": now}}, {"expires_at": {"$gt": lease.latest}}]},
                {"$set": fields},
                upsert=True,
                return_document=ReturnDocument.AFTER,
            )
        except DuplicateKeyError:
            return None


def _lease(document: Document) -> Lease | Damaged:
    return lease_of(document | {"name": document["_id"]})
