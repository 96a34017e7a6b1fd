"""Slips at the keyboard: each is answered with the words that would do, and books nothing."""

import os
from pathlib import Path

import pytest

from tests.acceptance.shell import NOW, Answer, Shell

CREDIT = "credit-pack acme small --session cs_1"


def hint(answer: Answer) -> str:
    return answer.err.rstrip("\n").splitlines()[-1].strip()


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("adjust acme 5 --ref r1 --reason why --expires never", "leave --expires out"),
        (f"{CREDIT} --expires never", "meterctl lot extend ORG LOT --expires never"),
        ("adjust acme -5 --ref r1 --reason why --expires 30d", "leave --expires out"),
        ("undo acme debit:r1 --reason why", "meterctl undo acme --of debit:r1 --reason TEXT"),
        ("undo acme 'run:a;b:main' --reason why", "--of 'run:a;b:main'"),
        ("undo acme r1 --reason why", "seq is a whole number"),
        ("refund acme --preview", "meterctl refund ORG --session ID --preview"),
        ("refund acme --preview --unused", "meterctl refund ORG --session ID --preview"),
        ("meter attribute acme run1 --costs missing.json", 'such as {"llm": "0.0125"}'),
    ],
)
def test_the_advice_is_the_line_that_would_do(run: Shell, line: str, advice: str) -> None:
    journal = run.journal()
    answer = run(line)
    assert (answer.code, answer.out) == (2, "")
    assert advice in hint(answer)
    assert run.journal() == journal


def test_lot_extend_alone_takes_never(run: Shell) -> None:
    run.all(CREDIT, "lot extend acme 1 --expires never --ref x1 --reason why")
    assert run.doc("balance acme")["lots"][0]["expires_at"] is None


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("tomorrow", "2026-11-18T00:00:00.000Z"),
        ("today", "2026-11-17T00:00:00.000Z"),
        ("monday", "2026-11-17T00:00:00.000Z"),
        ("friday", "2026-11-21T00:00:00.000Z"),
        ("sunday", "2026-11-23T00:00:00.000Z"),
        ("12h", "2026-11-17T00:00:00.000Z"),
    ],
)
def test_a_pack_that_expires_on_a_weekday_expires_on_the_coming_one(run: Shell, text: str, end: str) -> None:
    answer = run(f"{CREDIT} --expires {text}")
    assert (answer.code, answer.err) == (0, f"expires {end}\n")
    balance = run.doc("balance acme")
    assert (balance["balance"], balance["lots"][0]["expires_at"]) == (1000, end)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("30d", "2026-12-16T12:00:00.000Z"),
        ("tomorrow", "2026-11-17T00:00:00.000Z"),
        ("monday", "2026-11-23T00:00:00.000Z"),
        ("friday", "2026-11-20T00:00:00.000Z"),
        ("2026-12", "2026-12-01T00:00:00.000Z"),
        ("2026-W48", "2026-11-23T00:00:00.000Z"),
        ("2026-12-24", "2026-12-24T00:00:00.000Z"),
    ],
)
def test_options_that_begin_something_take_spans_and_coming_days(run: Shell, text: str, start: str) -> None:
    answer = run(f"plan publish pro --quota 5 --effective-from {text}")
    assert (answer.code, answer.err) == (0, f"from {start}\n")
    assert run.doc("plan show pro")["versions"][0]["effective_from"] == start
    run.all(f"plan assign acme pro --ref p1 --from {text}")
    assert run.doc("meter show acme")["next_plan"]["from"] == start


def test_the_word_for_a_start_that_is_none_is_answered_with_those_that_are(run: Shell) -> None:
    answer = run("plan assign acme pro --ref p1 --from next-month")
    assert answer.code == 2
    assert "30d" in hint(answer)
    assert "tomorrow" in hint(answer)


def test_a_plan_version_that_is_in_force_later_than_asked_says_so(run: Shell) -> None:
    run.all("plan publish pro --quota 5 --effective-from 2026-11-10", "plan publish free --quota 5")
    on_time = run.doc("plan publish pro --quota 6 --effective-from 2026-11-10")
    late = run.doc("plan publish pro --quota 7 --effective-from 2026-11-01")
    assert [warning["code"] for warning in on_time["warnings"]] == ["clock_pinned"]
    assert [warning["code"] for warning in late["warnings"]] == ["took_effect_later", "clock_pinned"]
    assert late["effective_from"] == "2026-11-10T00:00:00.000Z"
    assert "pro v3 is in force from 2026-11-10T00:00:00.000Z: not before v2" in late["warnings"][0]["message"]
    planned = run.doc("plan publish pro --quota 8 --effective-from 2026-11-01 --dry-run")
    assert planned["warnings"][0]["code"] == "took_effect_later"
    several = run.doc("plan publish --from-config --effective-from 2026-11-01")
    assert [warning["code"] for warning in several["warnings"]] == ["took_effect_later", "clock_pinned"]


@pytest.mark.parametrize("kind", ["statement acme", "report"])
def test_a_window_without_an_end_has_this_very_millisecond(run: Shell, kind: str) -> None:
    run.all(CREDIT, "debit acme 5 --ref r1")
    document = run.doc(f"{kind} --since 2026-11-01")
    assert (document["opening"], document["closing"], document["as_of"]) == (0, 995, NOW)
    assert document["outstanding"]["units"] == 995
    assert "not over" not in run(f"{kind} --since 2026-11-01").out
    assert run.doc(f"{kind} --since 2026-11-01 --until {NOW}")["closing"] == 0
    assert "not over" in run(f"{kind} --since 2026-11-01 --until 2026-11-17").out


def test_costs_come_from_standard_input_too(run: Shell) -> None:
    answer = run.json("meter attribute acme run1 --costs -", stdin='{"llm": "0.005"}')
    assert answer.doc["entry"]["breakdown"] == {"llm": 5}


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"llm": "0.\xe91"}', "byte 12 is not UTF-8"), (b" " * 1_000_001, "it is longer than 1,000,000 bytes")],
)
def test_costs_that_cannot_be_read_say_why(run: Shell, tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "costs.json").write_bytes(content)
    answer = run.json("meter attribute acme run1 --costs costs.json")
    assert (answer.code, answer.error["code"]) == (2, "bad_costs")
    assert answer.error["message"] == f"no costs from costs.json: {message}"


def test_a_config_that_cannot_be_read_says_why_without_codes_of_the_system(run: Shell, tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_bytes(b'default_plan = "fr\xe9e"\n')
    assert "is not UTF-8: byte 19" in run("balance acme --config other.toml").err
    for path, reason in (("missing.toml", "No such file or directory"), (".", "Is a directory")):
        first = run(f"balance acme --config {path}").err.splitlines()[0]
        assert first == f"error [bad_config]: cannot read the config {path}: {reason}"


def test_a_ref_in_another_encoding_names_its_byte(run: Shell) -> None:
    answer = run("debit", "acme", "5", "--ref", os.fsdecode(b"caf\xe9"))
    assert (answer.code, "it holds the byte 0xE9" in answer.err) == (2, True)
    assert "LC_ALL" in hint(answer)


@pytest.mark.parametrize("form", ["table", "csv", "ndjson", "plain"])
def test_alerts_of_a_store_that_cannot_be_read_print_no_heading(run: Shell, tmp_path: Path, form: str) -> None:
    (tmp_path / "notes.txt").write_text("no database " * 500)
    answer = run(f"meter alerts -o {form} --store sqlite:notes.txt")
    assert (answer.code, answer.out) == (10, "")
    assert "not a database" in answer.err


@pytest.mark.parametrize(
    ("line", "message", "advice"),
    [
        ("events", "name a FILE of events", "meterctl events --from-stripe"),
        ("events events.json --from-stripe", "not both", "meterctl events FILE"),
        ("events events.json --since 3d", "--since goes with --from-stripe", "leave it out"),
        ("backfill lines.ndjson --results -", "--results - needs --line-buffered", "add --line-buffered"),
    ],
)
def test_options_that_need_another_one_name_it(run: Shell, line: str, message: str, advice: str) -> None:
    run.file("lines.ndjson", "")
    answer = run(line)
    assert (answer.code, answer.out) == (2, "")
    assert message in answer.err.splitlines()[0]
    assert advice in hint(answer)


@pytest.mark.parametrize(
    ("name", "formats"), [("statement", "plain, html, hledger."), ("explain", "plain, html."), ("orgs", "plain.")]
)
def test_help_lists_every_format_that_the_command_takes(run: Shell, name: str, formats: str) -> None:
    assert f"table, json, ndjson, csv, markdown, {formats}" in " ".join(run(name, "--help").out.split())


@pytest.mark.parametrize(
    "line",
    [
        "balance acme --store sqlite:credits.db",
        "adjust acme 5 --ref r1 --reason why --store sqlite:credits.db",
        "expire --all --metrics-file meterctl.prom",
        "verify --all --seal all.seal",
    ],
)
def test_a_working_directory_that_was_removed_is_named(
    run: Shell, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str
) -> None:
    """As under a cron job whose release directory was replaced."""
    run.setenv("METERCTL_CONFIG", str(run.place / "meterctl.toml"))
    removed = tmp_path / "release"
    removed.mkdir()
    monkeypatch.chdir(removed)
    removed.rmdir()
    answer = run(line)
    assert (answer.code, answer.out) == (2, "")
    assert "error [no_directory]: the working directory was removed" in answer.err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("balance", "meterctl balance needs an argument"),
        ("lot void", "meterctl lot void needs an argument"),
        ("meter", "meterctl meter needs a command"),
    ],
)
def test_a_program_that_leaves_the_argument_out_gets_an_error_document(run: Shell, line: str, message: str) -> None:
    """As a script does with an empty variable; a person gets the help."""
    answer = run(f"--json {line}")
    assert (answer.code, answer.out) == (2, "")
    assert answer.error == {
        "schema": "meterctl.error.v1",
        "code": "usage",
        "message": message,
        "hint": f"{message.partition(' needs')[0]} --help",
    }
    assert run(line).err.startswith("Usage: meterctl")
    run.setenv("METERCTL_OUTPUT", "json")
    assert run(line).error["message"] == message


def test_one_unit_is_a_unit(run: Shell) -> None:
    run.all("plan publish free --quota 0")
    assert "amount   +1 unit\n" in run("adjust acme 1 --ref a1 --reason why").out
    assert "1 unit is available." in run("explain acme").out
    assert "amount   -1 unit\n" in run("debit acme 1 --ref r1").out
    run.all("credit-pack brief brief --session cs_9")
    statement = run("statement brief --since 2026-11-01", now="2026-11-18T00:00Z").out
    assert "includes 1 due event that no sweep has booked yet" in statement


@pytest.mark.parametrize(
    ("store", "advice"),
    [
        ("sqlite:credits.db?mode=ro", "sqlite:credits.db"),
        ("sqlite:credits.db?meterctlPrefix=x_", "sqlite:credits.db"),
        ("sqlite::memory:", "such as sqlite:rehearsal.db"),
    ],
)
@pytest.mark.parametrize("line", ["balance acme", "adjust acme 5 --ref r1 --reason why", "expire --all", "init"])
def test_options_of_an_embedded_store_are_no_part_of_its_name(
    run: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: str, advice: str, line: str
) -> None:
    """Otherwise the command would use another, empty store."""
    place = tmp_path / "elsewhere"
    place.mkdir()
    run.setenv("METERCTL_CONFIG", str(run.place / "meterctl.toml"))
    monkeypatch.chdir(place)
    answer = run(f"{line} --store '{store}'")
    assert (answer.code, answer.out) == (2, "")
    assert "error [bad_store]: an embedded store" in answer.err
    assert hint(answer).endswith(advice)
    assert list(place.iterdir()) == []


def test_a_file_whose_name_looks_like_options_is_a_store_once_it_exists(run: Shell) -> None:
    run.file("odd?a=b", "")
    run.all(f"{CREDIT} --store 'sqlite:{run.place}/odd?a=b'")


@pytest.mark.parametrize("store", ["credits.db", "mongo://127.0.0.1/credits", "postgres://127.0.0.1/credits"])
def test_a_store_of_no_kind_is_told_as_that_under_a_pinned_clock_too(run: Shell, store: str) -> None:
    answer = run(f"balance acme --store {store}")
    assert answer.code == 2
    assert "error [bad_store]" in answer.err
    assert hint(answer).endswith("sqlite:PATH, mongodb://... or mongodb+srv://...")


@pytest.mark.parametrize(
    "line",
    [
        "debit acme 5 --ref --json",
        "debit acme 5 --ref --allow-debt --yes",
        "debit acme 5 --ref --reason=why",
        "debit acme 5 --ref -q",
        "debit acme 5 --ref",
        "debit --ref -- acme 5",
        "adjust acme 5 --reason --ref r1",
        "credit-pack acme small --session --json",
        "meter attribute acme run1 --units 5 --hold --json",
        "--actor --json debit acme 5 --ref r1",
    ],
)
def test_an_option_whose_value_is_missing_does_not_take_the_next_option_for_it(run: Shell, line: str) -> None:
    """A script with an empty variable would book under the ref --json, and every later time be told: booked before."""
    run.all(CREDIT)
    journal = run.journal()
    answer = run(line)
    assert (answer.code, answer.out) == (2, "")
    assert "requires an argument." in answer.err
    assert run.journal() == journal


def test_a_value_that_looks_like_an_option_is_taken_behind_an_equals_sign(run: Shell) -> None:
    run.all(CREDIT, "debit acme 5 --ref=--json", "adjust acme -5 --ref -r7 --reason '--yes, he said'")
    entries = run.doc("ledger acme")["entries"]
    assert [entry["key"] for entry in entries] == ["adjust:-r7", "debit:--json", "session:cs_1"]
    assert entries[0]["reason"] == "--yes, he said"
