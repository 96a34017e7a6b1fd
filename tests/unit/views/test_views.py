"""What people are told: the words for figures and times, and what each view must say."""

import io
import subprocess
import sys
from importlib import import_module

import pytest

from meterctl.core.results import Receipt, Result
from meterctl.render import write
from meterctl.views import words
from meterctl.views.blocks import Bar, Pairs, bar_pieces
from meterctl.views.registry import _VIEWS, MODULES
from meterctl.views.terminal import draw, widths_for
from tests import samples
from tests.samples import SAMPLES


def shown(result: Result, output: str = "table") -> str:
    stream = io.StringIO()
    write(result, output, stream)
    return stream.getvalue()


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


# -- words


@pytest.mark.parametrize(
    ("cents", "currency", "said"),
    [
        (500, "usd", "5.00 USD"),
        (123456789, "eur", "1,234,567.89 EUR"),
        (5000, "jpy", "5,000 JPY"),
        (1234, "kwd", "1.234 KWD"),
        (12345, "clf", "1.2345 CLF"),
        (7, "usd", "0.07 USD"),
        (0, "usd", "0.00 USD"),
        (-50, "usd", "-0.50 USD"),
        (250, "xyz", "2.50 XYZ"),
        (500, "isk", "5.00 ISK"),
        (500, "mga", "500 MGA"),
        (250, None, "250 cents"),
        (1, None, "1 cent"),
    ],
)
def test_money_has_the_places_of_its_currency(cents: int, currency: str | None, said: str) -> None:
    assert words.money(cents, currency) == said


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("2026-12-04T10:03:00.000Z", "in 12 days"),
        ("2026-11-24T10:02:59.999Z", "in 47 hours"),
        ("2026-11-22T12:02:00.000Z", "in 119 minutes"),
        ("2026-11-22T10:04:30.000Z", "in 1 minute"),
        ("2026-11-22T10:03:00.000Z", "in less than a minute"),
        ("2026-11-19T10:03:00.000Z", "3 days ago"),
    ],
)
def test_a_distance_in_time_counts_from_the_result_s_own_now(then: str, said: str) -> None:
    assert words.relative(samples.NOW, then) == said


def test_a_share_is_rounded_down_so_that_a_hundred_percent_means_all() -> None:
    assert [words.percent(n, 1000) for n in (0, 5, 999, 1000, 1001)] == ["0 %", "0 %", "99 %", "100 %", "100 %"]
    assert words.percent(5, 0) == "-"


def test_plurals() -> None:
    assert [words.plural(n, "unit") for n in (0, 1, 2000)] == ["0 units", "1 unit", "2,000 units"]
    assert words.plural(2, "entry") == "2 entries"


@pytest.mark.parametrize(("seconds", "said"), [(0.254, "0.25 s"), (61.26, "61.3 s"), (600, "10 minutes")])
def test_durations(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


# -- bars


def drawn(bar: Bar, width: int = 10) -> str:
    return "".join(said.text for said in bar_pieces(bar, width))


@pytest.mark.parametrize(
    ("value", "picture"),
    [
        (0, "░░░░░░░░░░"),
        (1, "█░░░░░░░░░"),
        (500, "█████░░░░░"),
        (999, "█████████░"),
        (1000, "██████████"),
    ],
)
def test_a_bar_shows_what_is_there_and_is_full_only_when_it_is(value: int, picture: str) -> None:
    assert drawn(Bar(((value, "good"),), 1000)) == picture


def test_a_bar_marks_thresholds_and_what_goes_beyond() -> None:
    pieces = bar_pieces(Bar(((100, "warn"), (25, "bad")), 125, (80, 100)), 25)
    assert "".join(said.text for said in pieces) == "███████████████│███│█████"
    assert {said.tone for said in pieces[20:]} == {"bad"}


def test_a_bar_of_nothing_is_empty() -> None:
    assert drawn(Bar(((0, "good"),), 0)) == "░" * 10


# -- each view


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("output", ["table", "markdown", "plain"])
def test_every_result_is_shown_in_every_form_for_people(name: str, output: str) -> None:
    text = shown(SAMPLES[name](), output)
    assert text.endswith("\n")
    assert "{'" not in text, "no value is shown in Python's own form"
    assert "None" not in text


#: What each result must tell, whatever it looks like.
TELLS = {
    "receipt": [
        "✓ booked: credit-pack acme", "pack small", "5.00 USD", "cs_1001", "+1,000 units", "1 with 1,000 units",
        "expires 2027-02-20 10:03 UTC, in 90 days", "0 → 1,000", "by tester",
    ],
    "receipt-usage": [
        "1,500 units, 300 beyond the quota", "llm 1,000, search 500", "lot 1: 200, lot 4: 50", "50 overage",
        "200,300 of 200,000 used (100 %)", "80 %, 100 % reached", "due events booked first",
        "lot 1 expired on 2027-02-20 10:03", "1,130 → -50",
    ],
    "receipt-planned": ["would book", "100 owed", "9 with 200 units, never expires", "nothing is booked yet", "outage"],
    "receipt-replayed": ["booked before", "entry 5 has undone it since", "by alice", "1,000"],
    "receipt-expired": ["which has expired: no units are left"],
    "receipt-warned": ["warning [new_org]: acme had no journal until now", "balance"],
    "receipt-refused": ["refused [insufficient_balance]", "5,000 units asked", "try:", "meterctl balance acme"],
    "receipt-conflict": ["conflict", "units", "120", "12,000", "entry", "try:"],
    "receipt-unchanged": ["nothing to change", "acme is on plan pro already"],
    "receipt-disabled": ["switched off", "meter mode is off"],
    "receipt-failed": ["failed", "cannot be read"],
    "balance": [
        "balance 11,080", "2026-11-25 10:03", "3 days", "small", "cs_1002", "never",
        "880 units will expire on 2026-11-25 10:03 UTC, in 3 days",
    ],
    "balance-debt": ["balance -1,250", "1,000 owed, 250 overage", "next credit repays"],
    "balance-empty": ["balance 0", "no entry was booked for this org by then"],
    "meter": [
        "✓ may run", "plan pro v3", "170,000 of 200,000 (85 %)", "85 % used in 91 % of the week", "80 %",
        "41,080 = 30,000 left of the quota + balance 11,080", "ends in 13 hours", "120,000",
    ],
    "meter-cut-off": ["✗ may not run", "60,000 units beyond", "10,000 of them uncovered", "500 units, 550 more than"],
    "ledger": [
        "balance 200", "due, not booked yet", "lot 1 expired on 2027-02-20 10:03", "-880", "+1,000", "ref goodwill-1",
        '"outage of last Tuesday"', "repays 100 owed", "week 2026-W47 closed: 170,000 of 200,000 used",
        "50 units of debt settled", "run run-42 fetch", "reached 80 %, 100 %", "takes back entry 2",
        "forfeited lot 7: 40", "re_1: 2.50 USD of cs_1001, 100 units forgiven", "debt: 100 owed", "plan pro v3",
        "1, 4", "alice", "for older entries add --before 1",
    ],
    "ledger-chart": [
        "acme", "balance 1,300", "until 2026-11-22 10:03 UTC", "1,500 ┤", "0 ┼──", "-500 ┤", "2026-11-02 09:00",
        "1,300 on 2026-11-20 09:00 UTC, a due entry", "-150 on 2026-11-12 08:00 UTC, entry 3",
        "meterctl ledger acme --before 4",
    ],
    "ledger-chart-empty": ["acme", "balance 0", "no entries"],
    "ledger-empty": ["balance 0", "no entries"],
    "history": ["2026-W46 #2", "260,000", "130 %", "40,000", "█", "│"],
    "history-empty": ["no week was closed yet"],
    "lots": ["live", "voided", "880", "120 used", "1,000 voided"],
    "alerts": ["all orgs", "since 2026-11-21 10:03 UTC", "80 %", "100 %", "161,000"],
    "orgs": ["umbrella", "-1,250", "1,250", "130 %", "880"],
    "plans": ["free", "all 1", "default 1, llm 1.25", "200,000"],
    "plan": ["versions of pro", "new prices"],
    "plans-published": ["published", "published before", "would be published"],
    "plan-version": ["✓ published: pro v3", "200,000"],
    "sweep": [
        "1 org failed", "1,205 due: 1,200 done, 1 failed, 4 skipped", "700 lots with 1,234,567 units", "600 weeks",
        "4,200 units of debt settled", "initech", "cannot be read", "3.25 s",
    ],
    "sweep-locked": ["skipped: host-1:4711:c0ffee"],
    "backfill": ["8,819 lines", "not every line", "8,800", "refused", "4,409 lines a second", "--results"],
    "backfill-planned": ["○ would book: 12 lines", "planned", "nothing is booked yet"],
    "backfill-planned-partly": ["✗ would book, but not every line: 12 lines", "refused", "nothing is booked yet"],
    "verify": ["5 findings", "8,819 entries of 3 orgs", "the hash differs", "4 findings more"],
    "verify-ok": ["✓ all checks hold", "1 entry of 1 org"],
    "verify-nothing": ["○ nothing to check", "0 entries of 0 orgs"],
    "config": [
        "meterctl.toml", "80, 100", "5.00 USD, 4.60 EUR", "5,000 JPY", "after 90 days", "never", "llm 1.25",
        "0.5 cents (USD) each", "up to 5,000 for 2 weeks", "5 minutes", "35 days", "TCK-[0-9]+", "metadata.org",
    ],
    "audit": [
        "✗ 3 findings", "80 units", "25 units", "whole_pack_expiration", "-25", "a no_id of acme",
        "apply amends.ndjson",
    ],
    "devkit-import": ["✗ 1 org with problems: 2 orgs of mongodb://db/devkit", "18", "10 units", "entry e1 is gone"],
    "audit-ok": ["✓ nothing is wrong", "3 orgs of mongodb://db/devkit"],
    "import": [
        "✓ imported: backup.ndjson", "3 orgs", "8,800 of them here already", "19 entries, 1 plan version", "gold",
        "verify --all",
    ],
    "import-planned": ["○ would import", "8,819 entries", "nothing is imported yet"],
    "import-nothing": ["✓ nothing is new", "8,819 of them here already"],
    "refund-preview": [
        "would claw 400 units", "2.50 USD", "300 left, 600 used, 100 expired", "100 units forgiven", "300 → -100",
        "100 owed", "claw at most 500 units", "nothing is booked yet",
    ],
    "locks": ["sweep", "host-1:4711", "2026-11-22 10:03 UTC"],
    "unknown": ["health", "12,345", "12345", "server.version", "6.0.5", "a:1, b:2", "an index is missing"],
}  # fmt: skip


@pytest.mark.parametrize("output", ["table", "plain"])
@pytest.mark.parametrize("name", SAMPLES)
def test_a_view_tells_what_matters(name: str, output: str) -> None:
    text = shown(SAMPLES[name](), output)
    assert [said for said in TELLS[name] if said not in text] == []


def test_the_balance_before_counts_what_was_due_in() -> None:
    receipt = samples.receipt(
        balance=880, entry=samples.debit(3, balance=880), also=(samples.expiration(2, balance=1000),)
    )
    assert "1,880 → 880" in shown(receipt)


def test_a_lot_that_a_debt_ate_is_none() -> None:
    entry = samples.topup(repaid={"owed": 900, "overage": 100})
    assert "none: all units repay debt" in shown(samples.receipt(entry=entry))


def test_a_receipt_says_when_it_happened_if_that_was_earlier() -> None:
    entry = samples.debit(occurred_at="2026-11-20T08:00:00.000Z")
    assert "2026-11-20 08:00 UTC" in shown(samples.receipt(command="debit", entry=entry))


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (samples.reversal(voided={"lot": 2, "units": 5}, restored=[]), "lot 2: 5"),
        (samples.reversal(lot=5, units=70, expires_at=None), "5 with 70 units, never expires"),
        (samples.usage(capped_from=99_000), "from 99,000 units"),
        (samples.usage(uncovered=250), "250 units, beyond quota and lots"),
        (samples.adjustment(expires_at="2026-11-24T10:03:00.000Z"), "in 2 days"),
        (samples.usage(overflow=0, amount=0), "0 units, within the quota"),
        (samples.plan_entry(), "plan pro v3, 200,000 a week"),
        (samples.reset(closed=samples.week(cycle=2)), "week 2026-W47 cycle 2 closed"),
    ],
)
def test_a_receipt_tells_each_effect(entry: dict[str, object], said: str) -> None:
    assert said in shown(samples.receipt(entry=entry))


def test_dry_runs_say_so() -> None:
    assert "nothing is booked yet" in shown(samples.sweep(dry_run=True, failed=0, errors=[]))
    assert "would sweep" in shown(samples.sweep(dry_run=True, failed=0, errors=[]))


def test_a_sweep_that_found_nothing_or_is_off_says_so() -> None:
    idle = {"due": 0, "done": 0, "failed": 0, "skipped": 0, "errors": []}
    assert "nothing is due" in shown(samples.sweep(**idle))
    assert "switched off" in shown(samples.sweep(**idle, status="disabled"))


def test_the_pace_is_not_projected_in_the_week_s_first_hours() -> None:
    early = samples.meter(as_of="2026-11-16T02:00:00.000Z")
    assert "at this pace" not in shown(early)
    assert "85 % used in 1 % of the week" in shown(early)
    assert "at this pace 170 %" in shown(samples.meter(as_of="2026-11-19T12:00:00.000Z"))


def test_without_a_quota_there_is_no_pace_and_the_plan_may_be_unpublished() -> None:
    text = shown(samples.meter(quota=0, used=0, plan_version=0, breakdown={}, alerts=[]))
    assert "pace" not in text
    assert "not published" in text


def test_far_expiries_are_told_but_not_marked() -> None:
    far = {"at": "2027-02-20T10:03:00.000Z", "units": 10_000}
    assert "10,000 units will expire on 2027-02-20 10:03 UTC, in 90 days" in shown(samples.balance(next_expiry=far))


def test_every_status_of_a_receipt_has_words() -> None:
    from typing import get_args

    from meterctl.core.results import Status

    for status in get_args(Status):
        receipt: Receipt = samples.receipt(status=status, entry=None)
        assert "acme" in shown(receipt)


# -- narrow terminals


@pytest.mark.parametrize("width", [*range(40, 84, 4), 120, 160, 240])
@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_is_wider_than_the_terminal(name: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert max(len(line) for line in shown(SAMPLES[name]()).splitlines()) <= width


def test_the_narrowest_place_shows_every_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = io.StringIO()
    draw([Pairs([("left of the whole quota", "12,345"), ("+ in lots", "880")])], stream)
    assert all(figure in stream.getvalue() for figure in ("12,345", "880"))
    assert max(map(len, stream.getvalue().splitlines())) <= 20


def test_narrow_ledgers_keep_what_matters_and_name_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = shown(samples.ledger())
    assert all(name in text for name in ("seq", "when (UTC)", "what", "amount", "+1,000", "2027-02-20"))
    assert "hidden columns: kind, lot, balance," in text
    monkeypatch.setenv("COLUMNS", "80")
    header = shown(samples.ledger()).splitlines()[2].split()
    assert header == ["seq", "when", "(UTC)", "kind", "what", "lot", "amount", "balance", "by"]


def test_columns_fold_before_they_go_and_go_by_rank() -> None:
    from meterctl.views.blocks import Column

    columns = [Column("a"), Column("b", least=5), Column("c", rank=2), Column("d", rank=1)]
    natural = [10, 30, 10, 10]
    assert widths_for(columns, natural, 100) == [10, 30, 10, 10]
    assert widths_for(columns, natural, 60) == [10, 24, 10, 10]
    assert widths_for(columns, natural, 41) == [10, 5, 10, 10]
    assert widths_for(columns, natural, 40) == [10, 16, None, 10]
    assert widths_for(columns, natural, 28) == [10, 16, None, None]
    assert widths_for(columns, natural, 16) == [10, 4, None, None]


def test_wide_characters_count_double(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", "60")
    page = samples.ledger(entries=[samples.debit(reason="退款" * 40)])
    assert max(cell_len(line) for line in shown(page).splitlines()) <= 60


def test_a_result_loads_no_view_but_its_own() -> None:
    code = "import sys; from meterctl.views.registry import blocks_of; from tests.samples import SAMPLES; "
    code += "blocks_of(SAMPLES['receipt']()); print(*sorted(m for m in sys.modules if m.startswith('meterctl.views.')))"
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    loaded = {name.rpartition(".")[2] for name in done.stdout.split()} & set(MODULES.values())
    assert loaded == {"entries"}


def test_each_view_is_registered_where_it_is_looked_for() -> None:
    for module in set(MODULES.values()):
        import_module(f"meterctl.views.{module}")
    assert _VIEWS.keys() == MODULES.keys()
