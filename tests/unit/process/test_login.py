"""The login name: as the environment says, as the system says, or a number."""

import os
import pwd

import pytest

from meterctl.process.login import login_name

VARIABLES = ("LOGNAME", "USER", "LNAME", "USERNAME")


@pytest.fixture(autouse=True)
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


@pytest.mark.parametrize("variable", VARIABLES)
def test_the_environment_names_the_user(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "jo")
    assert login_name() == "jo"


def test_the_first_variable_that_says_something_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, name in zip(VARIABLES, ("", "ann", "bob", "cy"), strict=True):
        monkeypatch.setenv(variable, name)
    assert login_name() == "ann"


def test_the_system_names_the_user() -> None:
    assert login_name() == pwd.getpwuid(os.getuid()).pw_name


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert login_name() == f"uid:{os.getuid()}"
