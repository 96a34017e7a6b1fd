"""What an input file may look like, what is wrong with a line, and what is wrong with a file as a whole."""

import gzip
import io
import json
import os
import sys
import tracemalloc
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.domain.operation_documents import request_from_document
from meterctl.core.errors import USAGE, BadInput
from meterctl.core.files.operation_lines import Line, open_input
from meterctl.core.files.raw_lines import MAX_LINE

DEBIT = {"op": "debit", "org": "acme", "units": 5, "ref": "r1"}
HEADER = b"op,org,units,ref\n"


def read(data: bytes, tmp_path: Path, name: str = "input") -> list[Line]:
    path = tmp_path / name
    path.write_bytes(data)
    with open_input(str(path)) as source:
        return list(source.lines())


def piped(data: bytes) -> list[Line]:
    """The lines of standard input, which is no file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        with open_input("-") as source:
            return list(source.lines())


def contents(lines: list[Line]) -> list[Any]:
    """Each line's document, or the code of what is wrong with it."""
    return [line.content.code if isinstance(line.content, BadInput) else line.content for line in lines]


def refused(data: bytes, tmp_path: Path, name: str = "input") -> BadInput:
    """The problem of a file that is of no use as a whole."""
    with pytest.raises(BadInput) as caught:
        read(data, tmp_path, name)
    assert (caught.value.code, caught.value.exit_code) == ("bad_file", USAGE)
    assert caught.value.hint
    return caught.value


def ndjson(*documents: object) -> bytes:
    return b"".join(json.dumps(document).encode() + b"\n" for document in documents)


# formats


@pytest.mark.parametrize("name", ["input", "input.ndjson", "input.jsonl", "input.csv"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_ndjson_is_known_by_its_first_byte(tmp_path: Path, name: str, zipped: bool, mark: bytes) -> None:
    data = mark + ndjson(DEBIT, DEBIT)
    lines = read(gzip.compress(data) if zipped else data, tmp_path, name)
    assert lines == [Line(1, DEBIT), Line(2, DEBIT)]


@pytest.mark.parametrize("name", ["input", "input.csv", "input.csv.gz"])
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_anything_else_is_csv(tmp_path: Path, name: str, zipped: bool, mark: bytes) -> None:
    data = mark + HEADER + b"debit,acme,5,r1\n"
    lines = read(gzip.compress(data) if zipped else data, tmp_path, name)
    assert lines == [Line(2, {"op": "debit", "org": "acme", "units": "5", "ref": "r1"})]


@pytest.mark.parametrize("name", ["input", "input.csv"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_ndjson_is_known_though_its_first_line_is_too_long(tmp_path: Path, name: str, mark: bytes) -> None:
    data = mark + ndjson({**DEBIT, "reason": "x" * MAX_LINE}, DEBIT)
    lines = read(data, tmp_path, name)
    assert contents(lines) == ["line_too_long", DEBIT]
    assert [line.number for line in lines] == [1, 2]


@pytest.mark.parametrize("name", ["input.ndjson", "input.jsonl", "input.ndjson.gz"])
def test_a_name_can_say_that_it_is_ndjson(tmp_path: Path, name: str) -> None:
    assert contents(read(b"oops\n" + ndjson(DEBIT), tmp_path, name)) == ["bad_json", DEBIT]


def test_several_zipped_parts_are_one_file(tmp_path: Path) -> None:
    data = gzip.compress(ndjson(DEBIT)) + gzip.compress(ndjson(DEBIT))
    assert [line.number for line in read(data, tmp_path)] == [1, 2]


@pytest.mark.parametrize("data", [b"", b"\n \n\r\n", HEADER, gzip.compress(b"", mtime=0)])
def test_a_file_without_operations_has_no_lines(tmp_path: Path, data: bytes) -> None:
    assert read(data, tmp_path) == []


def test_blank_lines_count_but_are_no_lines(tmp_path: Path) -> None:
    lines = read(b"\n  \n" + ndjson(DEBIT) + b"\r\n" + ndjson(DEBIT), tmp_path)
    assert [line.number for line in lines] == [3, 5]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b""])
def test_ndjson_may_end_lines_as_it_likes(tmp_path: Path, end: bytes) -> None:
    assert contents(read(json.dumps(DEBIT).encode() + end, tmp_path)) == [DEBIT]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(ndjson(DEBIT)))))
    with open_input("-") as source:
        assert source.size is None
        assert contents(list(source.lines())) == [DEBIT]


def test_how_far_a_file_is_read_is_known(tmp_path: Path) -> None:
    path = tmp_path / "input"
    # Hashes, which hardly shrink: newer Pythons read the first 128 KiB of it at once.
    refs = (sha256(str(n).encode()).hexdigest() for n in range(20_000))
    path.write_bytes(gzip.compress(b"".join(ndjson({**DEBIT, "ref": ref}) for ref in refs)))
    with open_input(str(path)) as source:
        assert source.size == path.stat().st_size
        lines = source.lines()
        next(lines)
        assert 0 < source.position() < source.size
        assert sum(1 for _ in lines) == 19_999
        assert source.position() == source.size


# JSON


@pytest.mark.parametrize("written", ["0.1", "0.10", "1E-7", "0.1000000000000000000000000000000001", "3"])
def test_costs_are_read_exactly_as_written(tmp_path: Path, written: str) -> None:
    text = f'{{"op": "attribute", "org": "acme", "run": "r", "costs": {{"llm": {written}}}}}\n'
    (line,) = read(text.encode(), tmp_path)
    assert isinstance(line.content, dict)
    request = request_from_document(line.content, actor="me")
    assert request.operation.costs == {"llm": written}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ('{"op": "debit"', "bad_json"),
        ('{"op": "debit"} {"op": "debit"}', "bad_json"),
        ('{"op": "debit", "units": 1e9999999999999999999}', "bad_json"),
        ('["op"]', "bad_json"),
        ('{"op": "debit", "op": "adjust"}', "bad_json"),
        ('{"costs": {"llm": 1, "llm": 2}}', "bad_json"),
        ('{"costs": {"llm": NaN}}', "bad_json"),
        ('{"costs": {"llm": -Infinity}}', "bad_json"),
        ('{"units": ' + "9" * 5000 + "}", "bad_json"),
        ('{"costs": ' + "[" * 100_000 + "}", "bad_json"),
        ('{"ref": "\\ud800"}', "bad_json"),
        ('{"ref": "a\tb"}', "bad_json"),
    ],
)
def test_a_bad_line_is_told_and_the_next_one_read(tmp_path: Path, text: str, code: str) -> None:
    lines = read(ndjson(DEBIT) + text.encode() + b"\n" + ndjson(DEBIT), tmp_path)
    assert contents(lines) == [DEBIT, code, DEBIT]
    assert [line.number for line in lines] == [1, 2, 3]


@pytest.mark.parametrize("given", ['"units": 5.0, "ref": "r"', '"units": 1e3, "ref": "r"', '"units": 5, "ref": 1.5'])
def test_a_fraction_is_only_a_cost(tmp_path: Path, given: str) -> None:
    (line,) = read(f'{{"op": "debit", "org": "acme", {given}}}\n'.encode(), tmp_path)
    assert isinstance(line.content, dict)
    with pytest.raises(BadInput, match=r"^(units: 5\.0|units: 1E\+3|1\.5) is not a"):
        request_from_document(line.content, actor="me")


def test_whole_pairs_of_surrogates_are_characters(tmp_path: Path) -> None:
    assert contents(read(b'{"reason": "\\ud83d\\ude00"}\n', tmp_path)) == [{"reason": "\U0001f600"}]


def test_a_line_that_is_not_utf_8(tmp_path: Path) -> None:
    data = ndjson(DEBIT) + b'{"ref": "caf\xe9"}\n' + ndjson(DEBIT)
    assert contents(read(data, tmp_path)) == [DEBIT, "bad_encoding", DEBIT]


def test_a_line_has_a_longest_length(tmp_path: Path) -> None:
    def line(length: int) -> bytes:
        return b'{"x": "' + b"x" * (length - 9) + b'"}\n'

    lines = read(ndjson(DEBIT) + line(MAX_LINE) + line(MAX_LINE + 1) + line(5 * MAX_LINE) + ndjson(DEBIT), tmp_path)
    assert [type(line.content) for line in lines] == [dict, dict, BadInput, BadInput, dict]
    assert contents(lines)[2:4] == ["line_too_long"] * 2
    assert [line.number for line in lines] == [1, 2, 3, 4, 5]


def test_a_file_without_line_ends_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "input.ndjson"
    path.write_bytes(gzip.compress(b"x" * (64 * MAX_LINE)))
    tracemalloc.start()
    with open_input(str(path)) as source:
        assert contents(list(source.lines())) == ["line_too_long"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * MAX_LINE


# CSV


def test_an_empty_cell_is_left_out(tmp_path: Path) -> None:
    lines = read(b"op,org,at,units,ref,reason\ndebit,acme,,5,r1,\n", tmp_path)
    assert contents(lines) == [{"op": "debit", "org": "acme", "units": "5", "ref": "r1"}]


def test_cells_may_be_quoted(tmp_path: Path) -> None:
    lines = read(b'op,org,reason\ndebit,acme,"said ""yes"", twice"\n', tmp_path)
    assert contents(lines) == [{"op": "debit", "org": "acme", "reason": 'said "yes", twice'}]


def test_costs_as_an_object_or_a_column_each(tmp_path: Path) -> None:
    as_object = read(b'op,org,run,costs\nattribute,a,r,"{""llm"": 0.1, ""db"": ""0.20""}"\n', tmp_path)
    as_columns = read(b"op,org,run,costs.llm,costs.db,costs.idle\nattribute,a,r,0.1,0.20,\n", tmp_path)
    assert contents(as_columns) == [{"op": "attribute", "org": "a", "run": "r", "costs": {"llm": "0.1", "db": "0.20"}}]
    documents = [line.content for line in (*as_object, *as_columns) if isinstance(line.content, dict)]
    one, other = (request_from_document(document, actor="me") for document in documents)
    assert one == other


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"debit\n", "bad_csv"),
        (b"debit,acme,5,r1,more\n", "bad_csv"),
        (b"debit,acme,5,caf\xe9\n", "bad_encoding"),
        (b"debit,acme,5," + b"x" * (MAX_LINE + 1) + b"\n", "line_too_long"),
        (b"debit,acme,5,r1,,,\ndebit,acme,5,r1,,x\n", "bad_csv"),
    ],
)
def test_a_bad_row_is_told_and_the_next_one_read(tmp_path: Path, line: bytes, code: str) -> None:
    lines = read(HEADER + line + b"debit,acme,5,r1\n", tmp_path)
    good = {"op": "debit", "org": "acme", "units": "5", "ref": "r1"}
    assert [content for content in contents(lines) if content != good] == [code]
    assert contents(lines)[-1] == good


@pytest.mark.parametrize(
    ("costs", "code"), [("{", "bad_json"), ('{""a"": 1, ""a"": 2}', "bad_json"), ('{""a"": NaN}', "bad_json")]
)
def test_a_bad_cell_of_costs(tmp_path: Path, costs: str, code: str) -> None:
    assert contents(read(f'op,org,costs\nattribute,acme,"{costs}"\n'.encode(), tmp_path)) == [code]


def test_costs_in_both_ways_are_refused(tmp_path: Path) -> None:
    assert contents(read(b'op,org,costs,costs.llm\nattribute,a,"{""db"": 1}",1\n', tmp_path)) == ["bad_csv"]


def test_a_row_that_is_cut_off_is_not_taken_for_another_one() -> None:
    whole = HEADER + b"debit,acme,5,r1\ndebit,acme,5,r123\n"
    for length in range(len(HEADER), len(whole)):
        documents = [content for content in contents(piped(whole[:length])) if isinstance(content, dict)]
        assert documents == contents(piped(whole))[: len(documents)]


def test_a_last_line_without_its_end_is_taken_where_the_end_is_certain(tmp_path: Path) -> None:
    data = HEADER + b"debit,acme,5,r1"
    good = {"op": "debit", "org": "acme", "units": "5", "ref": "r1"}
    assert contents(read(data, tmp_path)) == [good]
    assert contents(read(gzip.compress(data), tmp_path)) == [good]
    assert contents(piped(gzip.compress(data))) == [good]
    assert contents(piped(data)) == ["unfinished_line"]


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (b"op,org,unit\n", "'unit'"),
        (b"op, orgs\n", "'orgs'"),
        (b"op|org|units\n", "'op|org|units'"),
        (b"op;org;unit\n", "'unit'"),
        (b"sep=,\nop;org;units\n", "'op;org;units'"),
        (b"op,org,units\rdebit,acme,5\r", "CR alone"),
        (b"op,Org,ORG\n", "twice"),
        (b"op,org,op\n", "twice"),
        (b"org,units\n", "'op'"),
        (b"op,units\n", "'org'"),
        (b"op,org,costs.\n", "feature"),
        (b"op,org,costs.base\n", "reserved"),
        (b'op,"org\n', "header"),
        (b"op,caf\xe9\n", "UTF-8"),
        (b"\xef\xbb\xbf\n", "'debit'"),
        (b"x" * (MAX_LINE + 2), "header"),
    ],
)
def test_a_header_that_is_not_understood_refuses_the_file(tmp_path: Path, header: bytes, told: str) -> None:
    assert told in refused(header + b"debit,acme,5,r1\n", tmp_path).message


# files as a whole


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    for document in (DEBIT, {**DEBIT, "reason": "x" * MAX_LINE}):
        assert "UTF-8" in refused(json.dumps(document).encode(encoding), tmp_path).message


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    for name in (tmp_path / "absent", tmp_path):
        with pytest.raises(BadInput) as caught, open_input(str(name)):
            pass
        assert caught.value.code == "bad_file"
        assert str(name) in caught.value.message


@pytest.mark.parametrize("data", [b"\x1f\x8b", b"\x1f\x8bnonsense", gzip.compress(ndjson(DEBIT), mtime=0)[:12]])
def test_zipped_data_that_is_damaged_from_the_start(tmp_path: Path, data: bytes) -> None:
    refused(data, tmp_path)


def test_zipped_data_that_is_cut_off_says_where(tmp_path: Path) -> None:
    documents = [{**DEBIT, "ref": f"r{number}"} for number in range(20_000)]
    data = gzip.compress(ndjson(*documents))
    lines = read(data[: len(data) // 2], tmp_path)
    *whole, last = lines
    assert 1000 < len(whole) < 20_000
    assert contents(whole) == documents[: len(whole)]
    assert (last.number, contents([last])) == (len(whole) + 1, ["bad_file"])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'[{"op": "debit"}]', "array"),
        (b'[\n  {"op": "debit"},\n  {"op": "debit"}\n]\n', "array"),
        (b'{\n  "op": "debit",\n  "org": "acme"\n}\n', "several lines"),
        (b'{"op": "debit",\n "org": "acme"}\n', "several lines"),
        (b"PK\x03\x04" + b"\0" * 40, "Excel"),
        (b"BZh91AY&SY", "bzip2"),
        (b"%PDF-1.7\n", "PDF"),
        (gzip.compress(gzip.compress(HEADER, mtime=0), mtime=0), "packed with gzip twice"),
    ],
)
def test_other_kinds_of_file_are_told_as_what_they_are(tmp_path: Path, data: bytes, told: str) -> None:
    assert told in refused(data, tmp_path).message


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"units": ' + b"1" * 5000 + b"}", "it has a number with too many digits"),
        (b'{"units": 1e9999999999999999999}', "it has a number with too many digits"),
        (b"[" * 100_000, "it is nested too deeply"),
        (b'{"a":' * 100_000, "it is nested too deeply"),
        (rb'{"ref": "\ud800"}', "it has half of a surrogate pair"),
    ],
)
def test_a_line_that_python_cannot_take_is_told_in_plain_words(tmp_path: Path, line: bytes, reason: str) -> None:
    _, (_, problem) = read(ndjson(DEBIT) + line + b"\n", tmp_path)
    assert isinstance(problem, BadInput)
    assert (problem.code, reason in problem.message) == ("bad_json", True)


def test_a_name_that_is_repeated_among_very_many_is_found_at_once(tmp_path: Path) -> None:
    names = [f'"a{number}":1' for number in range(80_000)]  # comparing each with all others would take minutes
    ((_, problem),) = read(f"{{{','.join(names)},{names[-1]}}}\n".encode(), tmp_path)
    assert isinstance(problem, BadInput)
    assert "it has 'a79999' twice" in problem.message


def test_a_line_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.files.raw_lines.MAX_SKIP", 3 * MAX_LINE)
    problem = refused(b"x" * (4 * MAX_LINE + 2), tmp_path)
    assert "a line is longer than 3,145,728 bytes" in problem.message
    assert contents(read(ndjson(DEBIT) + b"x" * 2 * MAX_LINE + b"\n" + ndjson(DEBIT), tmp_path)) == [
        DEBIT,
        "line_too_long",
        DEBIT,
    ]


class FailingDisk(io.FileIO):
    """A file whose bytes from ``bad`` on cannot be read."""

    bad = 0

    def readinto(self, buffer: Any, /) -> int | None:
        if self.tell() >= self.bad:
            raise OSError(5, "Input/output error")
        return super().readinto(memoryview(buffer)[: self.bad - self.tell()])

    def readall(self) -> bytes:
        raise OSError(5, "Input/output error")


@pytest.mark.parametrize("zipped", [False, True])
def test_a_disk_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool) -> None:
    from meterctl.core.files import sources

    class Failing(sources._File, FailingDisk):
        pass

    monkeypatch.setattr(sources, "_File", Failing)
    lines = ndjson(*({**DEBIT, "reason": os.urandom(300).hex()} for _ in range(100)))
    data = gzip.compress(lines) if zipped else lines
    problem = refused(data, tmp_path)
    assert (problem.message, problem.hint) == (
        f"cannot read {tmp_path / 'input'}: Input/output error",
        "check the disk, or use another copy",
    )
    monkeypatch.setattr(FailingDisk, "bad", 20_000)
    *whole, last = read(data, tmp_path)
    assert len(whole) > 20
    assert contents(whole) == [DEBIT | {"reason": line.content["reason"]} for line in whole]  # type: ignore[index]
    assert isinstance(last.content, BadInput)
    assert "the rest of the file cannot be read: [Errno 5] Input/output error" in last.content.message
    with sources.open_file(str(tmp_path / "input")) as file, pytest.raises(BadInput, match="cannot read"):
        file.read()


def test_the_command_that_converts_a_file_can_be_pasted(tmp_path: Path) -> None:
    hint = refused(b"[{}]", tmp_path, "my file.json").hint
    assert hint == f"convert it: jq -c '.[]' '{tmp_path}/my file.json' | meterctl backfill -"
    with pytest.raises(BadInput) as caught:
        piped(b'{\n"op": "debit"}')
    assert caught.value.hint == "convert it: jq -c . FILE | meterctl backfill -"


def test_a_first_object_that_is_cut_off_refuses_its_line_alone(tmp_path: Path) -> None:
    assert contents(read(b'{"op": "debit"\n' + ndjson(DEBIT), tmp_path)) == ["bad_json", DEBIT]


# anything at all


@given(st.binary(max_size=300))
def test_no_bytes_surprise_it(data: bytes) -> None:
    # Whatever stands in a file, a line becomes a request or is told to be bad.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try_all()


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
fields = st.sampled_from(["op", "org", "units", "ref", "costs", "run", "step", "at", "reason", "actor", "seq", "pack"])
names = st.sampled_from(["debit", "attribute", "credit-pack", "adjust", "undo"])


@given(st.lists(st.tuples(st.dictionaries(fields, values), names), max_size=4))
def test_no_document_surprises_it(documents: list[tuple[dict[str, Any], str]]) -> None:
    data = b"".join(json.dumps({**document, "op": name}).encode() + b"\n" for document, name in documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        try_all()


def try_all() -> None:
    """Read standard input and make requests of it: anything but `BadInput` comes out as a failure."""
    with suppress(BadInput), open_input("-") as source:
        for line in source.lines():
            with suppress(BadInput):
                if isinstance(line.content, dict):
                    request_from_document(line.content, actor="me")
