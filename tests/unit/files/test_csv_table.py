"""CSV as spreadsheets write it: separators, headers, quotes, and every way in which a quote can be left open."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.operation_documents import FIELDS, request_from_document
from meterctl.core.errors import BadInput
from meterctl.core.files.csv_table import FLAGS, MAX_RECORD, MAX_RECORD_LINES, NUMBERS, csv_documents
from meterctl.core.files.raw_lines import all_lines

GRANT = "adjust,acme,1000000,t-9,goodwill"
HEADER = "op,org,units,ref,reason\n"


def read(text: str | bytes, *, whole: bool = True, ahead: bool = True) -> list[tuple[int, Any]]:
    """Each record's number with its document, or with the code of what is wrong with it."""
    data = text.encode() if isinstance(text, str) else text
    rows = csv_documents("input", all_lines(io.BytesIO(data)), whole=whole, ahead=ahead)
    return [(number, row.code if isinstance(row, BadInput) else row) for number, row in rows]


def refs(text: str | bytes) -> list[str]:
    return [row["ref"] if isinstance(row, dict) else row for _, row in read(text)]


@pytest.mark.parametrize(
    "head",
    [
        "op,org,units,ref",
        "op;org;units;ref",
        "op\torg\tunits\tref",
        "Op, Org, Units, Ref",
        "OP ;ORG ; Units;REF",
        '"op","org","units","ref"',
        "sep=;\nop;org;units;ref",
        "sep=;;;;\nop;org;units;ref",
        ",,,\nop,org,units,ref",
        ";;;\n \nop;org;units;ref",
        "SEP=|\nop|org|units|ref",
        '"sep=,"\nop,org,units,ref',
        "\n\nop,org,units,ref",
        "op,org,units,ref,,",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_headers(head: str, end: str) -> None:
    header = head.splitlines()[-1]
    separator = next(mark for mark in ";\t|," if mark in header)
    row = separator.join(["debit", "acme", "5", "r1"] + [""] * (2 * header.count(",,")))
    text = end.join([*head.split("\n"), row, separator * 3, f"{separator} {separator}{separator} ", row, ""])
    document = {"op": "debit", "org": "acme", "units": "5", "ref": "r1"}
    assert [content for _, content in read(text)] == [document] * 2


def test_a_name_may_have_blanks_and_a_feature_keeps_its_case() -> None:
    text = "Op,Org,Run,Plan Version,Costs.GPT-x\nattribute,acme,r1,3.0,0.1\n"
    assert read(text) == [
        (2, {"op": "attribute", "org": "acme", "run": "r1", "plan_version": "3", "costs": {"GPT-x": "0.1"}})
    ]


def test_a_cell_under_no_name_is_refused() -> None:
    assert read("op,org,,units,ref\ndebit,acme,?,5,r1\n") == [(2, "bad_csv")]


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [("5.0", "5"), ("5.00", "5"), ("+5.0", "+5"), ("-5.0", "-5"), ("5", "5"), ('"5,0"', "5"), ('"-7,00"', "-7")],
)
def test_whole_numbers_as_spreadsheets_write_them(cell: str, read_as: str) -> None:
    ((_, document),) = read(f"op,org,units,ref\nadjust,acme,{cell},r1\n")
    assert document["units"] == read_as


@pytest.mark.parametrize("column", ["cents", "paid_cents", "tax_cents"])
@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("5.00", "write 500 if these are 5 dollars, 5 if they are 5 cents"),
        ('"12,00"', "write 1200 if these are 12 dollars, 12 if they are 12 cents"),
    ],
)
def test_an_amount_with_two_decimals_is_not_taken_for_cents(column: str, cell: str, hint: str) -> None:
    text = f"op,org,{column}\nrefund,acme,{cell}\n"
    assert read(text) == [(2, "bad_number")]
    ((_, problem),) = csv_documents("x.csv", all_lines(io.BytesIO(text.encode())), whole=True)
    assert isinstance(problem, BadInput)
    assert problem.hint == hint


@pytest.mark.parametrize("cell", ["500", "500.0", '"500,0"'])
def test_cents_as_programs_write_them(cell: str) -> None:
    ((_, document),) = read(f"op,org,cents\nrefund,acme,{cell}\n")
    assert document["cents"] == "500"


@pytest.mark.parametrize("row", ["debit,acme,1,#N/A,x", "debit,acme,#REF!,r1,x", "debit,acme,1,r1,#NAME?"])
def test_a_formula_that_failed_is_not_a_value(row: str) -> None:
    assert read(f"op,org,units,ref,reason\n{row}\ndebit,acme,1,#N,x\n")[0] == (2, "bad_csv")


@pytest.mark.parametrize("cell", ["llm=0.5", "0.5 USD", '"{""llm"": 0.5"'])
def test_a_cell_of_costs_that_is_not_json_is_named(cell: str) -> None:
    text = f"op,org,run,costs\nattribute,acme,r1,{cell}\n"
    ((_, problem),) = csv_documents("x.csv", all_lines(io.BytesIO(text.encode())), whole=True)
    assert isinstance(problem, BadInput)
    assert (problem.code, problem.message.startswith("costs: '")) == ("bad_json", True)
    assert "costs.llm" in problem.hint


@pytest.mark.parametrize("cell", ['"1,000"', "1.000", "5.5", "1E+3", "5.", '"5,000"', '"5,5"', "1'000", "0x5", "５.5"])  # noqa: RUF001
def test_other_numbers_are_refused(cell: str) -> None:
    ((_, document),) = read(f"op,org,units,ref\ndebit,acme,{cell},r1\n")
    with pytest.raises(BadInput) as caught:
        request_from_document(document, actor="me")
    assert caught.value.code == "bad_number"
    assert caught.value.hint


@pytest.mark.parametrize(
    ("cell", "flag"),
    [("TRUE", True), ("true", True), ("Yes", True), ("1", True), ("FALSE", False), ("no", False), ("0", False)],
)
def test_flags(cell: str, flag: bool) -> None:
    ((_, document),) = read(f"op,org,units,ref,allow_debt\ndebit,acme,5,r1,{cell}\n")
    assert document["allow_debt"] is flag


def test_a_word_that_is_no_flag_is_refused() -> None:
    ((_, document),) = read("op,org,units,ref,allow_debt\ndebit,acme,5,r1,WAHR\n")
    with pytest.raises(BadInput, match="neither true nor false"):
        request_from_document(document, actor="me")


def test_every_field_is_known_here_as_text_number_or_flag() -> None:
    texts = {
        *("op", "org", "at", "actor", "reason", "ref", "session", "pack", "refund_id", "run", "step", "costs", "plan"),
        *("expires_at", "names", "of", "hold", "from", "from_at", "for", "currency"),
    }
    assert FIELDS - texts - NUMBERS - FLAGS == set()


# Quotes


def test_a_line_inside_a_quoted_cell_is_no_operation() -> None:
    text = f'{HEADER}debit,acme,1,t-1,"Hi,\n{GRANT}\nthanks"\ndebit,acme,2,t-2,\n'
    first, second = read(text)
    assert first == (
        2,
        {"op": "debit", "org": "acme", "units": "1", "ref": "t-1", "reason": f"Hi,\n{GRANT}\nthanks"},
    )
    assert second[0] == 5


@pytest.mark.parametrize("before", ["", "\n\n", "\r\n"])
@pytest.mark.parametrize(
    "opened",
    [
        'debit,acme,1,t-1,"Hi\n',
        'debit,acme,1,t-1, "Hi\n',
        'debit,acme,1,t-1,x"Hi\n',
        'debit,acme,1,"t-1"x,"Hi\n',
        'debit,acme,1,t-1,"Hi "" \n',
        'debit,acme,1,t-1,"a"b"\n',
        '"debit,acme,1,t-1,Hi\n',
        'debit,acme,1,5" pipe,Hi\n',
        'debit,acme,1,t-1,"Hi\n\n\n',
        'debit,acme,1,t-1,"Hi\xff\n',
        "debit,acme,1,t-1,'Hi\n",
        "'debit,acme,1,t-1,Hi'\n",
        "debit,acme,1,t-1,'Hi, there'\n",
        "debit,acme,1,t-1,'\n",
    ],
)
def test_nothing_after_an_open_quote_is_an_operation(before: str, opened: str) -> None:
    text = f"{HEADER}{before}debit,acme,1,t-0,\n{opened}debit,acme,2,t-2,x\n{GRANT}\n"
    *whole, last = read(text.encode("latin-1"))
    assert [row["ref"] for _, row in whole] == ["t-0"]
    assert last == (3 + before.count("\n"), "open_quote")


@pytest.mark.parametrize("closing", ['thanks"', '"', 'debit,acme,9,t-9,"Hello"'])
def test_an_open_quote_that_closes_at_the_next_one_hides_what_is_between(closing: str) -> None:
    text = f'{HEADER}debit,acme,1,t-1,"Hi\n{GRANT}\n{closing}\n'
    assert "t-9" not in refs(text)


@pytest.mark.parametrize(
    ("record", "line", "lost"),
    [
        ('debit,acme,1,"t-\n1","Hi\n', 3, 2),
        ('debit,acme,1,t-1,"Hi\ndebit,acme,2,t-2,"x"\n', 2, 2),
        ('debit,acme,1,t-1,"Hi\n\ndebit,acme,2,"t-2",x\n', 2, 2),
        ('debit,acme,1,"t-\n1",5" pipe\n', 3, 3 - 1),
        ('debit,acme,1,"t-\n1"\n', 2, 2),
    ],
)
def test_the_line_is_named_where_the_quote_opened(record: str, line: int, lost: int) -> None:
    rows = list(csv_documents("input", all_lines(io.BytesIO(f"{HEADER}{record}{GRANT}\n".encode())), whole=True))
    assert [(number, getattr(row, "code", "")) for number, row in rows] == [(line, "open_quote")]
    assert f"in line {line} is" in str(rows[0][1])
    assert f"nothing from {'this line' if line == lost else f'line {lost}'} on was booked" in str(rows[0][1])


@pytest.mark.parametrize("cell", ["don't", "'=1+1", "'-5", "'0049", "'quoted'", "its'", '"\'tis"', "''"])
def test_an_apostrophe_that_opens_no_cell_stops_nothing(cell: str) -> None:
    assert refs(f"{HEADER}debit,acme,1,t-1,{cell}\ndebit,acme,2,t-2,x\n") == ["t-1", "t-2"]


# Rows without their last cells


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_row_may_lack_its_last_cells(end: str) -> None:
    text = f"op,org,units,ref,reason,at{end}debit,acme,1,t-1{end},,{end}debit,acme,2,t-2,x{end}{end}"
    first, second = ({"op": "debit", "org": "acme", "units": f"{n}", "ref": f"t-{n}"} for n in (1, 2))
    assert [row for _, row in read(text)] == [first, {**second, "reason": "x"}]


@pytest.mark.parametrize("rest", ["there", "there,2027-01-01T00:00:00Z", "adjust it,x", '"', "\n\nthere,x,y,z,1,2"])
def test_a_row_that_was_broken_in_two_is_refused(rest: str) -> None:
    """The first half would be a grant that never expires."""
    rows = read(f"op,org,units,ref,reason,expires_at\nadjust,acme,5,t-1,Hi\n{rest}\n")
    assert rows[0] == (2, "bad_csv")


def test_a_short_row_is_refused_where_the_next_line_cannot_be_awaited() -> None:
    assert read(f"{HEADER}debit,acme,1,t-1\ndebit,acme,2,t-2,x\n", ahead=False)[0] == (2, "bad_csv")


def test_a_short_row_without_its_line_end_may_be_cut_off() -> None:
    assert read(f"{HEADER}debit,acme,1,t-1") == [(2, "unfinished_line")]
    assert refs(f"{HEADER}debit,acme,1,t-1,x") == ["t-1"]


@pytest.mark.parametrize(
    "row", ['debit,acme,1,"t"1,', 'debit,acme,1,"t-1"', 'debit,acme,"1","t-1",x,y', 'debit,"a",b\rc']
)
def test_a_row_with_quotes_that_does_not_fit_ends_the_file(row: str) -> None:
    """One quote too few may have moved all others: the lines after it may be text."""
    assert refs(f"{HEADER}debit,acme,1,t-0,\n{row}\n{GRANT}\n") == ["t-0", "open_quote"]


@pytest.mark.parametrize(
    "row", ["debit", "debit,acme,1,t-1,x,y", "debit,acme,1,t\r1,", "debit,acme,1,\xff,", "debit,acme,1,\xff"]
)
def test_a_row_without_quotes_stops_nothing(row: str) -> None:
    first, second = refs(f"{HEADER}{row}\ndebit,acme,2,t-2,\n".encode("latin-1"))
    assert (first in ("bad_csv", "bad_encoding"), second) == (True, "t-2")


def test_a_record_is_bounded_in_lines_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    start = f'{HEADER}debit,acme,1,t-1,"'
    longest = start + "\n" * (MAX_RECORD_LINES - 1)
    assert refs(f'{longest}"\ndebit,acme,2,t-2,\n') == ["t-1", "t-2"]
    assert refs(f'{longest}\n"\n{GRANT}\n') == ["open_quote"]
    lines = ("x" * 1023 + "\n") * (MAX_RECORD // 1024)
    assert refs(f'{start}{lines}"\n{GRANT}\n') == ["open_quote"]


def test_a_line_that_is_too_long_stops_the_file_only_if_a_quote_is_in_it() -> None:
    for long, told in (("x" * (MAX_RECORD + 9), ["line_too_long", "t-9"]), ('"' + "x" * (3 * MAX_RECORD), None)):
        text = f"{HEADER}debit,acme,1,t-1,{long}\n{GRANT}\n"
        assert refs(text) == (told or ["open_quote"])
    hidden = "x" * (2 * MAX_RECORD) + '"'
    assert refs(f"{HEADER}debit,acme,1,t-1,{hidden}\n{GRANT}\n") == ["open_quote"]
    assert refs(f'{HEADER}debit,acme,1,t-1,"Hi\n{"x" * (MAX_RECORD + 9)}\n"\n{GRANT}\n') == ["open_quote"]


def test_a_record_with_two_lines_that_are_not_utf_8_is_one_problem() -> None:
    text = f'{HEADER}debit,acme,1,t-1,"f\xfcr\n\xfcber"\ndebit,acme,2,t-2,x\n'
    assert refs(text.encode("latin-1")) == ["bad_encoding", "t-2"]


def test_an_empty_flag_is_left_out() -> None:
    ((_, document),) = read("op,org,units,ref,allow_debt\ndebit,acme,5,r1,\n")
    assert "allow_debt" not in document


def test_a_file_that_cannot_be_read_on_ends_with_that_problem() -> None:
    class Broken(io.BytesIO):
        def readline(self, limit: int | None = -1, /) -> bytes:
            if line := super().readline(limit):
                return line
            raise OSError(5, "Input/output error")

    rows = list(csv_documents("input", all_lines(Broken(f"{HEADER}debit,acme,1,t-1,x\n".encode())), whole=True))
    assert [getattr(row, "code", "") for _, row in rows] == ["", "bad_file"]


def test_a_long_cell_is_read() -> None:
    ((_, document),) = read(f"{HEADER}debit,acme,1,t-1,{'x' * 500_000}\n")
    assert len(document["reason"]) == 500_000


cells = st.text(st.sampled_from('ab",;\n\r\t é'), max_size=12)


@given(st.lists(st.tuples(cells, cells), max_size=6), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_what_the_csv_module_writes_is_read_back(rows: list[tuple[str, str]], separator: str, end: str) -> None:
    file = io.StringIO()
    out = csv.writer(file, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    out.writerow(["op", "org", "ref", "reason"])
    out.writerows([["debit", "acme", *row] for row in rows])
    documents = [row for _, row in read(file.getvalue())]
    expected = [(ref.strip(), reason.strip()) for ref, reason in rows]
    assert [(row.get("ref", ""), row.get("reason", "")) for row in documents] == expected


@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=6), st.data())
def test_a_quote_too_many_or_too_few_never_makes_an_operation_of_text(
    rows: list[tuple[str, str]], data: st.DataObject
) -> None:
    """Whatever is done to one quote, no line that was text in a cell becomes an operation of its own."""
    inside = "adjust,acme,goodwill,secret"
    file = io.StringIO()
    # Some texts are right as they stand without their first quote: those of a last cell, or that look like two cells.
    file.write("op,org,reason,ref\n")
    out = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for ref, reason in rows:
        out.writerow(["debit", "acme", f"x\n{inside}\n{reason}", ref])
    text = file.getvalue()
    head = text.index("\n") + 1
    quotes = [at for at in range(head, len(text)) if text[at] == '"']
    at = data.draw(st.sampled_from(quotes))
    spoiled = text[:at] + data.draw(st.sampled_from(["", '""'])) + text[at + 1 :]
    documents = [row for _, row in read(spoiled) if isinstance(row, dict)]
    assert [row for row in documents if row.get("op") == "adjust"] == []
