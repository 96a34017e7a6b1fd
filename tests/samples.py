"""One result of every kind, as commands answer them, for tests of what people and scripts see."""

from collections.abc import Callable, Mapping
from typing import Any

from meterctl.core.booking.plan_publisher import Publication, version_record
from meterctl.core.imports.devkit.audit import AuditFinding
from meterctl.core.imports.devkit.audit_report import AuditReport
from meterctl.core.imports.devkit.importer import DevkitImportReport
from meterctl.core.imports.report import ImportReport
from meterctl.core.model import Entry, Instant, PlanVersion
from meterctl.core.reads.chart import LedgerChart
from meterctl.core.results import (
    Backfill,
    Balance,
    Facts,
    Finding,
    LedgerPage,
    Listing,
    Meter,
    Receipt,
    Result,
    Sweep,
    Verification,
    Warning,
)
from tests.builders import make_entry

NOW = Instant("2026-11-22T10:03:00.000Z")


def week(**fields: Any) -> dict[str, Any]:
    return {
        "key": "2026-W47",
        "cycle": 1,
        "plan": "pro",
        "version": 3,
        "quota": 200_000,
        "used": 170_000,
        "uncovered": 0,
        "breakdown": {"llm": 120_000, "search": 50_000},
        "alerts": [80],
        **fields,
    }


def state(week: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": "pro", "week": week}


def topup(seq: int = 1, **fields: Any) -> Entry:
    effects: dict[str, Any] = {
        "pack": "small",
        "session": "cs_1001",
        "paid_cents": 500,
        "currency": "usd",
        "lot": seq,
        "units": 1000,
        "expires_at": "2027-02-20T10:03:00.000Z",
        "repaid": {"owed": 0, "overage": 0},
    }
    about: dict[str, Any] = {"key": "session:cs_1001", "balance": 1000, "input": {"op": "credit-pack"}}
    return make_entry("acme", seq, kind="topup", **(about | effects | fields))


def debit(seq: int = 2, **fields: Any) -> Entry:
    effects: dict[str, Any] = {"units": 120, "draws": [{"lot": 1, "units": 120}], "debt": {"owed": 0, "overage": 0}}
    about: dict[str, Any] = {"key": "debit:invoice-77", "amount": -120, "balance": 880, "actor": "alice"}
    return make_entry("acme", seq, kind="debit", **(about | effects | fields))


def expiration(seq: int = 3, **fields: Any) -> Entry:
    effects: dict[str, Any] = {"lot": 1, "units": 880, "expires_at": "2027-02-20T10:03:00.000Z"}
    about: dict[str, Any] = {
        "key": "expire:1",
        "amount": -880,
        "balance": 0,
        "at": "2027-02-20T10:03:00.000Z",
        "actor": "meterctl",
    }
    return make_entry("acme", seq, kind="expiration", **(about | effects | fields))


def refund(seq: int = 4, **fields: Any) -> Entry:
    effects: dict[str, Any] = {
        "session": "cs_1001",
        "refund_id": "re_1",
        "cents": 250,
        "currency": "usd",
        "lot": 1,
        "units": 400,
        "forgiven": 100,
        "draws": [{"lot": 1, "units": 300}],
        "debt": {"owed": 100, "overage": 0},
    }
    return make_entry("acme", seq, kind="refund", **({"amount": -400, "balance": -100} | effects | fields))


def reversal(seq: int = 5, **fields: Any) -> Entry:
    effects: dict[str, Any] = {
        "reverses": 2,
        "repaid": {"owed": 20, "overage": 0},
        "restored": [{"lot": 1, "units": 60, "expires_at": None}],
        "forfeited": [{"lot": 7, "units": 40}],
    }
    about: dict[str, Any] = {"amount": 80, "balance": 960, "reason": "booked twice"}
    return make_entry("acme", seq, kind="reversal", **(about | effects | fields))


def usage(seq: int = 6, **fields: Any) -> Entry:
    effects: dict[str, Any] = {
        "run": "run-42",
        "step": "fetch",
        "week": "2026-W47",
        "cycle": 1,
        "units": 1500,
        "breakdown": {"search": 500, "llm": 1000},
        "overflow": 300,
        "uncovered": 0,
        "draws": [{"lot": 1, "units": 200}, {"lot": 4, "units": 50}],
        "debt": {"owed": 0, "overage": 50},
        "alerts": [80, 100],
        "state": state(week(used=200_300, alerts=[80, 100])),
    }
    return make_entry("acme", seq, kind="usage", **({"amount": -300, "balance": -50} | effects | fields))


def reset(seq: int = 7, **fields: Any) -> Entry:
    about: dict[str, Any] = {"amount": 50, "balance": 0, "actor": "meterctl", "key": "week:2026-W47"}
    effects: dict[str, Any] = {"closed": week(), "opened": week(key="2026-W48", used=50), "settled": 50}
    return make_entry("acme", seq, kind="reset", **(about | effects | {"state": state(effects["opened"])} | fields))


def plan_entry(seq: int = 8, **fields: Any) -> Entry:
    effects: dict[str, Any] = {
        "plan": "pro",
        "version": 3,
        "quota": 200_000,
        "key": "plan:upgrade-12",
        "state": state(),
    }
    return make_entry("acme", seq, kind="plan", **(effects | fields))


def adjustment(seq: int = 9, **fields: Any) -> Entry:
    effects: dict[str, Any] = {"lot": seq, "units": 300, "expires_at": None, "repaid": {"owed": 100, "overage": 0}}
    about: dict[str, Any] = {
        "amount": 300,
        "balance": 200,
        "key": "adjust:goodwill-1",
        "reason": "outage of last Tuesday",
    }
    return make_entry("acme", seq, kind="adjustment", **(about | effects | fields))


def every_kind() -> list[Entry]:
    """An entry of each kind, newest first, the newest one due but not booked."""
    booked = [topup(), debit(), refund(), reversal(), usage(), reset(), plan_entry(), adjustment()]
    return [expiration(10, pending=True), *booked[::-1]]


def receipt(**fields: Any) -> Receipt:
    known: dict[str, Any] = {
        "command": "credit-pack",
        "org": "acme",
        "key": "session:cs_1001",
        "status": "applied",
        "balance": 1000,
        "message": "booked +1,000 units as entry 1; the balance is 1,000",
        "entry": topup(),
    }
    return Receipt(**(known | fields))


def refused(**fields: Any) -> Receipt:
    known = {
        "command": "debit",
        "status": "refused",
        "balance": 880,
        "entry": None,
        "reason": "insufficient_balance",
        "message": "5,000 units asked, 880 available: the balance is 880",
    }
    return receipt(**(known | fields))


def conflict() -> Receipt:
    return receipt(
        command="debit",
        status="conflict",
        key="debit:invoice-77",
        message="debit:invoice-77 was used for something else: units differ",
        entry=debit(),
        balance=880,
        diff={"units": {"first": 120, "now": 12_000}},
    )


def balance(**fields: Any) -> Balance:
    lots = [
        {"id": 1, "remaining": 880, "expires_at": "2026-11-25T10:03:00.000Z", "pack": "small", "session": "cs_1001",
         "units": 1000, "priority": 50, "paid": True},
        {"id": 4, "remaining": 10_000, "expires_at": "2027-02-20T10:03:00.000Z", "pack": "large", "session": "cs_1002",
         "units": 10_000, "priority": 50, "paid": True},
        {"id": 9, "remaining": 200, "expires_at": None, "pack": None, "session": None, "units": 300, "priority": 10,
         "paid": False},
    ]  # fmt: skip
    known: dict[str, Any] = {
        "org": "acme",
        "as_of": NOW,
        "balance": 11_080,
        "lots": lots,
        "debt": {"owed": 0, "overage": 0},
        "next_expiry": {"at": "2026-11-25T10:03:00.000Z", "units": 880},
        "seq": 9,
    }
    return Balance(**(known | fields))


def in_debt() -> Balance:
    return balance(balance=-1250, lots=[], debt={"owed": 1000, "overage": 250}, next_expiry=None)


def meter(**fields: Any) -> Meter:
    known: dict[str, Any] = {
        "org": "acme",
        "plan": "pro",
        "plan_version": 3,
        "week": {
            "key": "2026-W47",
            "cycle": 1,
            "starts_at": "2026-11-16T00:00:00.000Z",
            "ends_at": "2026-11-23T00:00:00.000Z",
        },
        "quota": 200_000,
        "used": 170_000,
        "uncovered": 0,
        "breakdown": {"llm": 120_000, "search": 50_000},
        "alerts": [80],
        "balance": 11_080,
        "available": 41_080,
        "allowed": True,
        "as_of": NOW,
    }
    return Meter(**(known | fields))


def cut_off() -> Meter:
    return meter(used=260_000, uncovered=10_000, balance=-50, available=-50, allowed=False, asked=500, gate=True)


def ledger(**fields: Any) -> LedgerPage:
    known: dict[str, Any] = {"org": "acme", "balance": 200, "entries": every_kind(), "next_before": 1}
    return LedgerPage(**(known | fields))


def chart(**fields: Any) -> LedgerChart:
    """Up, into debt within one slice of time, and out of it."""
    moves = [
        ("2026-11-02T09:00:00.000Z", 1, 1000, 1000, 1000),
        ("2026-11-12T09:00:00.000Z", 4, 400, -150, 1000),
        ("2026-11-20T09:00:00.000Z", 5, 1300, 1300, 1300),
    ]
    names = ("at", "seq", "balance", "low", "high")
    points = [dict(zip(names, move, strict=True)) | {"pending": False} for move in moves]
    mark = {"at": "2026-11-12T08:00:00.000Z", "seq": 3, "balance": -150, "pending": False}
    known: dict[str, Any] = {
        "org": "acme",
        "balance": 1300,
        "since": "2026-11-02T09:00:00.000Z",
        "until": NOW,
        "lowest": mark,
        "highest": mark | {"at": "2026-11-20T09:00:00.000Z", "seq": 5, "balance": 1300, "pending": True},
        "points": points,
    }
    return LedgerChart(**(known | fields))


def history(**fields: Any) -> Listing:
    closed = {"settled": 0, "closed_at": "2026-11-23T00:00:00.000Z", "seq": 30}
    weeks = [
        week() | closed,
        week(key="2026-W46", used=260_000, uncovered=500, alerts=[80, 100]) | closed | {"settled": 40_000, "seq": 20},
        week(key="2026-W46", cycle=2, used=0, breakdown={}) | closed | {"seq": 25},
        week(key="2026-W45", plan="free", version=1, quota=0, used=90) | closed | {"seq": 10},
    ]
    about = {"org": "acme", "known": True}
    known: dict[str, Any] = {"name": "history", "plural": "weeks", "items": weeks, "about": about}
    return Listing(**(known | fields))


def lots() -> Listing:
    fates = dict.fromkeys(("debt", "used", "clawed", "expired", "forfeited", "voided"), 0)
    live = {"id": 1, "state": "live", "kind": "topup", "remaining": 880, "expires_at": NOW, "extended": True}
    live |= {"priority": 50, "paid": True, "pack": "small", "session": "cs_1001", "opened_at": NOW, "units": 1000}
    gone = {**live, "id": 4, "state": "voided", "kind": "adjustment", "remaining": 0, "expires_at": None}
    gone |= {"paid": False, "pack": None, "session": None}
    items = [live | fates | {"used": 120}, gone | fates | {"voided": 1000}]
    return Listing("lots", "lots", items, {"org": "acme", "known": True, "as_of": NOW})


def alerts() -> Listing:
    reached = {"org": "acme", "week": "2026-W47", "cycle": 1, "quota": 200_000, "at": NOW, "recorded_at": NOW}
    reached |= {"kind": "threshold", "below": None, "balance": 0}
    items = [
        reached | {"percent": 80, "used": 161_000, "seq": 5},
        reached | {"percent": 100, "used": 200_300, "seq": 6},
        dict.fromkeys(reached | {"percent": 0, "used": 0})
        | {"org": "acme", "at": NOW, "recorded_at": NOW, "kind": "balance", "below": 0, "balance": -50, "seq": 6},
    ]
    about = {"org": None, "known": True, "since": Instant("2026-11-21T10:03:00.000Z"), "until": None, "next": None}
    return Listing("alerts", "alerts", items, about)


def orgs() -> Listing:
    known = {"owed": 0, "overage": 0, "lots": 2, "next_expiry": "2026-11-25T10:03:00.000Z", "expiring_units": 880}
    known |= {"plan": "pro", "quota": 200_000, "used": 170_000, "last_at": NOW, "seq": 9, "checked": True}
    known |= {"held": 300, "available": 40_780, "allowed": True, "debt_since": None, "pace": 4000, "runs_out": None}
    poor = {"available": -1250, "allowed": False, "debt_since": NOW, "runs_out": NOW}
    poor |= {"org": "umbrella", "balance": -1250, "owed": 1250, "lots": 0, "next_expiry": None, "expiring_units": 0}
    items = [{"org": "acme", "balance": 11_080, **known}, {**known, **poor, "used": 260_000}]
    about = ("prefix", "expiring_by", "idle_since", "owing_since", "runs_out_by")
    return Listing("orgs", "orgs", items, {"as_of": NOW, **dict.fromkeys(about)})


def version(**fields: Any) -> PlanVersion:
    made = PlanVersion("pro", 3, 200_000, {"default": "1", "llm": "1.25"}, NOW, NOW, "alice", "new prices")
    return made._replace(**fields)


def plans() -> Listing:
    return Listing("plans", "plans", [version_record(version(plan="free", ratios={})), version_record(version())])


def sweep(**fields: Any) -> Sweep:
    known: dict[str, Any] = {
        "command": "expire",
        "at": NOW,
        "due": 1205,
        "done": 1200,
        "failed": 1,
        "skipped": 4,
        "expired_lots": 700,
        "expired_units": 1_234_567,
        "weeks_closed": 600,
        "settled_units": 4200,
        "errors": [{"org": "initech", "message": "the journal of initech cannot be read"}],
        "seconds": 3.25,
    }
    return Sweep(**(known | fields))


def config() -> Facts:
    return Facts(
        "config",
        {
            "source": "meterctl.toml",
            "looked_at": [{"path": "/etc/meterctl.toml", "found": True}],
            "store": "sqlite:meterctl.db",
            "actor": "alice",
            "meter_mode": True,
            "default_plan": "free",
            "dollars_to_units": "1000",
            "run_base": 1,
            "max_units_per_run": 0,
            "thresholds": [80, 100],
            "balance_alerts": [0],
            "overage": "debt",
            "settle_overage": True,
            "allow_time_travel": False,
            "max_clock_skew": 300,
            "max_clock_jump": 3_024_000,
            "require_reason": ["debit"],
            "reason_pattern": "TCK-[0-9]+",
            "limits": {"adjust": 0, "debit": 100_000, "debt": 0, "refund_cents": 0, "approval_over": 0},
            "packs": {
                "small": config_pack(units=1000, price_cents=500, expiry_days=90, prices={"eur": 460}),
                "yen": config_pack(units=5, price_cents=5000, currency="jpy"),
                "any": config_pack(unit_price_cents="0.5"),
            },
            "plans": {
                "pro": {
                    "weekly_quota": 200_000,
                    "ratios": {"llm": "1.25"},
                    "rollover_max": 5000,
                    "rollover_weeks": 2,
                    "stripe_prices": ["price_9"],
                }
            },
            "stripe": {
                "org": ["metadata.org", "client_reference_id"],
                "pack": ["metadata.pack", "price"],
                "only": {"metadata.kind": "extras"},
                "payments": ["checkout", "invoice"],
                "discounts": "refuse",
                "ignore": ["cs_live_x"],
                "account": None,
            },
            "profile": "prod",
            "profiles": {
                "prod": {
                    "store": "mongodb://db.example/meterctl",
                    "store_file": None,
                    "collection_prefix": None,
                    "production": True,
                    "actor": None,
                    "limits": {"debit": 500},
                    "require_reason": None,
                    "reason_pattern": None,
                }
            },
        },
    )


def config_pack(**fields: Any) -> dict[str, Any]:
    """A pack as `config show` has it."""
    defaults: dict[str, Any] = {
        "units": None, "price_cents": None, "currency": "usd", "expiry_days": None, "priority": 50, "prices": {},
        "stripe_prices": [], "unit_price_cents": None,
    }  # fmt: skip
    return defaults | fields


def devkit_import() -> DevkitImportReport:
    result = DevkitImportReport("mongodb://db/devkit", seconds=2.0)
    told: list[str] = ["entry e1 is gone"]
    result.take({"org": "a", "status": "imported", "entries": 9, "old_balance": 5, "balance": 5, "problems": []})
    result.take({"org": "b", "status": "failed", "entries": 9, "old_balance": 5, "balance": 5, "problems": told})
    return result


def audited() -> AuditReport:
    result = AuditReport("mongodb://db/devkit", 3, 40, plan_out="amends.ndjson", seconds=2.0)
    for units, finding in ((80, "whole_pack_expiration"), (-25, "settlement_not_charged"), (None, "no_id")):
        result.take(AuditFinding("acme", finding, "e1", units, f"a {finding} of acme", adjust=units or 0))
    return result


def preview() -> Facts:
    return Facts(
        "refund-preview",
        {
            "org": "acme",
            "session": "cs_1001",
            "pack": "small",
            "currency": "usd",
            "paid_cents": 500,
            "cents": 250,
            "refunded_cents_before": 0,
            "refunded_cents_after": 250,
            "pack_units": 1000,
            "remaining_units": 300,
            "used_units": 600,
            "expired_units": 100,
            "clawed_units_before": 0,
            "units": 400,
            "forgiven": 100,
            "draws": [{"lot": 1, "units": 300}],
            "balance": 300,
            "balance_after": -100,
            "debt_after": {"owed": 100, "overage": 0},
            "refundable_cents_after": 250,
            "clawable_units_after": 500,
        },
    )


def locks() -> Listing:
    lease = {"name": "sweep", "holder": "host-1:4711", "acquired_at": NOW, "expires_at": NOW, "expired": True}
    return Listing("locks", "locks", [lease])


def unknown() -> Facts:
    facts = {
        "ok": False,
        "checked_at": NOW,
        "count": 12_345,
        "seq": 12_345,
        "server": {"version": "6.0.5", "hosts": ["a:1", "b:2"]},
        "nothing": None,
        "findings": [{"check": 3, "message": "an index is missing", "seen": {"a": 1}}],
    }
    return Facts("health", facts)


#: A result of every kind, each by a name that says which.
SAMPLES: dict[str, Callable[[], Result]] = {
    "receipt": receipt,
    "receipt-usage": lambda: receipt(
        command="attribute", entry=usage(), balance=-50, also=(expiration(5, balance=250),), key="run:run-42:fetch"
    ),
    "receipt-planned": lambda: receipt(command="adjust", status="planned", entry=adjustment(), balance=200),
    "receipt-replayed": lambda: receipt(
        command="debit",
        status="replayed",
        entry=debit(),
        balance=1000,
        undone_by=5,
        message="booked before, as entry 2",
    ),
    "receipt-expired": lambda: receipt(balance=0, warnings=(Warning("expired_on_arrival", "nothing is left"),)),
    "receipt-warned": lambda: receipt(warnings=(Warning("new_org", "acme had no journal until now"),)),
    "receipt-refused": refused,
    "receipt-conflict": conflict,
    "receipt-unchanged": lambda: receipt(status="unchanged", entry=None, message="acme is on plan pro already"),
    "receipt-disabled": lambda: receipt(status="disabled", entry=None, message="meter mode is off"),
    "receipt-failed": lambda: receipt(status="failed", entry=None, message="the journal of acme cannot be read"),
    "balance": balance,
    "balance-debt": in_debt,
    "balance-empty": lambda: balance(balance=0, lots=[], next_expiry=None, seq=0),
    "meter": meter,
    "meter-cut-off": cut_off,
    "ledger": ledger,
    "ledger-empty": lambda: ledger(entries=[], next_before=None, balance=0),
    "ledger-chart": chart,
    "ledger-chart-empty": lambda: chart(balance=0, since=None, lowest=None, highest=None, points=[]),
    "history": history,
    "lots": lots,
    "history-empty": lambda: history(items=[]),
    "alerts": alerts,
    "orgs": orgs,
    "plans": plans,
    "plan": lambda: Listing("plan", "versions", [version_record(version())], {"plan": "pro"}),
    "plans-published": lambda: Listing(
        "plans", "plans", [Publication(status, version()).record() for status in ("applied", "unchanged", "planned")]
    ),
    "plan-version": lambda: Publication("applied", version()),
    "sweep": sweep,
    "sweep-locked": lambda: Sweep("reset-week", NOW, locked_by="host-1:4711:c0ffee"),
    "backfill": lambda: Backfill(lines=8819, applied=8800, replayed=10, refused=4, invalid=5, seconds=2.0),
    "backfill-planned": lambda: Backfill(lines=12, planned=10, replayed=2, seconds=2.0),
    "backfill-planned-partly": lambda: Backfill(lines=12, planned=10, refused=2, seconds=2.0),
    "verify": lambda: Verification(orgs=3, entries=8819, findings=[Finding("acme", 12, 2, "the hash differs")], more=4),
    "verify-ok": lambda: Verification(orgs=1, entries=1, seconds=0.25),
    "verify-nothing": lambda: Verification(seconds=0.25),
    "config": config,
    "audit": audited,
    "audit-ok": lambda: AuditReport("mongodb://db/devkit", 3, 40),
    "devkit-import": devkit_import,
    "import": lambda: ImportReport("backup.ndjson", 3, 8819, 8800, 19, 1, ["gold"], seconds=2.0),
    "import-planned": lambda: ImportReport("backup.ndjson", 3, 8819, 0, 8819, dry_run=True),
    "import-nothing": lambda: ImportReport("backup.ndjson", 3, 8819, 8819),
    "refund-preview": preview,
    "locks": locks,
    "unknown": unknown,
}
