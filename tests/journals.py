"""A story in which everything happens that can stand in a journal, for tests of who reads journals."""

import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, cast

from meterctl.core.domain.canonical import NOT_CANONICAL, canonical_text, entry_hash
from meterctl.core.domain.effects import Draft
from meterctl.core.domain.entries import START, Stamp, Tip, book
from meterctl.core.domain.operations import Adjust
from meterctl.core.model import NO_HASH, Instant
from meterctl.core.ports import Store
from meterctl.core.results import Finding, Verification
from meterctl.core.verify import JournalCheck, Sealed, verify_file
from tests.desk import NOON, Desk, request


def tell_story(store: Store | None = None) -> Desk:
    """Book every operation in every form on ``store``: most in ``acme``, a pack that is moved from it to ``beta``, and
    an org that only ever had a plan."""
    desk = Desk(store)
    desk.publish("free", 100)
    desk.publish("pro", 300, llm="1.25")
    _first_day(desk)
    _after_expiry(desk)
    _into_debt(desk)
    _next_week(desk)
    _moved_pack(desk)
    _second_edition(desk)
    desk.assign("pro", "start", org="plain")
    return desk


#: The orgs of the story, in order.
ORGS = ("acme", "beta", "plain")


@cache
def story() -> Desk:
    """The story in memory, for tests that change nothing in it."""
    return tell_story()


def journal(org: str = "acme") -> list[Any]:
    """A journal of the story, read anew."""
    return story().entries(org)


def place_of(key: str) -> int:
    """Where in the journal of ``acme`` the entry of ``key`` stands, from 0."""
    return next(place for place, entry in enumerate(journal()) if entry["key"] == key)


def export_of(desk: Desk) -> list[bytes]:
    """The journals as `meterctl export --all` prints them, line by line."""
    journal = desk.store.journal
    return [f"{canonical_text(entry)}\n".encode() for org in journal.orgs() for entry in journal.read(org)]


def _first_day(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.credit("cs_day", "short")
    desk.debit(120, "d:1")
    desk.run("run:1%", costs={"llm": "0.05", "search": "0.01"})
    desk.run("run:1%", 80, step="more")
    desk.set_terms(max_units_per_run=40)
    desk.run("capped", costs={"llm": "0.2", "search": "0.1"})
    desk.adjust(50, "gift", expires="2026-11-18T00:00:00Z")
    desk.adjust(20, "typo")
    desk.undo(desk.tip()["seq"])
    desk.ledger.one(replace(request(Adjust("acme", -10, "fee")), approved_by="auditor"))
    desk.undo(3)  # the debit: its lots still live
    desk.debit(60, "d:2")


def _after_expiry(desk: Desk) -> None:
    desk.go("2026-11-18T12:00:00Z")
    desk.sweep()
    desk.undo(next(entry["seq"] for entry in desk.entries() if entry["key"] == "debit:d:2"))  # one of its lots is gone
    desk.refund("cs_day", 150, "re_day")  # expired before: mostly forgiven
    desk.refund("cs_1", 101, "re_1")
    desk.reverse("re_1")
    desk.run("late", 3, at="2026-11-17T08:00:00Z")


def _into_debt(desk: Desk) -> None:
    desk.debit(desk.balance() + 30, "d:3", allow_debt=True)
    desk.refund("cs_1", 200, "re_2")
    desk.credit("cs_2", "forever")
    desk.adjust(500, "grant")
    desk.reverse("re_2")  # what had become debt comes back as a lot of its own
    desk.debit(desk.balance(), "d:4")
    desk.run("beyond", 40)
    desk.adjust(-5, "sink", allow_debt=True)
    desk.set_terms(overage="absorb")
    desk.run("absorbed", 10)
    desk.set_terms(overage="debt")


def _next_week(desk: Desk) -> None:
    desk.assign("pro", "upgrade")
    desk.reset("by-hand")
    desk.run("after", 190)
    desk.assign("free", "downgrade")  # reaches thresholds that the larger quota had not
    desk.run("again", 90)
    desk.go("2026-11-25T09:30:00.123Z")
    desk.run("next", 30)
    desk.go("2026-12-09T00:00:00Z")
    desk.credit("cs_3", cents=0)
    desk.debit(7, "d:5")


def _moved_pack(desk: Desk) -> None:
    desk.credit("cs_moved", "forever")
    desk.undo(desk.tip()["seq"])
    desk.credit("cs_moved", "forever", org="beta")
    desk.debit(7, "b:1", org="beta")


def _second_edition(desk: Desk) -> None:
    """Single lots, several names, undone runs, holds, dated plans and rollover."""
    desk.publish("roll", 50, rollover=(20, 2))
    desk.credit("cs_4", "forever", "pi_4", "ch_4", quantity=3, tax_cents=100, cents=2200)
    desk.adjust(30, "promo", priority=10, expires="2026-12-20T00:00:00Z")
    desk.extend(desk.tip()["seq"], "2026-12-30T00:00:00Z", "longer")
    desk.extend(desk.tip()["lot"], None, "for-ever")
    desk.adjust(-5, "one-lot", lot=desk.tip()["lot"])
    desk.adjust(40, "wrong", expires="2027-01-01T00:00:00Z")
    desk.void(desk.tip()["seq"], "void")
    desk.undo(of="void:void")
    desk.run("tenfold", 400)
    desk.run("fine", 20)
    desk.undo(of="run:tenfold:main")
    desk.hold(30, "job", "2h")
    desk.hold(20, "idle", "1h")
    desk.hold(10, "let-go", "3h")
    desk.release("let-go")
    desk.run("job", 15, hold="job")
    desk.assign("roll", "monday", "next-week")
    desk.go("2026-12-22T10:00:00Z")  # the dated plan came into force, and an idle week has rolled over
    desk.run("rolled", 60)
    desk.refund("pi_4", 300, "re_4")


# ----------------------------------------------------------------------------------------------------------- checking


def check_entries(entries: list[Any], org: str = "acme", sealed: Sealed | None = None) -> list[Finding]:
    by_seq = {entry.get("seq"): entry for entry in entries}
    check = JournalCheck(org, by_seq.get, sealed)
    return [finding for entry in entries for finding in check.feed(entry)] + check.finish()


def check_lines(lines: Iterable[bytes]) -> Verification:
    return verify_file(io.BytesIO(b"".join(lines)))


def where(findings: Iterable[Finding]) -> set[tuple[int | None, int]]:
    return {(finding.seq, finding.check) for finding in findings}


# ------------------------------------------------------------------------------------------------- changing documents

Path = tuple[str | int, ...]


def leaves(document: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in ``document`` that holds no other, and every empty list and object, with the way to it."""
    if isinstance(document, (dict, list)) and document:
        for name, value in document.items() if isinstance(document, dict) else enumerate(document):
            yield from leaves(value, (*path, name))
    else:
        yield path, document


def clone(document: Any) -> Any:
    return json.loads(json.dumps(document))


def put(document: Any, path: Path, value: object) -> None:
    """Set what is at ``path`` of ``document``."""
    *way, name = path
    for step in way:
        document = document[step]
    document[name] = value


def another(value: object) -> object:
    """Something like ``value``, of its type wherever that has more than one value."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, str):
        return f"{value[:-2]}{'2' if value[-2] == '1' else '1'}Z" if value.endswith("Z") else value + "x"
    if isinstance(value, list):
        return [*value, 1]
    return {"x": 1} if isinstance(value, dict) else "x"


def rehash(entries: list[Any], prev: str = NO_HASH) -> None:
    """Make the chain whole again, as a forger would; ``prev`` is the hash before the first of ``entries``."""
    for entry in entries:
        entry["prev"] = prev
        try:
            entry["hash"] = prev = entry_hash(entry)
        except NOT_CANONICAL:  # no hash can be right
            entry["hash"] = prev = "f" * 64


def forge(key: str, changes: dict[Path, object]) -> tuple[list[Any], int]:
    """The story with the entry of ``key`` changed at these paths (... takes the field out), and all hashes right."""
    entries, place = journal(), place_of(key)
    for path, value in changes.items():
        if value is ...:
            del entries[place][path[0]]
        else:
            put(entries[place], path, value)
    rehash(entries)
    return entries, place + 1


# ---------------------------------------------------------------------------------------------- what no rule would book

NO_DEBT = {"owed": 0, "overage": 0}


class Scribe:
    """Writes whatever it is told as an entry, with state, seq and hash right: what no rule would book, too."""

    def __init__(self) -> None:
        self.tip: Tip = START
        self.entries: list[Any] = []

    def write(
        self, kind: str, key: str, amount: int, given: dict[str, Any], *, at: str = NOON, **effects: Any
    ) -> "Scribe":
        due = given["op"] in ("expire", "close-week", "run-out", "plan-due")
        stamp = Stamp("meterctl", None, Instant(NOON)) if due else Stamp("tester", "because", Instant(NOON))
        draft = Draft(cast(Any, kind), key, amount, given, effects)
        entry, self.tip = book("acme", self.tip, Instant(at), draft, stamp)
        self.entries.append(entry)
        return self

    def topup(self, session: str, units: int = 100, *, cents: int = 100, expires: str | None = None) -> "Scribe":
        sold: dict[str, Any] = {"pack": "p", "session": session, "paid_cents": cents}
        sold |= {"quantity": 1, "tax_cents": 0, "currency": "usd"}
        return self.write(
            "topup",
            f"session:{session}",
            units,
            {"op": "credit-pack", **sold, "expires_at": None},
            **sold,
            names=[],
            lot=self.tip.seq + 1,
            units=units,
            expires_at=expires,
            repaid=NO_DEBT,
        )

    def expire(self, lot: int, units: int, when: str) -> "Scribe":
        given = {"op": "expire", "lot": lot}
        return self.write("expiration", f"expire:{lot}", -units, given, at=when, lot=lot, units=units, expires_at=when)

    def refund(self, lot: int, session: str, cents: int, units: int) -> "Scribe":
        about: dict[str, Any] = {"session": session, "cents": cents, "refund_id": f"r{self.tip.seq}"}
        draws = [{"lot": lot, "units": units}] if units else []
        key, given = f"refund:r{self.tip.seq}", {"op": "refund", **about}
        return self.write(
            "refund",
            key,
            -units,
            given,
            **about,
            currency="usd",
            lot=lot,
            units=units,
            forgiven=0,
            draws=draws,
            debt=NO_DEBT,
        )

    def undo(self, seq: int, units: int, **about: str) -> "Scribe":
        voided = {"lot": seq, "units": units}
        of = self.entries[seq - 1]["key"] if seq <= len(self.entries) else "debit:none"
        given = {"op": "undo", "of": of}
        return self.write("reversal", f"undo:{of}", -units, given, reverses=seq, voided=voided, **about)

    def usage(self, units: int, quota: int = 100, **effects: Any) -> "Scribe":
        given = {"op": "attribute", "run": "r", "step": "s", "costs": None, "units": units, "plan_version": None}
        counted: dict[str, Any] = {
            "run": "r",
            "step": "s",
            "week": "2026-W47",
            "cycle": 1,
            "units": units,
            "uncovered": 0,
        }
        fresh = {"key": "2026-W47", "cycle": 1, "plan": "p", "version": 1, "quota": quota, "used": 0, "uncovered": 0}
        return self.write(
            "usage",
            "run:r:s",
            0,
            given,
            **{**counted, "uncovered": 0, "overflow": 0, "breakdown": {"default": units}, **effects},
            opened={**fresh, "breakdown": {}, "alerts": []},
        )

    def close_week(self, settled: int, opened: dict[str, Any] | None, **effects: Any) -> "Scribe":
        closed: dict[str, Any] = self.entries[-1]["state"]["week"]
        given = {"op": "close-week", "week": closed["key"], "cycle": closed["cycle"]}
        about: dict[str, Any] = {"closed": closed, "opened": opened, "settled": settled, **effects}
        return self.write("reset", "week:2026-W47", settled, given, at="2026-11-23T00:00:00.000Z", **about)
