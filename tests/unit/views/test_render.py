"""What scripts read and what reaches a terminal: formats, streams, and text that must not act."""

import csv
import io
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from meterctl.core.domain import entry_shape
from meterctl.core.results import Listing, Result
from meterctl.options import FORMATS
from meterctl.render import show, visible, write
from meterctl.views.flat_entries import COLUMNS, LEFT_OUT
from tests import samples
from tests.samples import SAMPLES


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def written(result: Result, output: str, stream: io.StringIO | None = None) -> str:
    stream = stream or io.StringIO()
    write(result, output, stream)
    return stream.getvalue()


def encoded(result: Result, output: str, encoding: str) -> bytes:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding)
    write(result, output, stream)
    return raw.getvalue()


def csv_records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


# -- JSON


@pytest.mark.parametrize("name", SAMPLES)
def test_json_is_the_document_on_one_line_in_a_pipe_and_indented_on_a_terminal(name: str) -> None:
    piped, on_terminal = written(SAMPLES[name](), "json"), written(SAMPLES[name](), "json", Terminal())
    document = json.loads(piped)
    assert document == json.loads(on_terminal) == json.loads(json.dumps(SAMPLES[name]().document()))
    assert document["schema"].startswith("meterctl.")
    assert piped.count("\n") == 1
    assert on_terminal.startswith('{\n  "schema"')
    assert on_terminal.endswith("}\n")


@pytest.mark.parametrize("name", SAMPLES)
def test_ndjson_is_a_record_a_line(name: str) -> None:
    lines = written(SAMPLES[name](), "ndjson").splitlines()
    assert [json.loads(line) for line in lines] == json.loads(json.dumps(list(SAMPLES[name]().rows())))


def test_json_keeps_text_readable_and_exact() -> None:
    page = samples.ledger(entries=[samples.debit(reason="Zürich 🚀\tnaïve")])
    text = written(page, "json")
    assert "Zürich 🚀" in text
    assert json.loads(text)["entries"][0]["reason"] == "Zürich 🚀\tnaïve"


# -- CSV


def test_csv_of_a_ledger_has_a_column_for_everything_and_nothing_nested() -> None:
    page = samples.ledger()
    text = written(page, "csv")
    assert text.splitlines()[0].split(",") == list(COLUMNS)
    assert "\r" not in text
    for record, entry in zip(csv_records(text), page.entries, strict=True):
        assert (record["amount"], record["more"]) == (str(entry["amount"]), "")
        assert "{" not in "".join(record.values())


def test_every_field_of_an_entry_has_a_column_or_is_left_out_on_purpose() -> None:
    flat = {column.partition(".")[0] for column in COLUMNS}
    assert set(entry_shape._FIELDS) - flat <= LEFT_OUT


def test_a_field_without_a_column_is_not_lost() -> None:
    (row,) = csv_records(written(samples.ledger(entries=[{**samples.debit(), "novel": {"a": 1}}]), "csv"))
    assert json.loads(row["more"]) == {"novel": {"a": 1}}
    assert row["draws"] == " ".join(f"{draw['lot']}={draw['units']}" for draw in samples.debit()["draws"])


@pytest.mark.parametrize("name", ["ledger-empty", "ledger-chart-empty", "history-empty"])
def test_csv_of_nothing_is_the_header(name: str) -> None:
    full = name.removesuffix("-empty")
    assert written(SAMPLES[name](), "csv") == written(SAMPLES[full](), "csv").splitlines(keepends=True)[0]


@pytest.mark.parametrize("name", SAMPLES)
def test_csv_has_a_cell_for_every_field_of_every_record(name: str) -> None:
    text = written(SAMPLES[name](), "csv")
    for record, row in zip(SAMPLES[name]().rows(), csv_records(text), strict=True):
        columns = {column.partition(".")[0] for column in row}
        assert {name for name in record if name not in columns} <= (LEFT_OUT if "kind" in record else set())
        assert None not in row.values()


def test_csv_writes_plain_values() -> None:
    (row,) = csv_records(written(SAMPLES["unknown"](), "csv"))
    assert row["ok"] == "false"
    assert row["nothing"] == ""
    assert row["count"] == "12345"
    assert row["server"] == '{"hosts":["a:1","b:2"],"version":"6.0.5"}'


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd|'/c calc'!A0", "'+cmd|'/c calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\\t=1"),
        ("\uff1d1\uff0b1", "'\uff1d1\uff0b1"),
        ("\uff20x", "'\uff20x"),
        ("-5", "-5"),
        ("+12.50", "+12.50"),
        ("a=1", "a=1"),
        ('say "hi", twice', 'say "hi", twice'),
        ("one\ntwo", "one\\ntwo"),
        ("\x1b[31m", "\\x1b[31m"),
    ],
)
def test_csv_texts_are_never_formulas_and_never_more_than_a_line(text: str, cell: str) -> None:
    written_csv = written(samples.ledger(entries=[samples.debit(reason=text)]), "csv")
    assert len(written_csv.splitlines()) == 2
    assert csv_records(written_csv)[0]["reason"] == cell


def test_csv_numbers_stay_numbers() -> None:
    assert csv_records(written(samples.ledger(entries=[samples.debit()]), "csv"))[0]["amount"] == "-120"


def test_csv_refuses_to_drop_a_field() -> None:
    listing = Listing("things", "things", [{"a": 1}, {"a": 1, "b": 2}])
    with pytest.raises(ValueError, match="b"):
        written(listing, "csv")


# -- text that would act on whoever looks

#: Escape sequences, bidi overrides, line ends, and what rich, Markdown or HTML would read as markup.
HOSTILE = "\x1b[2J\x9b31m\x07\r\n\u202eevil\u2066\u200b[red]x[/red][link=http://e]![a](b)<img>|`*_\u2028\x7f"


def hostile() -> list[Result]:
    entry = samples.debit(reason=HOSTILE, actor=HOSTILE, key=f"debit:{HOSTILE}")
    lot = {"id": 1, "remaining": 5, "expires_at": None, "pack": HOSTILE, "session": HOSTILE, "units": 5}
    return [
        samples.receipt(command="debit", entry=entry, org=HOSTILE),
        samples.refused(message=HOSTILE, org=HOSTILE),
        samples.receipt(status="conflict", diff={HOSTILE: {"first": HOSTILE, "now": None}}),
        samples.ledger(org=HOSTILE, entries=[entry]),
        samples.balance(org=HOSTILE, lots=[lot]),
        samples.meter(org=HOSTILE, plan=HOSTILE, breakdown={HOSTILE: 1, "b": 2}),
        samples.sweep(errors=[{"org": HOSTILE, "message": HOSTILE}]),
        Listing("things", "things", [{HOSTILE: HOSTILE}], {"about": HOSTILE}),
    ]


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_what_would_act_is_shown(output: str, stream: type[io.StringIO], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    for result in hostile():
        text = written(result, output, stream())
        assert all(c.isprintable() or c == "\n" for c in text), "an unprintable character came through"
        assert "evil" in text


def test_markup_is_shown_as_it_is_on_a_terminal() -> None:
    text = written(samples.refused(message="[bold]x[/bold] [link=http://e]y :smile:"), "table")
    assert "[bold]x[/bold] [link=http://e]y :smile:" in text


def test_markup_is_escaped_in_markdown_and_ids_stay_readable() -> None:
    entry = samples.debit(reason="![a](http://e) <img src=x> a|b `c` *d* _e_", key="debit:cs_test_1")
    text = written(samples.ledger(entries=[entry]), "markdown")
    assert r"\!\[a\](http://e) \<img src=x\> a\|b \`c\` \*d\* \_e\_" in text
    assert "cs_test_1" in text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain Zürich 退款", "plain Zürich 退款"),
        ("two\nlines", "two\nlines"),
        ("\x1b[0m\t\r", "\\x1b[0m\\t\\r"),
        ("\u202e\u2066", "\\u202e\\u2066"),
        ("\U000e0041", "\\U000e0041"),
        ("\udc80", "\\udc80"),
    ],
)
def test_visible(text: str, seen: str) -> None:
    assert visible(text) == seen


# -- terminals, pipes, encodings


def test_colour_is_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in written(samples.ledger(), "table", Terminal())
    assert "\x1b[" not in written(samples.ledger(), "table")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in written(samples.ledger(), "table", Terminal())


def test_colour_is_forced_only_by_force_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in written(samples.ledger(), "table")
    assert "\x1b[" not in written(samples.ledger(), "csv")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in written(samples.ledger(), "table")


def test_a_piped_table_has_a_fixed_width_and_no_trailing_blanks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = written(samples.ledger(), "table").splitlines()
    assert 100 < max(map(len, lines)) <= 120
    assert all(line == line.rstrip() for line in lines)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8", "utf-16"])
@pytest.mark.parametrize("output", FORMATS)
def test_no_encoding_of_a_stream_makes_it_fail(output: str, encoding: str) -> None:
    for result in (samples.refused(message="Zürich → 退款 🚀 \udc80"), samples.balance(), samples.meter()):
        assert encoded(result, output, encoding)


def test_a_stream_that_is_not_unicode_gets_plain_signs_and_exact_json() -> None:
    table = encoded(samples.meter(), "table", "latin-1").decode("latin-1")
    assert "ok may run" in table
    assert "###|##.....|" in table
    assert table.isascii()
    reason = "Zürich → 🚀"
    document = json.loads(encoded(samples.ledger(entries=[samples.debit(reason=reason)]), "json", "ascii"))
    assert document["entries"][0]["reason"] == reason


def test_emit_prints_on_standard_output_and_show_where_it_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    write(samples.balance(), "json", sys.stdout)
    show(samples.receipt(), sys.stderr)
    out, err = capsys.readouterr()
    assert json.loads(out)["balance"] == 11_080
    assert "booked: credit-pack acme" in err


# -- streams


def endless_orgs(count: int) -> Listing:
    template = samples.orgs().rows()
    record = dict(next(iter(template)))
    return Listing("orgs", "orgs", ({**record, "org": f"org-{n}"} for n in range(count)))


class Sink(io.StringIO):
    """A stream that counts what it is given and keeps nothing."""

    lines = 0

    def write(self, text: str) -> int:
        self.lines += text.count("\n")
        return len(text)


@pytest.mark.parametrize(("output", "count"), [("ndjson", 20_000), ("csv", 20_000), ("table", 1_000)])
def test_records_stream_in_flat_memory(output: str, count: int) -> None:
    write(endless_orgs(10), output, Sink())  # whatever is loaded once is loaded now
    sink = Sink()
    tracemalloc.start()
    try:
        write(endless_orgs(count), output, sink)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sink.lines >= count
    assert peak < {"table": 4_000_000}.get(output, 300_000)


def test_a_long_table_keeps_one_header() -> None:
    text = written(endless_orgs(1200), "table")
    assert text.count("balance") == 1
    assert text.count("org-") == 1200


@dataclass(frozen=True, slots=True)
class Following(Result):
    """A result whose records come now and then."""

    name = "orgs"
    live = True
    items: Iterator[dict[str, Any]]

    def fields(self) -> dict[str, Any]:
        return {}

    def rows(self) -> Iterator[dict[str, Any]]:
        return self.items


@pytest.mark.parametrize("output", ["ndjson", "csv"])
def test_a_live_record_is_passed_on_before_the_next_one_comes(output: str) -> None:
    raw = io.BytesIO()
    seen: list[int] = []

    def records() -> Iterator[dict[str, Any]]:
        for n in range(3):
            yield {"org": f"org-{n}", "n": n}
            seen.append(raw.getvalue().count(b"org-"))

    write(Following(records()), output, io.TextIOWrapper(raw, "utf-8"))
    assert seen == [1, 2, 3]


def test_a_live_ledger_is_drawn_entry_by_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    from meterctl.views.entries import ledger_grid
    from meterctl.views.terminal import draw

    monkeypatch.setenv("COLUMNS", "120")
    stream = io.StringIO()
    seen: list[int] = []

    def entries() -> Iterator[Any]:
        for seq in (1, 20_000, 3):
            yield samples.debit(seq, key="debit:a-much-longer-reference-than-the-first")
            seen.append(stream.getvalue().count("alice"))

    draw([ledger_grid(entries(), live=True)], stream)
    assert seen == [1, 2, 3]
    assert stream.getvalue().count("when (UTC)") == 1


# -- start-up


@pytest.mark.parametrize("output", ["json", "ndjson", "csv"])
def test_scripts_load_no_library_to_draw_with(output: str) -> None:
    code = (
        "import sys; from tests.samples import SAMPLES; from meterctl.render import write\n"
        f"write(SAMPLES['balance'](), {output!r}, sys.stdout)\n"
        "sys.exit(any(name in sys.modules for name in ('rich', 'tabulate', 'meterctl.views.registry')))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, stdout=subprocess.DEVNULL)
