"""Verify without a store: an exported file, alone and against a seal."""

import gzip
import io
import json
from typing import Any

import pytest

from meterctl.core.domain.canonical import canonical_text
from meterctl.core.errors import USAGE, BadInput
from meterctl.core.files.sources import unzip
from meterctl.core.model import Instant
from meterctl.core.results import Verification
from meterctl.core.verify import Check, Sealed, SealWriter, read_seal, verify_all, verify_file, verify_org
from meterctl.core.verify.report import MOST_FINDINGS
from tests.desk import NOON, Desk
from tests.journals import (
    NO_DEBT,
    ORGS,
    Scribe,
    check_entries,
    check_lines,
    clone,
    export_of,
    forge,
    journal,
    rehash,
    story,
    tell_story,
    where,
)
from tests.memory_store import MemoryStore

# ----------------------------------------------------------------------------------------------------------- a file


def line_of(key: str) -> int:
    return next(place for place, line in enumerate(export_of(story())) if f'"key":"{key}"'.encode() in line)


def test_a_line_that_is_no_entry_is_found_by_its_number() -> None:
    lines = export_of(story())
    for noise in (
        b"{",
        b"7\n",
        b"null\n",
        b"[" * 100_000 + b"\n",
        b'{"org": 1}\n',
        b"\xff\n",
        lines[4].replace(b"{", b""),
    ):
        broken = [*lines[:4], noise.rstrip(b"\n") + b"\n", *lines[5:]]
        (finding,) = check_lines(broken).findings
        assert (finding.org, finding.seq, finding.check) == ("acme", None, Check.FORM)
        assert finding.message.startswith("line 5 ")
        assert check_lines([noise, *lines]).findings[0].message.startswith("line 1 ")


def test_blank_lines_and_windows_line_ends_do_not_matter() -> None:
    lines = [line.replace(b"\n", b"\r\n") for line in export_of(story())]
    assert check_lines([b"\n", *lines, b"  \n"]).findings == []


def test_spaces_and_order_of_fields_do_not_matter() -> None:
    lines = [json.dumps(dict(reversed(json.loads(line).items()))).encode() + b"\n" for line in export_of(story())]
    assert check_lines(lines).findings == []


def test_a_field_that_stands_twice_is_found() -> None:
    lines = export_of(story())
    lines[2] = lines[2].replace(b'"amount":-120', b'"amount":-1,"amount":-120')
    (finding,) = check_lines(lines).findings
    assert (finding.seq, finding.check) == (3, Check.FORM)
    assert "twice" in finding.message


def test_an_org_in_two_places_of_a_file_is_found() -> None:
    lines = export_of(story())
    assert ("beta", Check.ORDER) in {
        (finding.org, finding.check)
        for finding in check_lines([*lines, *(line for line in lines if b'"org":"beta"' in line)]).findings
    }


def test_a_session_credited_in_two_orgs_is_found_unless_it_was_undone() -> None:
    one, other = Scribe().topup("s").entries, clone(Scribe().topup("s").entries)
    for entry in other:
        entry["org"] = "zeta"
    rehash(other)
    lines = [f"{canonical_text(entry)}\n".encode() for entry in [*one, *other]]
    (finding,) = check_lines(lines).findings
    assert (finding.org, finding.seq, finding.check) == ("zeta", 1, Check.CLAIM)
    assert check_lines(export_of(story())).ok  # where a pack was moved


def test_entries_far_back_in_a_long_file_are_found_again() -> None:
    desk = Desk()
    desk.publish("free", 1000)
    desk.credit("s", "forever")
    for number in range(200):
        desk.run(f"r{number}", 1)
    desk.debit(1, "x")
    for number in range(200):
        desk.run(f"q{number}", 1)
    desk.undo(next(entry["seq"] for entry in desk.entries() if entry["key"] == "debit:x"))
    desk.refund("s", 700, "re")
    assert check_lines([b"\n", *export_of(desk)]).findings == []


def test_an_entry_that_is_not_in_the_file_is_found_missing() -> None:
    scribe = Scribe().topup("a")
    scribe.tip = scribe.tip._replace(seq=500)
    nothing: dict[str, Any] = {"repaid": NO_DEBT, "restored": [], "forfeited": []}
    scribe.topup("b").write("reversal", "undo:debit:x", 0, {"op": "undo", "of": "debit:x"}, reverses=400, **nothing)
    found = check_lines(f"{canonical_text(entry)}\n".encode() for entry in scribe.entries).findings
    assert where(found) == {(501, Check.ORDER), (502, Check.LOTS)}


def test_a_pipe_is_read_once() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    pipe = Pipe(b"".join(export_of(story())))
    assert verify_file(pipe).ok
    assert not pipe.closed


def gzip_of(desk: Desk) -> bytes:
    return gzip.compress(b"".join(export_of(desk)))


def check_gzip(data: bytes) -> Verification:
    return verify_file(unzip(io.BufferedReader(io.BytesIO(data))))


def test_gzip_is_unzipped_once_wherever_its_entries_point(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gzip.GzipFile, "seek", lambda *_: pytest.fail("it is unzipped again"))
    desk = tell_story()
    checked = check_gzip(gzip_of(desk))
    assert (checked.entries, checked.findings) == (len(export_of(desk)), [])


def test_gzip_that_was_cut_off_or_changed_is_told() -> None:
    whole = gzip_of(story())
    damaged = [whole[:length] for length in (1, 2, 30, len(whole) - 1)]
    for place in (1, len(whole) // 2, len(whole) - 8):
        damaged.append(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    for data in damaged:
        with pytest.raises(BadInput) as raised:
            check_gzip(data)
        assert (raised.value.code, raised.value.exit_code) == ("bad_file", USAGE)


# ---------------------------------------------------------------------------------------------------------- a seal


def seal_of(desk: Desk) -> list[bytes]:
    lines: list[str] = []
    seal = SealWriter(lines.append, Instant(NOON))
    verify_all(desk.store, on_tip=seal.add)
    seal.close()
    return [line.encode() for line in lines]


def test_a_seal_fits_the_store_and_the_file_it_was_made_of_and_what_grew_since() -> None:
    desk = tell_story()
    sealed = seal_of(desk)
    desk.debit(1, "since")
    assert verify_all(desk.store, seal=read_seal(sealed)).ok
    assert verify_org(desk.store, "acme", seal=read_seal(sealed)).ok
    assert check_lines(export_of(desk)).ok
    assert verify_file(io.BytesIO(b"".join(export_of(desk))), seal=read_seal(sealed)).ok


def test_a_journal_that_was_cut_off_or_removed_is_found_with_a_seal() -> None:
    desk = story()
    lines = export_of(desk)
    last = line_of("debit:b:1")
    cut = io.BytesIO(b"".join(lines[:last]))
    found = verify_file(cut, seal=read_seal(seal_of(desk))).findings
    assert {(finding.org, finding.seq, finding.check) for finding in found} == {
        ("beta", 1, Check.SEAL),
        ("plain", None, Check.SEAL),
    }
    assert verify_file(io.BytesIO(b"".join(lines[:last]))).ok


def test_a_journal_that_was_written_anew_is_found_with_a_seal() -> None:
    entries, _ = forge("debit:d:1", {("actor",): "someone"})
    tip = journal()[-1]
    assert check_entries(entries) == []
    assert where(check_entries(entries, sealed=Sealed(tip["seq"], tip["hash"]))) == {(tip["seq"], Check.SEAL)}


def test_a_seal_is_about_the_orgs_that_are_looked_at() -> None:
    desk = story()
    sealed = seal_of(desk)
    assert verify_org(desk.store, "beta", seal=read_seal(sealed)).ok
    assert where(verify_org(MemoryStore(), "beta", seal=read_seal(sealed)).findings) == {(0, Check.SEAL)}
    empty = verify_all(MemoryStore(), seal=read_seal(sealed))
    assert [finding.org for finding in empty.findings] == list(ORGS)


def test_a_seal_that_was_cut_or_changed_is_refused() -> None:
    lines = seal_of(story())
    assert read_seal(lines).take("acme")
    damaged: list[list[bytes]] = [lines[:count] for count in range(len(lines))]
    damaged += [[*lines[:1], *lines[2:]], [*lines, lines[1]], [*lines, b"\n"], [lines[0], b"7\n"], [lines[0], b"{\n"]]
    damaged += [[lines[0], b'{"org":"x","seq":"1","hash":""}\n'], lines[1:], [b"{}\n"], export_of(story())]
    for place, line in enumerate(lines):
        damaged.append([*lines[:place], line.replace(b"1", b"2", 1), *lines[place + 1 :]])
    for seal in damaged:
        with pytest.raises(BadInput) as raised:
            read_seal(seal)
        assert raised.value.code == "bad_seal"


def test_progress_is_told_and_only_so_many_findings_are_kept() -> None:
    told: list[tuple[int, int]] = []
    count = MOST_FINDINGS + 10_001
    result = verify_file(io.BytesIO(b"7\n" * count), progress=lambda orgs, entries: told.append((orgs, entries)))
    assert told == [(0, 10_000), (0, 20_000)]
    assert (len(result.findings), result.more, result.entries) == (MOST_FINDINGS, 10_001, count)
