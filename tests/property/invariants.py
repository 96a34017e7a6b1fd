"""What holds of every journal, whatever happened: asserted from the entries alone, with none of the program's own code.

`check_entry` is given the entries one by one and carries what they must agree with; a failure names the entry.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from meterctl.core.errors import sound
from meterctl.core.model import Entry
from meterctl.core.ports import Store
from tests.builders import holders
from tests.independent_checker import EMPTY, after

LIMIT = 2**53 - 1

SIGNS: dict[str, Callable[[int], bool]] = {
    "topup": lambda amount: amount > 0,
    "debit": lambda amount: amount < 0,
    "refund": lambda amount: amount <= 0,
    "expiration": lambda amount: amount < 0,
    "adjustment": lambda amount: amount != 0,
    "reversal": lambda _: True,
    "usage": lambda amount: amount <= 0,
    "reset": lambda amount: amount >= 0,
    "plan": lambda amount: amount == 0,
    "extension": lambda amount: amount == 0,
    "hold": lambda amount: amount == 0,
    "release": lambda amount: amount == 0,
}


def sum_units(draws: Iterable[Mapping[str, Any]]) -> int:
    return sum(drawn["units"] for drawn in draws)


class Journal:
    """The journal of one org, entry by entry."""

    def __init__(self) -> None:
        self.last: dict[str, Any] | None = None
        self.lots: dict[int, int] = {}
        self.total = 0
        self.keys: set[str] = set()
        self.taken_back: set[int] = set()
        self.opened: dict[int, tuple[int, str | None]] = {}
        self.flows: Counter[int] = Counter()
        self.expired: set[int] = set()
        self.paid: dict[str, int] = {}
        self.cents: Counter[str] = Counter()
        self.clawed: Counter[str] = Counter()
        self.entries: list[dict[str, Any]] = []

    def check(self, entry: dict[str, Any]) -> None:
        """Assert everything that must hold of ``entry`` behind those before it."""
        self.check_place(entry)
        self.check_chain(entry)
        self.check_amount(entry)
        self.check_effects(entry)
        self.check_state(entry)
        self.check_lots(entry)
        self.check_refunds(entry)
        self.check_week(entry)
        assert_in_range(entry)
        self.entries.append(entry)
        self.last = entry

    def check_place(self, entry: dict[str, Any]) -> None:
        last = self.last or {"seq": 0, "at": "", "org": entry["org"]}
        assert entry["v"] == 1
        assert entry["org"] == last["org"]
        assert entry["seq"] == last["seq"] + 1
        assert entry["at"] >= last["at"]
        assert entry["key"] not in self.keys
        assert entry.get("occurred_at") != entry["at"]
        self.keys.add(entry["key"])

    def check_chain(self, entry: dict[str, Any]) -> None:
        assert entry["prev"] == (self.last["hash"] if self.last else "0" * 64)
        bare = {name: value for name, value in entry.items() if name != "hash"}
        text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert entry["hash"] == hashlib.sha256((entry["prev"] + text).encode()).hexdigest()

    def check_amount(self, entry: dict[str, Any]) -> None:
        assert SIGNS[entry["kind"]](entry["amount"])
        self.total += entry["amount"]
        assert entry["balance"] == self.total

    def check_effects(self, entry: dict[str, Any]) -> None:
        """The amount is what the effects say: units out of and into lots, debt made and repaid."""
        out = sum_units(entry.get("draws", ()))
        back = sum_units(entry.get("restored", ()))
        debt, repaid = total_of(entry.get("debt")), total_of(entry.get("repaid"))
        match entry["kind"]:
            case "topup":
                assert entry["amount"] == entry["units"]
            case "adjustment":
                assert entry["amount"] == (entry["units"] if "lot" in entry else -entry["units"])
                assert "lot" in entry or entry["units"] == out + debt
            case "debit" | "refund":
                assert -entry["amount"] == entry["units"] == out + debt
            case "expiration":
                assert -entry["amount"] == entry["units"]
            case "usage":
                assert -entry["amount"] == out + debt == entry["overflow"] - entry["uncovered"]
            case "reset":
                assert entry["amount"] == entry["settled"] + entry.get("units", 0)
            case "reversal" if "voided" in entry:
                assert -entry["amount"] == entry["voided"]["units"]
            case "reversal":
                assert entry["amount"] == back + repaid + entry.get("units", 0)
                taken = self.entries[entry["reverses"] - 1]
                if taken["kind"] == "usage":
                    gone = entry["uncounted"]
                    assert entry["amount"] == gone["debt"] + sum_units(gone["draws"]) - sum_units(entry["forfeited"])
                    return
                assert entry["amount"] - taken["amount"] == -2 * taken["amount"] - sum_units(entry["forfeited"])

    def check_state(self, entry: dict[str, Any]) -> None:
        """The recorded state is the one before with the recorded effects."""
        before = EMPTY if self.last is None else self.last["state"]
        found = entry["state"]
        assert found == after(before, entry)
        self.lots = {lot["id"]: lot["remaining"] for lot in found["lots"]}
        assert all(left > 0 for left in self.lots.values())
        assert min(found["debt"].values()) >= 0
        debt = sum(found["debt"].values())
        assert not (self.lots and debt)
        assert entry["balance"] == sum(self.lots.values()) - debt
        assert len(self.lots) <= 1000

    def check_lots(self, entry: dict[str, Any]) -> None:
        """What went into a lot is what came out of it and what is left; it expires once, not before its time."""
        if entry["kind"] == "extension":
            self.opened[entry["lot"]] = (self.opened[entry["lot"]][0], entry["expires_at"])
        if entry.get("lot") == entry["seq"]:
            self.opened[entry["seq"]] = (entry["units"], entry["expires_at"])
            if "repaid" in entry and entry["kind"] != "reversal":
                self.flows[entry["seq"]] += total_of(entry["repaid"])
        for drawn in entry.get("draws", ()):
            self.flows[drawn["lot"]] += drawn["units"]
        for back in entry.get("restored", ()):
            self.flows[back["lot"]] -= back["units"]
            assert back["expires_at"] == self.opened[back["lot"]][1]
            assert back["expires_at"] is None or back["expires_at"] > entry["at"]
        for gone in entry.get("forfeited", ()):
            expires_at = self.opened[gone["lot"]][1]
            assert expires_at is not None
            assert expires_at <= entry["at"]
        if "voided" in entry:
            lot, units = entry["voided"]["lot"], entry["voided"]["units"]
            assert self.opened[lot][0] == units
            self.flows[lot] += units
        if entry["kind"] == "expiration":
            self.flows[entry["lot"]] += entry["units"]
            self.expired.add(entry["lot"])
            assert entry["expires_at"] == self.opened[entry["lot"]][1]
            assert entry["expires_at"] <= entry["at"]
        for lot, (units, _) in self.opened.items():
            left = self.lots.get(lot, 0)
            assert units == self.flows[lot] + left
            assert not (left and lot in self.expired)

    def check_refunds(self, entry: dict[str, Any]) -> None:
        """No session gives back more than was paid, or claws more than was sold."""
        if entry["kind"] == "topup":
            self.paid[entry["session"]] = entry["paid_cents"]
        if entry["kind"] == "reversal":
            assert entry["reverses"] not in self.taken_back
            self.taken_back.add(entry["reverses"])
            sign, taken = -1, self.entries[entry["reverses"] - 1]
        else:
            sign, taken = 1, entry
        if taken["kind"] == "refund":
            session = taken["session"]
            self.cents[session] += sign * taken["cents"]
            self.clawed[session] += sign * taken["units"]
            assert 0 <= self.cents[session] <= self.paid[session]
            assert 0 <= self.clawed[session] <= self.opened[taken["lot"]][0]
            assert taken["forgiven"] >= 0

    def check_week(self, entry: dict[str, Any]) -> None:
        week = entry["state"]["week"]
        if entry["kind"] == "usage":
            assert sum(entry["breakdown"].values()) == entry["units"]
            assert all(entry["breakdown"].values())
        if entry["kind"] == "reset" and entry["key"].startswith("week:"):
            assert entry["at"] >= monday_after(entry["closed"]["key"])
        if week is None:
            return
        end = monday_after(week["key"])
        # What expires in the very moment that the week ends goes first.
        assert entry["at"] < end or (entry["kind"] in ("expiration", "release") and entry["at"] == end)
        parts = week.get("overflow", [])
        assert week["uncovered"] == sum(part["units"] for part in parts if part["from"] == "uncovered")
        settled = week["used"] - sum(week["breakdown"].values())
        assert settled >= 0
        if week["cycle"] > 1:
            assert settled == 0
        assert len(set(week["alerts"])) == len(week["alerts"])
        assert sorted(entry.get("alerts", ())) == list(entry.get("alerts", ()))
        for percent in entry.get("alerts", ()):
            assert week["used"] * 100 >= percent * week["quota"] > 0


def total_of(debt: Mapping[str, int] | None) -> int:
    return debt["owed"] + debt["overage"] if debt else 0


def monday_after(week: str) -> str:
    monday = datetime.strptime(f"{week}-1 +0000", "%G-W%V-%u %z") + timedelta(days=7)
    return monday.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def assert_in_range(value: Any) -> None:
    """Every number is an integer that JSON readers keep."""
    if isinstance(value, Mapping):
        for part in value.values():
            assert_in_range(part)
    elif isinstance(value, list):
        for part in value:
            assert_in_range(part)
    else:
        assert not isinstance(value, float)
        assert not isinstance(value, int) or abs(value) <= LIMIT


def check_entries(entries: Iterable[Entry]) -> None:
    journal = Journal()
    for entry in entries:
        try:
            journal.check(dict(entry))
        except (AssertionError, KeyError) as broken:
            broken.add_note(f"in entry {json.dumps(entry, indent=1, ensure_ascii=False)}")
            raise


def check_store(store: Store, *, every_claim_used: bool = True) -> None:
    """Every journal, and that heads and claims say the same."""
    heads = {head.org: head for head in sound(store.heads.read())}
    claims = holders(store)
    orgs = list(store.journal.orgs())
    assert sorted(heads) == sorted(orgs)
    for org in orgs:
        entries = list(store.journal.read(org))
        check_entries(entries)
        newest, head = entries[-1], heads[org]
        assert (head.seq, head.hash, head.state, head.balance, head.at) == (
            newest["seq"],
            newest["hash"],
            newest["state"],
            newest["balance"],
            newest["at"],
        )
        undone = {entry["reverses"] for entry in entries if entry["kind"] == "reversal"}
        for entry in entries:
            if entry["kind"] == "topup":
                assert claims[entry["session"]] == org or entry["seq"] in undone
    for claim in sound(store.claims.read()):
        if every_claim_used and claim.topup_key is not None:  # a credit that gave way leaves a claim without one
            name = (claim.org, claim.topup_key)
            assert name in store.journal.by_keys([name])
