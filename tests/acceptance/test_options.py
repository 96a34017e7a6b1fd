"""Options of every command, output formats, errors as documents, and times that are echoed."""

import csv
import io
import json
import re
from pathlib import Path

import pytest

from tests.acceptance.shell import FORMATS, NOW, Shell, hold_lock

CREDIT = "credit-pack acme small --session s1"

#: A line per command that succeeds once `FILLED` is there.
ANSWERED = {
    "credit-pack": "credit-pack acme small --session s9",
    "debit": "debit acme 5 --ref r9",
    "refund": "refund acme --session s1 --cents 5 --refund-id re9",
    "refund --preview": "refund acme --session s1 --cents 5 --preview",
    "refund --reverse": "refund acme --reverse re1",
    "expire": "expire --all",
    "reset-week": "reset-week --all",
    "reset-week --force": "reset-week acme --force --ref f1 --reason why --yes",
    "ledger": "ledger acme --all-kinds",
    "meter attribute": "meter attribute acme run9 --cost llm=0.01",
    "meter show": "meter show acme",
    "meter history": "meter history acme",
    "meter alerts": "meter alerts",
    "meter alerts --after": "meter alerts --after 1d",
    "meter check": "meter check acme",
    "balance": "balance acme",
    "adjust": "adjust acme -5 --ref a9 --reason why",
    "undo": "undo acme 3 --reason why --yes",
    "plan publish": "plan publish pro --quota 600",
    "plan publish --from-config": "plan publish --from-config",
    "plan list": "plan list",
    "plan show": "plan show pro",
    "plan assign": "plan assign acme free --ref p9",
    "orgs": "orgs",
    "init": "init",
    "config show": "config show",
    "lock list": "lock list",
    "lock break": "lock break sweep --reason why",
    "verify": "verify --all",
    "schema": "schema",
    "backfill": "backfill lines.ndjson",
}

FILLED = [
    "plan publish pro --quota 500",
    CREDIT,
    "plan assign acme pro --ref p1",
    "debit acme 5 --ref r1",
    "refund acme --session s1 --cents 100 --refund-id re1",
    "meter attribute acme run1 --units 450",
]

LINES = '{"op": "debit", "org": "acme", "units": 5, "ref": "b1"}\n'


def fill(run: Shell) -> None:
    run.all(*FILLED)
    run.file("lines.ndjson", LINES)


@pytest.mark.parametrize("output", FORMATS)
def test_every_command_answers_in_every_format(run: Shell, output: str) -> None:
    fill(run)
    for name, line in ANSWERED.items():
        if name == "lock break":
            hold_lock(run)
        answer = run(f"{line} -o {output}")
        assert answer.code == 0, (name, answer)
        assert "\x1b" not in answer.out
        if output == "json":
            assert set(answer.doc) > {"schema"}
            assert answer.err == ""
        elif output == "ndjson":
            assert all(isinstance(json.loads(line), dict) for line in answer.out.splitlines())
        elif output == "csv":
            header, *rows = csv.reader(io.StringIO(answer.out)) if answer.out else [[]]
            assert all(len(row) == len(header) for row in rows), (name, answer.out)


@pytest.mark.parametrize("output", ["ndjson", "csv"])
def test_a_ledger_is_an_entry_a_line(run: Shell, output: str) -> None:
    fill(run)
    entries = run.doc("ledger acme")["entries"]
    lines = run(f"ledger acme -o {output}").out.splitlines()
    if output == "ndjson":
        assert [json.loads(line) for line in lines] == entries
        return
    rows = list(csv.DictReader(lines))
    for name in ("seq", "kind", "amount", "balance", "at", "key", "hash"):
        assert [row[name] for row in rows] == [str(entry[name]) for entry in entries]


@pytest.mark.parametrize("line", ["orgs", "lock list", "plan list"])
def test_csv_of_a_list_without_rows_is_its_header(run: Shell, line: str) -> None:
    nothing = run(f"{line} -o csv").out
    fill(run)
    hold_lock(run)
    header, *rows = run(f"{line} -o csv").out.splitlines(keepends=True)
    assert (nothing, bool(rows)) == (header, True)


@pytest.mark.parametrize("line", list(ANSWERED.values())[:20])
def test_options_stand_before_or_after_the_arguments(run: Shell, line: str) -> None:
    fill(run)
    command, *arguments = line.split()
    dry = ["--dry-run"] if "--help" not in line and command in ("credit-pack", "debit", "adjust", "undo") else []
    before = run("--json", command, *arguments, *dry)
    after = run(command, *arguments, "--json", *dry)
    if command not in ("meter", "plan", "config", "lock"):
        between = run(command, "--json", *dry, *arguments)
        assert between.code == 0
    else:
        between = run(command, "--json", *arguments)
    assert {before.code, after.code, between.code} == {0}
    assert {answer.doc["schema"] for answer in (before, after, between)} == {before.doc["schema"]}


def test_shared_options_before_the_command_name(run: Shell) -> None:
    other = f"sqlite:{run.place}/other.db"
    run.all(f"--store {other} --actor boss {CREDIT}")
    assert run.doc(f"--store {other} balance acme")["balance"] == 1000
    assert run.doc(f"balance acme --store {other}")["balance"] == 1000
    assert run.doc("balance acme")["balance"] == 0
    entry = run.doc(f"ledger acme --store {other}")["entries"][0]
    assert entry["actor"] == "boss"


def test_what_is_said_next_to_the_command_wins(run: Shell) -> None:
    run.all(CREDIT)
    assert run("--json balance acme -o csv").out.startswith("org,")
    assert run("-o csv balance acme --json").doc["balance"] == 1000
    assert run.doc("--now 2026-11-16T13:00:00Z balance acme --now 2026-11-16T14:00:00Z")["as_of"][11:16] == "14:00"
    entry = run.doc("--actor one debit acme 5 --ref r1 --actor two")["entry"]
    assert entry["actor"] == "two"


def test_the_environment_names_the_output_and_an_option_overrules_it(run: Shell) -> None:
    run.setenv("METERCTL_OUTPUT", "json")
    assert run("balance acme").doc["schema"] == "meterctl.balance.v1"
    assert run("debit acme 5 --ref r1").code == 4
    assert run("debit acme 1e3 --ref r1").error["code"] == "bad_number"
    assert run("balance acme -o csv").out.startswith("org,")
    assert run("debit acme 1e3 --ref r1 -o table").err.startswith("error [bad_number]")
    run.setenv("METERCTL_OUTPUT", "yaml")
    answer = run("balance acme")
    assert (answer.code, answer.out) == (2, "")


def test_a_format_that_does_not_exist_is_refused_before_anything_is_booked(run: Shell) -> None:
    answer = run(f"{CREDIT} -o yaml")
    assert (answer.code, answer.out) == (2, "")
    assert "ndjson" in answer.err
    assert run.journal() == ""


@pytest.mark.parametrize("name", ["plan-out", "at", "store", "config", "now", "output", "profile", "actor", "reason"])
def test_an_option_that_is_given_empty_is_refused_before_anything_is_booked(run: Shell, name: str) -> None:
    for words in ([f"--{name}", ""], [f"--{name}="]):
        error = run.json(*CREDIT.split(), *words).error
        assert (error["code"], error["message"]) == ("usage", f"--{name} is empty")
    if name in ("store", "config"):
        assert run("--" + name, "", *CREDIT.split()).code == 2
    assert run("-o", "", *CREDIT.split()).code == 2
    assert run.journal() == ""


def test_an_empty_variable_of_the_environment_is_one_that_is_not_set(run: Shell) -> None:
    for name in ("OUTPUT", "ACTOR", "PROFILE"):
        run.setenv(f"METERCTL_{name}", "")
    run.all(CREDIT)


def test_the_environment_names_the_actor(run: Shell) -> None:
    run.setenv("METERCTL_ACTOR", "jane")
    assert run.doc(CREDIT)["entry"]["actor"] == "jane"
    assert run.doc("debit acme 1 --ref r1 --actor joe")["entry"]["actor"] == "joe"


def test_reason_actor_and_time_are_on_the_entry(run: Shell) -> None:
    entry = run.doc(f"{CREDIT} --reason 'sold by phone' --actor jane --at 2026-11-15T08:00:00Z")["entry"]
    assert (entry["reason"], entry["actor"], entry["at"]) == ("sold by phone", "jane", "2026-11-15T08:00:00.000Z")
    assert entry["recorded_at"] == NOW
    assert entry["expires_at"] == "2026-12-06T08:00:00.000Z"


@pytest.mark.parametrize("words", ["--json", "-o json", "-ojson", "--output json", "--output=json"])
def test_an_error_is_one_document_on_standard_error(run: Shell, words: str) -> None:
    for line in ("balance 'a b'", "frobnicate", "debit acme", "plan show gold"):
        first, *rest = (f"{words} {line}", f"{line} {words}")
        answer = run(first)
        assert answer.code in (2, 3)
        assert set(answer.error) == {"schema", "code", "message", "hint"}
        assert all(run(other).error["code"] == answer.error["code"] for other in rest)


def test_an_error_for_a_person_names_cause_and_next_step(run: Shell) -> None:
    answer = run("debit acme 1e3 --ref r1")
    assert answer.out == ""
    assert answer.err.splitlines() == [
        "error [bad_number]: units: '1e3' is not a whole number",
        "  try: units is a whole number >= 1",
    ]


@pytest.mark.parametrize(
    ("word", "meant"), [("debti", "debit"), ("credit_pack", "credit-pack"), ("balence", "balance"), ("plans", "plan")]
)
def test_a_command_that_is_nearly_one(run: Shell, word: str, meant: str) -> None:
    error = run.json(word).error
    assert error["message"] == f"there is no command {word!r}; did you mean {meant!r}?"


def test_the_version(run: Shell) -> None:
    from meterctl import __version__

    assert run("--version").out == f"meterctl {__version__}\n"
    assert run("--version --json").code == 0


# Times


RESOLVED = {
    "2d": "2026-11-14T12:00:00.000Z",
    "36h": "2026-11-15T00:00:00.000Z",
    "yesterday": "2026-11-15T00:00:00.000Z",
    "today": "2026-11-16T00:00:00.000Z",
    "2026-W46": "2026-11-09T00:00:00.000Z",
    "2026-11-15": "2026-11-15T00:00:00.000Z",
    "2026-11": "2026-11-01T00:00:00.000Z",
    "sunday": "2026-11-15T00:00:00.000Z",
    "monday": "2026-11-16T00:00:00.000Z",
    "2026-11-15T10:00:00+02:00": "2026-11-15T08:00:00.000Z",
}

#: Where those that name a period end.
ENDS = {
    "yesterday": "2026-11-16T00:00:00.000Z",
    "today": "2026-11-17T00:00:00.000Z",
    "2026-W46": "2026-11-16T00:00:00.000Z",
    "2026-11-15": "2026-11-16T00:00:00.000Z",
    "2026-11": "2026-12-01T00:00:00.000Z",
    "sunday": "2026-11-16T00:00:00.000Z",
    "monday": "2026-11-17T00:00:00.000Z",
}


@pytest.mark.parametrize("text", RESOLVED)
def test_a_filter_tells_the_instant_it_stands_for(run: Shell, text: str) -> None:
    instant = RESOLVED[text]
    assert run.doc(f"ledger acme --since {text}")["since"] == instant
    assert run.doc(f"ledger acme --until {text}")["until"] == ENDS.get(text, instant)
    assert run.doc(f"meter alerts --since {text}")["since"] == instant
    assert run.doc(f"balance acme --as-of {text}")["as_of"] == instant
    assert run.doc(f"orgs --idle {text}")["idle_since"] == instant
    told = run(f"ledger acme --since {text} -o csv")
    assert told.err.splitlines()[0] == f"since {instant}"


@pytest.mark.parametrize(("filters", "count"), [("--since", 1), ("--until", 0)])
def test_a_filter_may_name_the_first_instant_of_all(run: Shell, filters: str, count: int) -> None:
    run.all(CREDIT)
    assert len(run.doc(f"ledger acme {filters} 0001-01-01")["entries"]) == count
    assert run.doc("ledger acme --chart --since 0001-01-01")["balance"] == 1000


def test_spans_ahead_are_told_too(run: Shell) -> None:
    run.all("adjust acme 1 --ref a1 --reason why")
    assert run.doc("orgs --expiring 14d")["expiring_by"] == "2026-11-30T12:00:00.000Z"
    assert run("orgs --expiring 14d").err == "expiring by 2026-11-30T12:00:00.000Z\n"


def test_an_instant_in_full_needs_no_echo(run: Shell) -> None:
    run.all(CREDIT)
    assert run(f"ledger acme --since {NOW} -o csv").err == ""


BAD_PLACES = {
    "debit acme 1 --ref r1 --at foo": "--at: 'foo' is not a time",
    "adjust acme 1 --ref r1 --reason why --expires foo": "--expires: 'foo' is not a time",
    "plan publish pro --quota 5 --effective-from foo": "--effective-from: 'foo' is not a time",
    "ledger acme --until foo": "--until: 'foo' is not a time",
    "ledger acme --since 2026-W99": "--since: '2026-W99' is not a week",
    "balance acme --as-of foo": "--as-of: 'foo' is not a time",
    "orgs --idle foo": "--idle: 'foo' is not a time",
    "orgs --expiring foo": "--expiring: 'foo' is not a span of time",
    "balance acme --now foo": "--now: 'foo' is not a time",
    "balance acme -o xml": "--output: 'xml' is not an output format of this command",
}


@pytest.mark.parametrize("line", BAD_PLACES)
def test_a_bad_value_is_told_with_the_option_that_said_it(run: Shell, line: str) -> None:
    answer = run(line)
    assert (answer.code, answer.out) == (2, "")
    assert BAD_PLACES[line] in answer.err.splitlines()[0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("METERCTL_NOW", "foo", "METERCTL_NOW: 'foo' is not a time"),
        ("METERCTL_OUTPUT", "xml", "METERCTL_OUTPUT: 'xml' is not an output format of this command"),
    ],
)
def test_a_bad_value_is_told_with_the_variable_that_said_it(run: Shell, name: str, value: str, said: str) -> None:
    run.setenv(name, value)
    assert said in run("balance acme").err


# Where things come from


def test_every_variable_of_the_environment_is_documented() -> None:
    root = Path(__file__).parents[2]
    code = "".join(file.read_text(encoding="utf-8") for file in root.glob("meterctl/**/*.py"))
    page = (root / "docs" / "operating.md").read_text(encoding="utf-8")
    # A name with a mark before it is set by the completion scripts, not by a person.
    read = set(re.findall(r"(?<!_)METERCTL_[A-Z]+(?:_[A-Z]+)*|NO_COLOR|STRIPE_API_KEY|XDG_[A-Z]+_HOME", code))
    assert {name for name in read if f"`{name}`" not in page} == set()


def test_without_a_word_the_store_is_in_the_users_data_directory(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERCTL_STORE")
    run.all(CREDIT)
    assert (run.place / "data" / "meterctl" / "meterctl.db").is_file()
    assert run.doc("config show")["store"] == f"sqlite:{run.place}/data/meterctl/meterctl.db"


def test_the_config_is_the_nearest_one(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def plan() -> str:
        name: str = run.doc("config show")["default_plan"]
        return name

    (run.place / "meterctl.toml").unlink()
    monkeypatch.delenv("METERCTL_CONFIG")
    assert (plan(), run.doc("config show")["source"]) == ("free", None)
    (run.place / "config" / "meterctl").mkdir(parents=True)
    run.file("config/meterctl/meterctl.toml", "default_plan = 'users'")
    assert plan() == "users"
    run.file("meterctl.toml", "default_plan = 'here'")
    assert plan() == "here"
    run.setenv("METERCTL_CONFIG", run.file("environment.toml", "default_plan = 'environment'"))
    assert plan() == "environment"
    given = run.file("given.toml", "default_plan = 'given'")
    assert run.doc("--config", given, "config", "show")["default_plan"] == "given"
    assert run.doc("config", "show", "--config", given)["source"] == given


@pytest.fixture
def homeless(run: Shell, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Someone whose directories are all where HOME says."""
    for kind in ("CONFIG", "DATA", "CACHE"):
        monkeypatch.delenv(f"XDG_{kind}_HOME", raising=False)
    return run


def refused(path: Path) -> bool:
    """What looking at any path comes to in a directory of which nothing may be seen; asked so, since root may."""
    raise PermissionError(13, "Permission denied", str(path))


@pytest.mark.parametrize("home", ["no home", "a file", "nothing may be seen"])
def test_a_home_that_cannot_be_used_is_as_none(homeless: Shell, home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    homeless.setenv("HOME", homeless.file("letter", ""))
    if home == "no home":
        monkeypatch.setattr(Path, "home", lambda: Path("~no-such-user").expanduser())
    assert homeless.doc("balance acme")["balance"] == 0  # by a config that was named, and nowhere to keep it checked
    monkeypatch.delenv("METERCTL_CONFIG")
    (homeless.place / "meterctl.toml").unlink()
    if home == "nothing may be seen":
        monkeypatch.setattr(Path, "is_file", refused)
    assert homeless.doc("config show")["source"] is None
    homeless.setenv("METERCTL_CONFIG", f"{homeless.place}/letter/meterctl.toml")
    assert homeless.json("config show").error["code"] == "bad_config"


def test_a_user_without_a_home_has_to_say_where_the_store_is(homeless: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path("~no-such-user").expanduser())
    monkeypatch.delenv("METERCTL_STORE")
    answer = homeless.json("balance acme")
    assert (answer.code, answer.error["code"]) == (2, "bad_store")
    assert "--store sqlite:PATH" in answer.error["hint"]


def test_without_a_word_the_actor_is_the_login_name(run: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERCTL_ACTOR")
    monkeypatch.setenv("LOGNAME", "ops")
    assert run.doc(CREDIT)["entry"]["actor"] == "ops"


def test_the_config_in_force_is_shown_with_its_defaults(run: Shell) -> None:
    run.config("run_base = 7\n[packs.small]\nunits = 5\nprice_cents = 5\ncurrency = 'usd'\n")
    shown = run.doc("config show")
    assert (shown["run_base"], shown["thresholds"], shown["overage"]) == (7, [80, 100], "debt")
    small = {"units": 5, "price_cents": 5, "currency": "usd", "expiry_days": None}
    assert shown["packs"]["small"] | small == shown["packs"]["small"]


def test_a_lone_option_is_no_command(run: Shell) -> None:
    assert run("--json").error["code"] == "usage"
    assert run("balance --json").error["code"] == "usage"
    assert run("meter --json").error["code"] == "usage"


def test_plans_published_by_others_first_are_tried_again_and_then_given_up(
    run: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meterctl.core.stores.sqlite.plans import SqlitePlans

    tries: list[object] = []
    monkeypatch.setattr(SqlitePlans, "add", lambda _, version: tries.append(version))
    answer = run.json("plan publish pro --quota 5")
    assert (answer.code, answer.error["code"], len(tries)) == (10, "contended", 1 + 3)


@pytest.mark.parametrize(
    "line",
    [
        "adjust acme 5 --ref r9 --reason why --expires {}",
        "credit-pack acme small --session s9 --expires {}",
        "lot extend acme 1 --expires {} --ref x9 --reason why",
        "meter hold acme 5 --ref h9 --expires {}",
    ],
)
@pytest.mark.parametrize(
    ("written", "instant"),
    [
        ("2026-12-10", "2026-12-11T00:00:00.000Z"),
        ("2026-12-10T00:00Z", "2026-12-10T00:00:00.000Z"),
        ("5d", "2026-11-21T08:00:00.000Z"),
    ],
)
def test_a_date_alone_expires_at_the_end_of_that_day(run: Shell, line: str, written: str, instant: str) -> None:
    run.all(CREDIT, now="2026-11-16T08:00Z")
    entry = run.doc(line.format(written), now="2026-11-16T08:00Z")["entry"]
    assert entry["input"]["expires_at"] == entry["expires_at"] == instant
