"""Locks on files that are replaced while another run waits for them."""

import fcntl
import os
from pathlib import Path

import pytest

from meterctl.core.errors import LOCK_HELD, BadInput, MeterctlError
from meterctl.core.files.locked import LONGEST_WAIT, locked


def never(seconds: float) -> None:
    pytest.fail(f"waits for {seconds} s")


def test_a_file_is_made_and_held_while_the_block_runs(tmp_path: Path) -> None:
    path = tmp_path / "pending"
    with locked(path, never):
        with path.open() as other, pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert path.stat().st_mode & 0o777 == 0o600
    with locked(path, never):
        pass


def test_a_file_that_its_holder_replaces_is_locked_anew(tmp_path: Path) -> None:
    path, newer = tmp_path / "pending", tmp_path / "newer"
    path.write_text("old")
    newer.write_text("new")
    holder = os.open(path, os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)

    def replace(_: float) -> None:
        if newer.exists():
            newer.replace(path)
        os.ftruncate(holder, 0)

    with locked(path, replace):
        assert path.read_text() == "new"
    os.close(holder)


def test_waiting_for_a_file_ends(tmp_path: Path) -> None:
    path = tmp_path / "pending"
    path.touch()
    pauses: list[float] = []
    with path.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        with pytest.raises(MeterctlError) as caught, locked(path, pauses.append):
            pytest.fail("it is held")
    assert (caught.value.code, caught.value.exit_code) == ("file_locked", LOCK_HELD)
    assert sum(pauses) == pytest.approx(LONGEST_WAIT)


def test_a_file_system_without_locks_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(BadInput, match="cannot lock") as caught, locked(tmp_path / "pending", never):
        pytest.fail("it cannot be locked")
    assert caught.value.code == "bad_file"
