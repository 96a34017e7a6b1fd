"""The design that meterctl replaced, as faithfully as it can be said in one file: one document per org, its ledger an
array in it, a cached balance beside it, and idempotency by a condition that no element of the array has the ref.

It came from a billing module on MongoDB. Here only debits, topups and a sweep are needed.
"""

from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from pymongo import MongoClient, ReturnDocument, WriteConcern
from pymongo.errors import PyMongoError

from meterctl.process.clock import SystemClock

Document = dict[str, Any]


class ReplacedDesign:
    """Orgs as documents of ``billingextrabalances``."""

    def __init__(self, client: MongoClient[Document]) -> None:
        concern = WriteConcern("majority", j=True)
        self._balances = client["replaced"].get_collection("billingextrabalances", write_concern=concern)
        self._balances.drop()
        self._balances.create_index("organization", unique=True)
        self._archive = client["replaced"].get_collection("archive", write_concern=concern)
        self._archive.drop()
        self._clock = SystemClock()

    def open(self, org: str, ledger: list[Document]) -> None:
        """Return an org with this ledger already in it."""
        balance = sum(entry["amount"] for entry in ledger)
        now = self._clock.now()
        fields = {"cachedBalance": balance, "cachedBalanceAt": now, "createdAt": now, "updatedAt": now, "__v": 0}
        self._balances.replace_one(
            {"organization": org}, {"organization": org, "ledger": ledger, **fields}, upsert=True
        )

    def debit(self, org: str, units: int, ref: str) -> bool:
        """Take units once: in one update, guarded by the balance and by ``$ne`` over all refs of the ledger."""
        now = self._clock.now()
        guard = {"organization": org, "ledger.refId": {"$ne": ref}, "cachedBalance": {"$gte": units}}
        change = {
            "$push": {"ledger": entry("debit", -units, ref, now)},
            "$inc": {"cachedBalance": -units},
            "$set": {"cachedBalanceAt": now, "updatedAt": now},
        }
        wanted = {"cachedBalance": 1}
        after = self._balances.find_one_and_update(guard, change, wanted, return_document=ReturnDocument.AFTER)
        return after is not None

    def sweep(self, org: str) -> None:
        """Start a new week: read the document, archive what it held, and put it back with what is left."""
        found = self._balances.find_one({"organization": org})
        if found is None:
            return
        now = self._clock.now()
        archived = {"organization": org, "ledger": found["ledger"], "balance": found["cachedBalance"], "at": now}
        self._archive.insert_one(archived)
        opening = entry("expiration", 0, f"week-{now}", now)
        fields = {
            "ledger": [opening],
            "cachedBalance": found["cachedBalance"],
            "cachedBalanceAt": now,
            "updatedAt": now,
        }
        self._balances.update_one({"organization": org}, {"$set": fields}, upsert=True)

    def takes(self, org: str, ledger: list[Document]) -> bool:
        """Whether one document can hold that ledger."""
        try:
            self.open(org, ledger)
        except (PyMongoError, BSONError):
            return False
        return True


def entry(kind: str, amount: int, ref: str, at: str) -> Document:
    return {"_id": ObjectId(), "kind": kind, "amount": amount, "refId": ref, "at": at}


def history(length: int) -> list[Document]:
    """Return a topup and debits of one unit, as they lie in the array."""
    at = SystemClock().now()
    debits = [entry("debit", -1, f"{number:024x}:step", at) for number in range(1, length)]
    return [entry("topup", 2**40, "grant", at), *debits]
