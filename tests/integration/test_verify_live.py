"""Verify and doctor while others write: a backfill runs in other processes, and nothing is found."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mongod import own_database

ORGS = 40

CONFIG = """\
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 21
"""


@pytest.fixture(params=["sqlite", "mongod"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:{tmp_path}/meterctl.db"
        return
    with own_database() as uri:
        yield uri


def command(store: str, tmp_path: Path, *words: str) -> list[str]:
    config = tmp_path / "meterctl.toml"
    config.write_text(CONFIG, encoding="utf-8")
    return [sys.executable, "-m", "meterctl", "--store", store, "--config", str(config), "--json", *words]


def operations(lines: int) -> Iterator[str]:
    """A pack now and then, so that claims come before topups; usage and debits between."""
    for number in range(lines):
        org = f"org-{number * 7 % ORGS}"
        if number % 50 < ORGS // 10:
            yield json.dumps({"op": "credit-pack", "org": org, "pack": "small", "session": f"cs_{number}"})
        elif number % 3:
            yield json.dumps({"op": "attribute", "org": org, "run": f"r{number}", "units": 3})
        else:
            yield json.dumps({"op": "debit", "org": org, "units": 1, "ref": f"d{number}", "allow_debt": True})


@pytest.mark.parametrize("lines", [6_000, pytest.param(100_000, marks=pytest.mark.long)])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_check_of_all_during_a_backfill_finds_nothing(store: str, tmp_path: Path, lines: int, workers: str) -> None:
    file = tmp_path / "in.ndjson"
    file.write_text("\n".join(operations(lines)) + "\n", encoding="utf-8")
    argv = command(store, tmp_path, "backfill", str(file), "--workers", workers)
    checks = 0
    subprocess.run(command(store, tmp_path, "init"), check=True, capture_output=True, timeout=60)
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as writing:
        try:
            while writing.poll() is None:
                words = ["doctor"] if checks % 2 else ["verify", "--all"]
                argv = command(store, tmp_path, *words)
                done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
                assert done.returncode == 0, [*done.stdout.splitlines(), *done.stderr.splitlines()]
                checks += 1
            out, err = writing.communicate(timeout=60)
        finally:
            writing.kill()
    assert json.loads(out)["applied"] == lines, err
    assert checks > 0
    print(f"{checks} checks during a backfill of {lines:,} lines")
