"""The Python API: the same operations as the commands, for programs that share one client between threads."""

import inspect
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import meterctl
from meterctl import MeterctlError
from meterctl.api import Client
from meterctl.cli import main
from tests.acceptance.shell import CONFIG, NOW
from tests.mongod import own_database
from tests.workplace import documented_examples


@pytest.fixture(params=["sqlite", "mongod"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/meterctl.db"
        return
    with own_database() as uri:
        yield uri


@pytest.fixture
def meter(url: str, tmp_path: Path) -> Iterator[Client]:
    config = tmp_path / "meterctl.toml"
    config.write_text(CONFIG)
    assert main(["--store", url, "--config", str(config), "--now", NOW, "plan", "publish", "--from-config"]) == 0
    with meterctl.connect(url, config=config, actor="worker-7", now=NOW) as client:
        yield client


def test_writes_answer_with_typed_receipts(meter: Client) -> None:
    credit = meter.credit_pack("acme", "small", session="cs_1")
    assert (credit.command, credit.status, credit.applied, credit.balance) == ("credit-pack", "applied", True, 1000)
    assert credit.entry is not None
    assert credit.entry["actor"] == "worker-7"
    assert meter.debit("acme", 5, ref="r1", actor="other", reason="why").balance == 995
    assert meter.debit("acme", 5, ref="r1").status == "replayed"
    assert meter.adjust("acme", 50, ref="a1", reason="goodwill", expires_at=datetime(2027, 1, 1, tzinfo=UTC)).applied
    assert meter.refund("acme", session="cs_1", cents=250, refund_id="re_1").balance == 545
    assert meter.reverse_refund("acme", "re_1").balance == 1045
    assert meter.assign_plan("acme", "pro", ref="p1").applied
    assert meter.attribute("acme", run="job", costs={"llm": Decimal("0.010"), "web": 1}).balance == 533
    assert meter.undo("acme", seq=2, reason="wrong org").balance == 538
    assert meter.reset_week("acme", ref="w1", reason="asked for").applied
    assert [entry["kind"] for entry in meter.ledger("acme", all_kinds=True).entries][-1] == "topup"


def test_every_receipt_says_that_the_clock_is_pinned(meter: Client) -> None:
    documents = [{"op": "adjust", "org": "acme", "units": 5, "ref": f"b{n}", "reason": "why"} for n in range(2)]
    for receipt in (meter.adjust("acme", 5, ref="a1", reason="why"), *meter.book(documents)):
        assert [warning.code for warning in receipt.warnings][-1] == "clock_pinned"
        assert len(receipt.warnings) <= 2


def test_a_no_and_a_conflict_are_receipts(meter: Client) -> None:
    refused = meter.debit("acme", 5, ref="r1")
    assert (refused.status, refused.reason, refused.entry) == ("refused", "insufficient_balance", None)
    meter.adjust("acme", 5, ref="a1", reason="why")
    conflict = meter.adjust("acme", 6, ref="a1", reason="why")
    assert (conflict.status, conflict.diff) == ("conflict", {"units": {"first": 5, "now": 6}})


def test_what_cannot_be_asked_or_is_not_there_raises(meter: Client) -> None:
    cases: dict[str, Any] = {
        "unknown_session": lambda: meter.refund("acme", session="cs_1", cents=5, refund_id="re_1"),
        "unknown_pack": lambda: meter.credit_pack("acme", "smal", session="cs_1"),
        "unknown_entry": lambda: meter.undo("acme", seq=5, reason="why"),
        "bad_org": lambda: meter.balance("a b"),
        "bad_costs": lambda: meter.attribute("acme", run="r", costs={"llm": 0.1}),  # type: ignore[dict-item]
        "bad_kind": lambda: meter.ledger("acme", kinds=["topups"]),
        "naive_time": lambda: meter.debit("acme", 5, ref="r1", at=datetime(2026, 11, 16)),  # noqa: DTZ001
        "reason_required": lambda: meter.adjust("acme", 5, ref="a1", reason=None),  # type: ignore[arg-type]
    }
    for code, call in cases.items():
        with pytest.raises(MeterctlError) as raised:
            call()
        assert raised.value.code == code
        assert raised.value.hint
        assert raised.value.exit_code in (2, 3)
    assert meter.ledger("acme", all_kinds=True).entries == []
    with pytest.raises(TypeError, match="refs"):
        meter.debit("acme", 5, ref="r1", refs="r2")  # type: ignore[call-arg]


@pytest.mark.parametrize("time", [1763249400, 1.5, date(2026, 11, 16), True, "soon"])
def test_what_is_no_time_raises(meter: Client, time: Any) -> None:
    for call in (
        lambda: meter.debit("acme", 5, ref="r1", at=time),
        lambda: meter.adjust("acme", 5, ref="a1", reason="why", expires_at=time),
        lambda: meter.ledger("acme", since=time),
        lambda: meter.balance("acme", as_of=time),
    ):
        with pytest.raises(MeterctlError) as raised:
            call()
        assert (raised.value.code, raised.value.exit_code) == ("bad_time", 2)


def test_a_bad_config_or_store_raises_when_connecting(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("run_base = -1")
    for store, config, code in (
        ("sqlite:x.db", str(tmp_path / "bad.toml"), "bad_config"),
        ("ftp://x", os.devnull, "bad_store"),
    ):
        with pytest.raises(MeterctlError) as raised:
            meterctl.connect(store, config=config)
        assert raised.value.code == code


def test_a_store_out_of_reach_raises(tmp_path: Path) -> None:
    url = "mongodb://127.0.0.1:1/x?timeoutMS=200"
    with meterctl.connect(url, config=os.devnull) as meter, pytest.raises(MeterctlError) as raised:
        meter.debit("acme", 5, ref="r1")
    assert (raised.value.code, raised.value.exit_code) == ("store_unreachable", 10)


def test_a_closed_client_says_so(meter: Client) -> None:
    meter.close()
    with pytest.raises(MeterctlError, match="closed"):
        meter.balance("acme")
    meter.close()


def test_a_production_store_has_to_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "meterctl.toml"
    config.write_text(f"[profiles.prod]\nproduction = true\nstore = 'sqlite:{tmp_path}/prod.db'\n")
    monkeypatch.setenv("METERCTL_STORE", f"sqlite:{tmp_path}/prod.db")
    with meterctl.connect(config=config) as meter, pytest.raises(MeterctlError) as raised:
        meter.adjust("acme", 5, ref="a1", reason="why")
    assert raised.value.code == "production_not_named"
    with meterctl.connect(config=config, profile="prod") as meter:
        assert meter.adjust("acme", 5, ref="a1", reason="why").applied


def test_a_stream_of_documents_is_booked_in_order(meter: Client) -> None:
    grant = {"op": "adjust", "org": "acme", "units": 2000, "ref": "a1", "reason": "why"}
    debits = ({"op": "debit", "org": "acme", "units": 1, "ref": f"r{n}"} for n in range(1200))
    receipts = list(meter.book([grant, *debits]))
    assert [receipt.balance for receipt in receipts] == list(range(2000, 799, -1))
    refund = {"op": "refund", "org": "acme", "session": "s", "cents": 5, "refund_id": "re"}
    assert [receipt.reason for receipt in meter.book([refund])] == ["unknown_session"]


def test_what_stands_before_a_bad_document_is_booked_and_answered(meter: Client) -> None:
    receipts = meter.book([{"op": "adjust", "org": "a", "units": 5, "ref": "1", "reason": "w"}, {"op": "no"}])
    assert next(receipts).status == "applied"
    with pytest.raises(MeterctlError) as raised:
        next(receipts)
    assert raised.value.code == "bad_op"
    assert meter.balance("a").balance == 5


def test_reads(meter: Client) -> None:
    meter.assign_plan("acme", "pro", ref="p1")
    meter.attribute("acme", run="job", units=450)
    assert (meter.meter("acme").used, meter.check("acme", 50).allowed, meter.check("acme", 51).allowed) == (
        450, True, False,
    )  # fmt: skip
    assert [alert["percent"] for alert in meter.alerts("acme", since="1d").alerts] == [80]
    page = meter.ledger("acme", kinds=["usage"], since="2026-W47", until=datetime(2027, 1, 1, tzinfo=UTC))
    assert [entry["run"] for entry in page.entries] == ["job"]
    assert meter.ledger("acme", ref="nothing").entries == []


def test_the_feed_of_alerts_goes_on_where_it_ended(meter: Client, url: str, tmp_path: Path) -> None:
    meter.assign_plan("acme", "pro", ref="p1")
    meter.attribute("acme", run="job", units=450)
    config = tmp_path / "meterctl.toml"
    with meterctl.connect(url, config=config, now="2026-11-16T13:00:00Z") as later:
        page = later.alerts(after="1d")
        assert len(page.alerts) == 1
        assert later.alerts(after=page.next).alerts == []
        with pytest.raises(MeterctlError):
            later.alerts("acme", after="1d")


def test_a_plan_that_somebody_else_publishes_is_seen(meter: Client, url: str, tmp_path: Path) -> None:
    assert meter.meter("acme").quota == 0
    shared = ["--store", url, "--config", str(tmp_path / "meterctl.toml"), "--now", NOW]
    assert main([*shared, "plan", "publish", "free", "--quota", "7"]) == 0
    assert meter.meter("acme").quota == 7


def test_threads_share_a_client_and_oversell_nothing(meter: Client) -> None:
    meter.adjust("acme", 60, ref="a1", reason="why")
    statuses: list[str] = []

    def debit(thread: int) -> None:
        statuses.extend(meter.debit("acme", 1, ref=f"{thread}-{n}").status for n in range(20))

    threads = [threading.Thread(target=debit, args=(thread,)) for thread in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (statuses.count("applied"), statuses.count("refused")) == (60, 100)
    assert meter.balance("acme").balance == 0


FORK = """
import os, sys, meterctl
meter = meterctl.connect(sys.argv[1], config=os.devnull)
meter.adjust("acme", 10, ref="a1", reason="why")
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        for number in range(5):
            meter.debit("acme", 1, ref=f"{child}-{number}")
        os._exit(0 if meter.balance("acme").seq > 5 else 1)
    children.append(pid)
codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
print(codes, meter.balance("acme").balance, meter.debit("acme", 1, ref="late").status)
"""


def test_a_forked_child_goes_on_with_its_parents_client(url: str) -> None:
    words = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK, url]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == "[0, 0, 0] 0 refused", done.stderr


def test_importing_it_loads_next_to_nothing() -> None:
    code = "import sys; before = set(sys.modules); import meterctl; print(len(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert int(done.stdout) < 5


PUBLIC = """
AlertPage(alerts: collections.abc.Sequence[collections.abc.Mapping[str, typing.Any]], next: str | None)
Client.adjust(org, units, *, ref, reason, expires_at=None, allow_debt=None, priority=None, lot=None, **caller)
Client.alerts(org=None, *, since=None, after=None)
Client.assign_plan(org, plan, *, ref, from_at=None, **caller)
Client.attribute(org, *, run, step=None, costs=None, units=None, plan_version=None, hold=None, **caller)
Client.balance(org, as_of=None)
Client.book(operations)
Client.check(org, units=0)
Client.close()
Client.credit_pack(org, pack, *, session, paid_cents=None, quantity=None, tax_cents=None, names=None, expires_at=None, **caller)
Client.debit(org, units, *, ref, allow_debt=None, **caller)
Client.extend_lot(org, lot, *, expires_at, ref, reason, **caller)
Client.hold(org, units, *, ref, expires_at=None, **caller)
Client.ledger(org, *, since=None, until=None, kinds=(), all_kinds=False, limit=20, before=None, session=None, ref=None)
Client.meter(org)
Client.refund(org, *, session, cents, refund_id, **caller)
Client.release(org, hold, **caller)
Client.reset_week(org, *, ref, reason, **caller)
Client.reverse_refund(org, refund_id, **caller)
Client.undo(org, *, reason, of=None, seq=None, **caller)
Client.void_lot(org, lot, *, ref, reason, **caller)
connect(store_url=None, *, config=None, actor=None, now=None, profile=None)
"""  # noqa: E501


def test_the_public_names_stay() -> None:
    assert meterctl.__all__ == [
        "AlertPage", "Balance", "Client", "LedgerPage", "Meter", "MeterctlError", "Receipt", "__version__", "connect",
    ]  # fmt: skip
    assert set(meterctl.__all__) <= set(dir(meterctl))
    with pytest.raises(AttributeError):
        _ = meterctl.nothing
    methods = [name for name in vars(Client) if not name.startswith("_")]
    shown = [f"Client.{name}{_signature(getattr(Client, name))}" for name in methods]
    shown += [f"connect{_signature(meterctl.connect)}", PUBLIC.strip().splitlines()[0]]
    assert sorted(shown) == PUBLIC.strip().splitlines()
    assert meterctl.AlertPage._fields == ("alerts", "next")


def _signature(function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [each.replace(annotation=each.empty) for each in signature.parameters.values() if each.name != "self"]
    return str(signature.replace(parameters=parameters, return_annotation=signature.empty))


def test_every_example_of_the_page_gives_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documented_examples("docs/api.md", tmp_path, monkeypatch)


def test_the_example_of_the_readme_gives_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    documented_examples("README.md", tmp_path, monkeypatch)


def test_every_public_method_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    names = [name for name in vars(Client) if not name.startswith("_")] + meterctl.__all__
    assert [name for name in names if name not in page] == []
