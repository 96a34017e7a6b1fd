"""The command line as a script meets it: arguments in; exit code, standard output and standard error out.

Each test has a store, a config and a clock of its own, given by the environment.
"""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.acceptance.shell import CONFIG, NOW, Answer, Shell
from tests.mongod import own_database
from tests.stripe_server import KEY, StandIn, serving

#: Left over from whoever runs the tests, it would change what they see.
SETTINGS = ("STORE", "CONFIG", "NOW", "OUTPUT", "ACTOR", "DEBUG")


@pytest.fixture
def make_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], Shell]:
    for name in SETTINGS:
        monkeypatch.delenv(f"METERCTL_{name}", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("METERCTL_ACTOR", "tester")
    monkeypatch.setenv("METERCTL_NOW", NOW)
    monkeypatch.setenv("NO_COLOR", "1")

    def call(argv: list[str], stdin: str) -> Answer:
        from meterctl.cli import main

        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        capsys.readouterr()
        code = main(argv)
        return Answer(code, *capsys.readouterr())

    def make(store: str) -> Shell:
        monkeypatch.setenv("METERCTL_STORE", store)
        config = tmp_path / "meterctl.toml"
        config.write_text(CONFIG, encoding="utf-8")
        monkeypatch.setenv("METERCTL_CONFIG", str(config))
        return Shell(call, monkeypatch.setenv, store, tmp_path)

    return make


@pytest.fixture
def run(make_shell: Callable[[str], Shell], tmp_path: Path) -> Shell:
    """On the embedded store."""
    return make_shell(f"sqlite:{tmp_path}/meterctl.db")


@pytest.fixture(params=["sqlite", "mongod"])
def run_anywhere(request: pytest.FixtureRequest, make_shell: Callable[[str], Shell], tmp_path: Path) -> Iterator[Shell]:
    """On each store that a user can choose."""
    if request.param == "sqlite":
        yield make_shell(f"sqlite:{tmp_path}/meterctl.db")
        return
    with own_database() as uri:
        yield make_shell(uri)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A Stripe account, which the command line reaches over HTTP."""
    made = StandIn()
    with serving(made) as base:
        monkeypatch.setenv("STRIPE_API_BASE", base)
        monkeypatch.setenv("STRIPE_API_KEY", KEY)
        monkeypatch.delenv("STRIPE_WEBHOOK_SECRET", raising=False)
        yield made
