"""Lines on standard error for whoever collects logs."""

import json
import re

import pytest

from tests.acceptance.shell import Shell

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


def records(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def test_each_line_is_a_record_with_time_level_and_run(run: Shell) -> None:
    answer = run("expire --all --log-format json --json")
    assert json.loads(answer.out)["schema"] == "meterctl.sweep.v1"
    told = records(answer.err)
    assert [record["level"] for record in told] == ["info"] * len(told)
    assert all(re.fullmatch(TIME, str(record["time"])) for record in told)
    assert len({record["run"] for record in told}) == 1
    assert (told[-1]["message"], told[-1]["command"], told[-1]["exit_code"]) == ("expire ended", "expire", 0)
    assert any("no journal" in str(record["message"]) for record in told)


def test_an_error_is_a_record_with_its_code(run: Shell) -> None:
    told = records(run("debit acme 1e3 --ref r1 --log-format=json").err)
    assert (told[0]["level"], told[0]["code"]) == ("error", "bad_number")
    assert told[0]["hint"]
    assert (told[-1]["level"], told[-1]["exit_code"]) == ("error", 2)


def test_the_environment_may_ask_for_it_and_text_is_a_line_each(run: Shell) -> None:
    run.setenv("METERCTL_LOG_FORMAT", "text")
    lines = run("meter show acme --json").err.splitlines()
    assert re.fullmatch(
        rf"{TIME} info \[[0-9a-f]{{12}}\] meter show ended command=meter show exit_code=0 seconds=\S+", lines[-1]
    )


def test_two_runs_have_two_names(run: Shell) -> None:
    first, second = (records(run("balance acme --json --log-format json").err)[-1]["run"] for _ in range(2))
    assert first != second


@pytest.mark.parametrize("line", ["--log-format xml balance acme", "balance acme --log-format=xml"])
def test_another_form_is_refused(run: Shell, line: str) -> None:
    answer = run.json(line)
    assert (answer.code, answer.error["code"]) == (2, "usage")


def test_no_secret_is_logged(run: Shell) -> None:
    answer = run("--store mongodb://joe:secret@127.0.0.1:1/x?timeoutMS=100 balance acme --log-format json")
    assert answer.code == 10
    assert "secret" not in answer.err
