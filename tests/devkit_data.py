"""Data as devkit wrote it: healthy orgs with a history each, and every defect that it is known to have, on request."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from bson import Int64, ObjectId

#: Histories begin here; audits look at the data from `NOW`.
START = datetime(2026, 5, 4, tzinfo=UTC)
NOW = datetime(2026, 9, 1, tzinfo=UTC)


class Expected(NamedTuple):
    """A finding that an audit has to make: its kind, and the units owed."""

    finding: str
    units: int | None = None


class OrgData:
    """One org's documents, made entry by entry."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.id = self.new_id()
        self.at = START + timedelta(hours=random.randrange(48))
        self.ledger: list[dict[str, Any]] = []
        self.weeks: list[dict[str, Any]] = []
        self.cached_offset = 0
        self.named_by_text = False
        self.second_ledger: list[dict[str, Any]] = []
        self.expected: list[Expected] = []

    def new_id(self) -> ObjectId:
        return ObjectId(self.random.randbytes(12))

    def later(self, hours: int = 5) -> datetime:
        self.at += timedelta(hours=hours)
        return self.at

    def add(self, kind: str, amount: int, **fields: Any) -> dict[str, Any]:
        entry = {"_id": self.new_id(), "kind": kind, "amount": amount, "at": self.later(), **fields}
        self.ledger.append(entry)
        return entry

    def pack(self, units: int = 100, days: int | None = 300) -> dict[str, Any]:
        expires = {} if days is None else {"expiresAt": self.at + timedelta(days=days)}
        session = f"cs_live_{self.new_id()}"
        return self.add("topup", units, stripeSessionId=session, **expires)

    def grant(self, units: int = 50) -> dict[str, Any]:
        return self.add("topup", units, refId=f"signup_grant-{self.id}", source="signup_grant")

    def debit(self, units: int, ref: str | None = None) -> dict[str, Any]:
        return self.add("debit", -units, refId=ref or str(self.new_id()))

    def expire(self, pack: dict[str, Any], units: int) -> dict[str, Any]:
        return self.add("expiration", -units, refId=f"expire-{pack['_id']}")

    def refund(self, pack: dict[str, Any], units: int, cents: int = 500) -> dict[str, Any]:
        session = pack["stripeSessionId"]
        ref = f"refund-{session}-{cents}-{self.new_id()}"
        return self.add("refund", -units, stripeSessionId=session, refId=ref)

    def week(self, key: str, used: int, quota: int = 200, **fields: Any) -> dict[str, Any]:
        runs = [f"{self.new_id()}", f"{self.new_id()}:fetch"]
        week = {
            "organizationId": self.id,
            "weekKey": key,
            "month": "2026-05",
            "meterUsed": Int64(used),
            "meterQuota": quota,
            "planVersion": 1,
            "meterBreakdown": {"llm": used // 2, "search": used - used // 2},
            "consumedAttributionKeys": runs,
            **fields,
        }
        self.weeks.append(week)
        return week

    def documents(self) -> dict[str, list[dict[str, Any]]]:
        total = sum(entry["amount"] for entry in [*self.ledger, *self.second_ledger])
        named: Any = str(self.id) if self.named_by_text else self.id
        ledger = {
            "organization": named,
            "ledger": self.ledger,
            "cachedBalance": total - sum(entry["amount"] for entry in self.second_ledger) + self.cached_offset,
            "createdAt": START,
            "__v": 0,
        }
        ledgers = [ledger]
        if self.second_ledger:
            second = {"organization": str(self.id), "ledger": self.second_ledger, "createdAt": NOW}
            ledgers.append({**second, "cachedBalance": sum(entry["amount"] for entry in self.second_ledger)})
        plan = {"organization": self.id, "plan": self.random.choice(["free", "pro"]), "status": "active"}
        return {"billingextrabalances": ledgers, "billingusages": self.weeks, "subscriptions": [plan]}

    @property
    def total(self) -> int:
        return sum(entry["amount"] for entry in [*self.ledger, *self.second_ledger])


def healthy(random: Random) -> OrgData:
    """An org with nothing wrong: packs, grants, debits, a partial refund, a right expiration, weeks with overflow."""
    org = OrgData(random)
    if random.random() < 0.5:
        org.grant()
    for _ in range(random.randrange(1, 3)):
        org.pack(random.choice([100, 500, 1000]))
    for _ in range(random.randrange(3)):
        org.debit(random.randrange(1, 30))
    if random.random() < 0.3:
        brief = org.pack(100, days=2)
        org.later(60)
        org.expire(brief, 100)
    if random.random() < 0.3:
        pack = org.pack(200)
        org.refund(pack, 50)
    overflowing = org.week("2026-W19", 230)
    org.debit(30, overflowing["consumedAttributionKeys"][0])
    org.week("2026-W20", 150, alertedAt80=NOW, archivedAt=NOW)
    return org


def _whole_pack(org: OrgData) -> None:
    pack = org.pack(100, days=2)
    org.ledger.append(org.ledger.pop())
    used = next(entry for entry in org.ledger if entry is pack)
    assert used["amount"] == 100
    org.debit(80)
    org.later(60)
    org.expire(pack, 100)
    org.expected.append(Expected("whole_pack_expiration", 80))


def _refund_above(org: OrgData) -> None:
    pack = org.pack(100)
    org.refund(pack, 100)
    org.refund(pack, 30)
    org.expected.append(Expected("refund_above_topup", 30))


def _claw_after_expiry(org: OrgData) -> None:
    pack = org.pack(100, days=2)
    org.later(60)
    org.expire(pack, 100)
    org.refund(pack, 40)
    org.expected.append(Expected("clawback_after_expiry", 40))


def _not_expired(org: OrgData) -> None:
    org.pack(100, days=2)
    org.expected.append(Expected("not_expired", -100))


def _twice(org: OrgData) -> None:
    org.add("debit", -7, refId=org.debit(7)["refId"])
    org.expected.append(Expected("booked_twice", 7))


def _session_twice(org: OrgData) -> None:
    org.add("topup", 100, stripeSessionId=org.pack(100)["stripeSessionId"])
    org.expected.append(Expected("booked_twice", -100))


def _wrong_sign(org: OrgData) -> None:
    org.add("debit", 9, refId=str(org.new_id()))
    org.expected.append(Expected("wrong_sign", -18))


def _no_id(org: OrgData) -> None:
    del org.debit(3)["_id"]
    org.expected.append(Expected("no_id"))


def _cached(org: OrgData) -> None:
    org.cached_offset = 11
    org.expected.append(Expected("cached_balance"))


def _text_id(org: OrgData) -> None:
    org.named_by_text = True
    org.expected.append(Expected("text_org_id"))


def _two_documents(org: OrgData) -> None:
    org.second_ledger.append(
        {"_id": org.new_id(), "kind": "debit", "amount": -2, "refId": str(org.new_id()), "at": NOW}
    )
    org.expected += [Expected("two_documents"), Expected("text_org_id")]


def _two_weeks(org: OrgData) -> None:
    org.week("2026-W20", 10)
    org.expected.append(Expected("two_weeks"))


def _overflow(org: OrgData) -> None:
    org.week("2026-W21", 260)
    org.expected.append(Expected("overflow_not_debited", -60))


def _settled_free(org: OrgData) -> None:
    org.add("adjustment", 25, refId="settle:2026-W22")
    org.expected.append(Expected("settlement_not_charged", -25))


def _settled_charged(org: OrgData) -> None:
    week = org.week("2026-W23", 40)
    week["consumedAttributionKeys"].append("settle:2026-W22")
    week["meterUsed"] = Int64(65)
    org.expected.append(Expected("settlement_not_credited", 25))


def _breakdown(org: OrgData) -> None:
    org.week("2026-W24", 40, meterBreakdown={"llm": 30})
    org.expected.append(Expected("breakdown_differs"))


def _leftover(org: OrgData) -> None:
    org.week("2026-W25", 40, consumedHistoryIds=[org.new_id()])
    org.expected.append(Expected("leftover_history_ids"))


#: Every defect by name: what it does to a healthy org, and in `expected` what an audit then has to say.
DEFECTS: dict[str, Callable[[OrgData], None]] = {
    "whole_pack": _whole_pack,
    "refund_above": _refund_above,
    "claw_after_expiry": _claw_after_expiry,
    "not_expired": _not_expired,
    "twice": _twice,
    "session_twice": _session_twice,
    "wrong_sign": _wrong_sign,
    "no_id": _no_id,
    "cached": _cached,
    "text_id": _text_id,
    "two_documents": _two_documents,
    "two_weeks": _two_weeks,
    "overflow": _overflow,
    "settled_free": _settled_free,
    "settled_charged": _settled_charged,
    "breakdown": _breakdown,
    "leftover": _leftover,
}


def generate(orgs: int, seed: int = 1, *, every: int = 5) -> list[OrgData]:
    """Make this many orgs; one in ``every`` so many has a defect, in turn."""
    random, made, names = Random(seed), [], list(DEFECTS)
    for number in range(orgs):
        org = healthy(random)
        if number % every == 0:
            DEFECTS[names[number // every % len(names)]](org)
        made.append(org)
    return made


def write(database: Any, orgs: list[OrgData]) -> None:
    """Put the documents into a database."""
    for name in ("billingextrabalances", "billingusages", "subscriptions"):
        documents = [document for org in orgs for document in org.documents()[name]]
        if documents:
            database[name].insert_many(documents)
