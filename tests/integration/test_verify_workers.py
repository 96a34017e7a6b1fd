"""``meterctl verify --all --workers``: several processes find what one does, however they end."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from meterctl.cli import main
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import parse
from meterctl.core.domain.operations import Adjust, CreditPack, Debit, Operation, Request
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.errors import BadInput, raise_if_damaged
from meterctl.core.ports import Store
from meterctl.core.stores.url import open_store
from meterctl.options import Options
from meterctl.process.clock import FixedClock
from meterctl.process.interrupts import ENDING
from meterctl.wiring import Wiring
from meterctl.workers.pool import WAITING, Workers
from tests.waiting import wait_for, workers_of

NOW = "2026-11-22T10:00:00.000Z"

#: Orgs of a part.
PART = 20

#: Those of some parts, the last of them not full.
ORGS = [f"org-{number:03}" for number in range(3 * PART + 5)]


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    """With a pack and a debit in each of `ORGS`."""
    opened = open_store(url)
    opened.init()
    book(opened, [CreditPack(org, "small", f"cs_{org}", None) for org in ORGS])
    book(opened, [Debit(org, 1, "r1") for org in ORGS])
    yield opened
    opened.close()


def book(store: Store, operations: list[Operation]) -> None:
    ledger = Ledger(store, FixedClock(parse(NOW)), Terms(packs={"small": Pack(100, 300, "usd", 90)}))
    assert all(receipt.applied for receipt in ledger.execute(Request(one, "tester", "why") for one in operations))


class Verified(NamedTuple):
    code: int
    document: dict[str, Any]


Verify = Callable[..., Verified]


@pytest.fixture
def verify(url: str, capsys: pytest.CaptureFixture[str]) -> Verify:
    """Checks all of the store; what is told but for how long it took."""

    def verify(*words: str) -> Verified:
        code = main(["--json", "--store", url, "--now", NOW, "verify", "--all", *words])
        document = json.loads(capsys.readouterr().out)
        del document["seconds"]
        return Verified(code, document)

    return verify


@pytest.fixture(autouse=True)
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "meterctl.toml").write_text("allow_time_travel = true\n")
    monkeypatch.setenv("METERCTL_CONFIG", str(tmp_path / "meterctl.toml"))
    monkeypatch.setattr("meterctl.core.verify.store_check.PART", 2 * PART)  # in entries


def cut_off(store: Store, org: str) -> None:
    """Make it look as if the newest entry of ``org`` had been removed: its head is of one that is not there."""
    head = raise_if_damaged(store.heads.get([org])[org])
    store.heads.replace([head._replace(seq=head.seq + 1)])


@pytest.mark.usefixtures("store")
def test_what_holds_holds_in_several_processes_and_the_seal_is_the_same(verify: Verify, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone.seal", tmp_path / "shared.seal"
    assert verify("--seal", str(alone)) == verify("--workers", "3", "--seal", str(shared))
    assert shared.read_text() == alone.read_text()
    assert json.loads(shared.read_text().splitlines()[-1])["orgs"] == len(ORGS)


def test_what_is_found_is_found_in_order_by_several_processes(store: Store, verify: Verify) -> None:
    wrong = [ORGS[2], ORGS[PART], ORGS[-1]]
    for org in reversed(wrong):
        cut_off(store, org)
    found = verify("--workers", "2")
    assert (found.code, [finding["org"] for finding in found.document["findings"]]) == (8, wrong)
    assert found == verify()


def test_a_seal_is_held_against_every_part(store: Store, verify: Verify, tmp_path: Path) -> None:
    seal = tmp_path / "all.seal"
    assert verify("--seal", str(seal)).code == 0
    lines = seal.read_text().splitlines()
    book(store, [Adjust(org, 1, "later", None) for org in ORGS])  # the seal is of what was there before
    assert verify("--workers", "2", "--against", str(seal)).code == 0
    # As if the journals of two orgs had reached further then, and one had been there that is gone.
    write_seal(seal, [*(further(line) if ORGS[1] in line or ORGS[-2] in line else line for line in lines[1:-1]), GONE])
    found = verify("--workers", "2", "--against", str(seal))
    places = [(finding["org"], finding["check"]) for finding in found.document["findings"]]
    assert (found.code, places) == (8, [(ORGS[1], 15), (ORGS[-2], 15), ("zebra", 15)])
    assert found == verify("--against", str(seal))


GONE = json.dumps({"org": "zebra", "seq": 1, "hash": "0" * 64})


def further(line: str) -> str:
    return json.dumps(json.loads(line) | {"seq": 9})


def write_seal(path: Path, tips: list[str]) -> None:
    from meterctl.core.verify import SealWriter

    with path.open("w") as file:
        seal = SealWriter(file.write, parse(NOW))
        for tip in tips:
            document = json.loads(tip)
            seal.add(document["org"], document["seq"], document["hash"])
        seal.close()


@pytest.mark.usefixtures("store")
def test_a_long_check_uses_every_core_unless_told_otherwise(verify: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Counted(Workers[Any, Any]):
        def __init__(self, count: int, *rest: Any, **options: Any) -> None:
            asked.append(count)
            super().__init__(count, *rest, **options)

    monkeypatch.setattr("meterctl.workers.verify.Workers", Counted)
    monkeypatch.setattr("meterctl.commands.verify.core_count", lambda: 3)
    alone = verify("--workers", "1")
    assert (verify(), asked) == (alone, [])  # too short to be worth it
    monkeypatch.setattr("meterctl.commands.verify._WORTH_PROCESSES", 0)
    assert (verify(), asked) == (alone, [2])  # and this process
    monkeypatch.setattr("meterctl.commands.verify.core_count", lambda: 1)
    assert (verify(), asked) == (alone, [2])


def test_one_worker_is_this_process(store: Store, verify: Verify) -> None:
    assert verify("--workers", "1").document["orgs"] == len(store.heads.get(ORGS))


@pytest.mark.parametrize(
    "words",
    [["acme", "--workers", "2"], ["--file", "x", "--workers", "2"], ["--all", "--repair-heads", "--workers", "2"]],
)
def test_what_is_not_checked_org_by_org_has_no_workers(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "verify", *words]) == 2
    assert json.loads(capsys.readouterr().err)["code"] == "usage"


# -- however they end


@pytest.fixture
def verifying(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A check that will take long: another process has begun one of three long journals, and this one a second."""
    place = f"sqlite:{tmp_path}/long.db"
    store = open_store(place)
    store.init()
    book(store, [Adjust(org, 10**6, "grant", None) for org in ORGS])
    for org in (ORGS[0], ORGS[PART], ORGS[2 * PART]):
        book(store, [Debit(org, 1, f"r{number}") for number in range(20_000)])
    store.close()
    command = [sys.executable, "-m", "meterctl", "--json", "--store", place, "verify", "--all", "--workers", "2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(workers_of(process.pid)) == 1, process)
    yield process
    process.kill()
    process.communicate()


@pytest.mark.parametrize("number", ENDING)
def test_an_interrupt_breaks_off_what_the_processes_have_begun(verifying: "subprocess.Popen[str]", number: int) -> None:
    workers = workers_of(verifying.pid)
    verifying.send_signal(number)
    out, err = verifying.communicate(timeout=120)
    assert (verifying.returncode, out, json.loads(err)["code"]) == (130, "", "interrupted")
    assert [worker for worker in workers if Path(f"/proc/{worker}").exists()] == []


def doze(_: Wiring, seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def test_what_is_begun_is_broken_off_once_nobody_waits_for_it(tmp_path: Path) -> None:
    workers = Workers(2, doze, Wiring(Options(store=f"sqlite:{tmp_path}/none.db")), breaks_off=True)
    answers = workers.answers([0.0, 60.0, 60.0])
    assert next(answers) == 0.0
    began = time.monotonic()
    answers.close()
    assert time.monotonic() - began < 30.0


def test_this_process_answers_while_the_others_are_busy(tmp_path: Path) -> None:
    """In order, and not further ahead of a slow process than there is room to wait."""
    here: list[float] = []

    def answer(seconds: float) -> float:
        here.append(seconds)
        return seconds

    workers = Workers(1, doze, Wiring(Options(store=f"sqlite:{tmp_path}/none.db")))
    items = [5.0, 0.0, *(number / 1000 for number in range(1, 2 * WAITING))]
    assert list(workers.answers(items, here=answer)) == items
    assert here[:3] == [0.0, 0.002, 0.003]  # the other has one, then one more
    assert WAITING - 2 <= len(here) < 2 * WAITING - 1


def test_an_error_of_this_process_waits_for_the_answers_before_it(tmp_path: Path) -> None:
    def fail(_: float) -> float:
        raise BadInput("it cannot be answered")

    answers = Workers(1, doze, Wiring(Options(store=f"sqlite:{tmp_path}/none.db"))).answers([1.0, 0.0, 0.0], here=fail)
    assert next(answers) == 1.0
    with pytest.raises(BadInput, match="cannot be answered"):
        next(answers)


def test_a_killed_worker_is_told(verifying: "subprocess.Popen[str]") -> None:
    os.kill(workers_of(verifying.pid)[0], signal.SIGKILL)
    out, err = verifying.communicate(timeout=120)
    assert (verifying.returncode, out, json.loads(err)["code"]) == (1, "", "worker_died")
