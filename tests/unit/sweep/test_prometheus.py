"""The metrics file of a sweep."""

import os
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.errors import BadInput, StoreUnreachable
from meterctl.core.files.metrics import MetricsLost
from meterctl.core.model import Instant
from meterctl.core.results import Sweep
from meterctl.core.sweep.prometheus import MetricsFile
from tests.desk import HandClock

NOW, SECONDS = "2026-11-22T10:00:00.250Z", 1795341600.25


def sweep(**fields: Any) -> Sweep:
    counts = {"due": 12, "done": 9, "failed": 0, "skipped": 3, "expired_lots": 8, "expired_units": 2**53 - 1}
    known: dict[str, Any] = {**counts, "weeks_closed": 2, "settled_units": 40, "shard": "3/8", "seconds": 1.23456}
    return Sweep("expire", Instant(NOW), **(known | fields))


def write(path: Path, done: Sweep, *, now: str = NOW) -> None:
    with MetricsFile(str(path), HandClock(now)).of(done):
        pass


def figures(path: Path) -> dict[str, str]:
    """The samples of the file, without what they have in common."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.removeprefix("meterctl_sweep_").split(" ") for line in lines)


def value(path: Path, name: str, labels: str = '{command="expire",shard="3/8"}') -> float:
    return float(figures(path)[name + labels])


def test_the_file_is_what_prometheus_reads(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.prom"
    write(path, sweep())
    text = path.read_text()
    assert text.startswith(
        "# HELP meterctl_sweep_last_success_timestamp_seconds Time of the last sweep without an error; 0: none.\n"
        "# TYPE meterctl_sweep_last_success_timestamp_seconds gauge\n"
        f'meterctl_sweep_last_success_timestamp_seconds{{command="expire",shard="3/8"}} {SECONDS}\n'
    )
    assert text.endswith('meterctl_sweep_journal_found{command="expire",shard="3/8"} 1\n')
    found = {name.partition("{")[0]: value for name, value in figures(path).items()}
    assert found == {
        "last_success_timestamp_seconds": str(SECONDS),
        "last_run_timestamp_seconds": str(SECONDS),
        "success": "1",
        "duration_seconds": "1.235",
        "due": "12",
        "done": "9",
        "failed": "0",
        "skipped": "3",
        "expired_lots": "8",
        "expired_units": "9007199254740991",
        "weeks_closed": "2",
        "settled_units": "40",
        "rolled_over_units": "0",
        "released_holds": "0",
        "journal_found": "1",
    }


def test_failed_orgs_are_no_success(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.prom"
    write(path, sweep(failed=1))
    assert (value(path, "success"), value(path, "failed")) == (0, 1)
    assert value(path, "last_success_timestamp_seconds") == 0
    assert value(path, "last_run_timestamp_seconds") == SECONDS


def test_a_failure_keeps_the_last_success(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.prom"
    write(path, sweep())
    with pytest.raises(StoreUnreachable), MetricsFile(str(path), HandClock("2026-11-23T10:00:00Z")).of(sweep(done=5)):
        raise StoreUnreachable("gone")
    assert value(path, "last_success_timestamp_seconds") == SECONDS
    assert value(path, "last_run_timestamp_seconds") > SECONDS
    assert (value(path, "success"), value(path, "done")) == (0, 5)
    write(path, sweep(), now="2026-11-24T10:00:00Z")
    assert value(path, "last_success_timestamp_seconds") == SECONDS + 2 * 86400 - 0.25


@pytest.mark.parametrize(
    "left", ["", "no metrics at all\n", "\udcff".encode("utf-8", "surrogateescape").decode("latin1")]
)
def test_a_file_of_something_else_is_replaced(tmp_path: Path, left: str) -> None:
    path = tmp_path / "meterctl.prom"
    path.write_text(left, encoding="latin1")
    write(path, sweep(failed=1))
    assert value(path, "last_success_timestamp_seconds") == 0


def test_the_success_of_another_shard_is_none_of_this_one(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.prom"
    write(path, sweep(shard="1/1"))
    write(path, sweep(failed=1))
    assert value(path, "last_success_timestamp_seconds") == 0


@pytest.mark.parametrize("fields", [{"dry_run": True}, {"locked_by": "other:1:abc"}])
def test_a_sweep_that_did_nothing_leaves_the_file_alone(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = tmp_path / "meterctl.prom"
    path.write_text("as it was")
    write(path, sweep(**fields))
    assert path.read_text() == "as it was"


def test_whoever_reads_meanwhile_sees_the_old_file_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "meterctl.prom"
    path.write_text("the old one")
    seen: list[str] = []
    sync = os.fsync

    def look(file: int) -> None:
        sync(file)
        seen.append(path.read_text())

    monkeypatch.setattr(os, "fsync", look)
    write(path, sweep())
    assert seen == ["the old one"]
    assert [left.name for left in tmp_path.iterdir()] == ["meterctl.prom"]


def test_a_disk_that_is_full_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "meterctl.prom"
    path.write_text("the old one")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MetricsLost, match="No space"):
        write(path, sweep())
    with pytest.raises(StoreUnreachable), MetricsFile(str(path), HandClock(NOW)).of(sweep()):
        raise StoreUnreachable("what went wrong first is what is told")
    assert path.read_text() == "the old one"
    assert [left.name for left in tmp_path.iterdir()] == ["meterctl.prom"]


def test_the_collector_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "meterctl.prom"
    before = os.umask(0o022)
    try:
        write(path, sweep())
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["missing/meterctl.prom", ".", os.devnull])
def test_a_place_that_cannot_be_written_is_told_before_the_sweep(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        MetricsFile(str(tmp_path / name), HandClock(NOW))
