"""The schema of the database: collections, indexes, the journal's validator, and the roles to use them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from meterctl.core.model import MAX_UNITS, SIGNS, Sign

JOURNAL, HEADS, CLAIMS, PLANS, LOCKS = "journal", "heads", "claims", "plans", "locks"

BY_ID = "_id_"
BY_SEQ, BY_KIND, BY_SESSION, BY_FIRST = "org_seq", "org_kind", "org_session", "first"
BY_ALERT, BY_ORG_ALERT, BY_RECORDED_ALERT = "alert", "org_alert", "recorded_alert"
BY_DUE = "due"

ROLE, READER_ROLE = "meterctl", "meterctlReader"


#: The added field of an entry that crossed a threshold or fell below a balance: a partial index cannot express "or".
ALERTING: Mapping[str, Any] = {"alerting": {"$exists": True}}


class Index(NamedTuple):
    """A required index; ``partial`` is the condition on the documents it covers, all if None."""

    name: str
    keys: tuple[tuple[str, int], ...]
    unique: bool = False
    partial: Mapping[str, Any] | None = None


# MongoDB 4.4 knows only equality, $exists, $gt and the like, $type and $and in a partial index. An entry in the middle
# of a journal touches `_id`, `org_seq` and `org_kind`: each further index would cost a backfill about a tenth.
_INDEXES: dict[str, tuple[Index, ...]] = {
    JOURNAL: (
        # Keeps a journal a sequence: two writers never both append on top of the same entry.
        Index(BY_SEQ, (("org", 1), ("seq", 1)), unique=True),
        # Finds the few entries of a kind, or that move units, among a million others.
        Index(BY_KIND, (("org", 1), ("kind", 1), ("moving", 1), ("seq", 1))),
        # Finds the entries of a payment. Usage and debits have no session and cost nothing here.
        Index(BY_SESSION, (("org", 1), ("session", 1), ("seq", 1)), partial={"session": {"$exists": True}}),
        # Lists orgs without reading all their entries: one index entry per org.
        Index(BY_FIRST, (("seq", 1), ("org", 1)), partial={"seq": 1}),
        # Find the few runs that crossed a threshold: of all orgs, of one, and in the order of a feed.
        Index(BY_ALERT, (("at", 1), ("org", 1), ("seq", 1)), partial=ALERTING),
        Index(BY_ORG_ALERT, (("org", 1), ("at", 1), ("seq", 1)), partial=ALERTING),
        Index(BY_RECORDED_ALERT, (("recorded_at", 1), ("org", 1), ("seq", 1)), partial=ALERTING),
    ),
    # Finds due orgs without reading the others; covers only orgs with a `next_due`.
    HEADS: (Index(BY_DUE, (("head.next_due", 1), ("_id", 1)), partial={"head.next_due": {"$exists": True}}),),
}


def expected_indexes() -> dict[str, tuple[Index, ...]]:
    """Return the required indexes of each collection, besides that of ``_id``."""
    return dict(_INDEXES)


# Query operators, because the same checks as $jsonSchema take the server about twice as long.
# `$not array` because a query also looks into arrays, where [-5] passes for -5. A shell writes doubles for integers.
_INTEGER = {"$type": ["int", "long"], "$not": {"$type": "array"}}
_UNITS = {**_INTEGER, "$gte": -MAX_UNITS, "$lte": MAX_UNITS}
_TEXT = {"$type": "string"}
_OBJECT = {"$type": "object"}

_FIELDS: dict[str, dict[str, Any]] = {
    "v": _INTEGER,
    "org": _TEXT,
    "seq": {**_INTEGER, "$gte": 1, "$lte": MAX_UNITS},
    "key": _TEXT,
    "amount": _UNITS,
    "balance": _UNITS,
    "at": _TEXT,
    "recorded_at": _TEXT,
    "actor": _TEXT,
    "reason": {"$type": ["string", "null"]},
    "input": _OBJECT,
    "state": _OBJECT,
    "prev": _TEXT,
    "hash": _TEXT,
}

_OPERATORS: dict[Sign, dict[str, Any]] = {
    "> 0": {"$gt": 0},
    "< 0": {"$lt": 0},
    ">= 0": {"$gte": 0},
    "<= 0": {"$lte": 0},
    "!= 0": {"$ne": 0},
    "= 0": {"$eq": 0},
    "any": _INTEGER,
}


def expected_validator() -> dict[str, Any]:
    """Return the validator that the server runs on every document written to the journal."""
    # Keys are unique because `_id` is, so `_id` must be built from the key.
    identity = {"$eq": ["$_id", {"$concat": ["$org", " ", "$key"]}]}
    moving = {"$eq": ["$moving", {"$ne": ["$amount", 0]}]}
    # Repeats the sign table of the rules, for writers other than this program. An unknown kind matches nothing. The
    # server tries one after the other, so the most frequent kind comes first.
    kinds = sorted(SIGNS, key=lambda kind: kind != "usage")
    signs = [{"kind": kind, "amount": _OPERATORS[SIGNS[kind]]} for kind in kinds]
    alerts = {"$or": [{"$gt": ["$alerts", None]}, {"$gt": ["$low", None]}]}
    alerting = {"$eq": [{"$gt": ["$alerting", None]}, alerts]}
    return {**_FIELDS, "$or": signs, "$expr": {"$and": [identity, moving, alerting]}}


#: The rights that booking needs in each collection; `init` needs more. Nothing may change or remove an entry.
_ACTIONS: dict[str, tuple[str, ...]] = {
    JOURNAL: ("find", "insert", "listIndexes"),
    HEADS: ("find", "insert", "update", "listIndexes"),
    CLAIMS: ("find", "insert", "update"),
    PLANS: ("find", "insert"),
    LOCKS: ("find", "insert", "update", "remove"),
}

#: The rights that only read.
_READING = {"find", "listIndexes"}


def least_roles(database: str, prefix: str = "") -> dict[str, dict[str, Any]]:
    """Return the commands that create the least privileged roles: ``role`` to book, ``reader_role`` to read.

    Either suffices for `doctor`.
    """
    reading = {name: tuple(action for action in actions if action in _READING) for name, actions in _ACTIONS.items()}
    return {
        "role": _role(f"{prefix}{ROLE}", database, prefix, _ACTIONS),
        "reader_role": _role(f"{prefix}{READER_ROLE}", database, prefix, reading),
    }


def _role(role: str, database: str, prefix: str, actions: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    rights = [("", ("listCollections",)), *((prefix + name, allowed) for name, allowed in actions.items())]
    privileges = [
        {"resource": {"db": database, "collection": collection}, "actions": list(allowed)}
        for collection, allowed in rights
    ]
    return {"createRole": role, "privileges": privileges, "roles": []}
