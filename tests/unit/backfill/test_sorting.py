"""Sorting a file by org and time in little memory, and what is left of it afterwards."""

import tracemalloc
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterctl.core.backfill import sorting
from meterctl.core.errors import BadInput, MeterctlError
from meterctl.core.files.operation_lines import Line

CONTENTS: st.SearchStrategy[Any] = st.one_of(
    st.fixed_dictionaries(
        {"org": st.sampled_from(["a", "b", "c", 5, None])},
        optional={"at": st.sampled_from([None, "2026-11-01T00:00:00.000Z", "2026-11-02T00:00:00.000Z"])},
    ),
    st.builds(BadInput, st.just("bad")),
)


def in_order(lines: list[Line]) -> list[Line]:
    with sorting.sorted_lines(lines) as result:
        return list(result)


def expected(lines: list[Line]) -> list[int]:
    def key(line: Line) -> tuple[str, str, int]:
        if isinstance(line.content, BadInput):
            return "", "", line.number
        org, at = line.content["org"], line.content.get("at")
        return org if isinstance(org, str) else "", at or "~", line.number

    return [line.number for line in sorted(lines, key=key)]


@given(st.lists(CONTENTS, max_size=40), st.integers(1, 9), st.integers(2, 4))
def test_lines_come_by_org_and_time_in_runs_of_any_size(contents: list[Any], run: int, most: int) -> None:
    lines = [Line(number, content) for number, content in enumerate(contents, 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "RUN_LINES", run)
        patch.setattr(sorting, "MOST_RUNS", most)
        result = in_order(lines)
    assert [line.number for line in result] == expected(lines)
    by_number = {line.number: line.content for line in lines}
    for line in result:
        if isinstance(line.content, BadInput):
            assert (line.content.message, line.content.code) == ("bad", "bad_input")
        else:
            assert line.content == by_number[line.number]


def descending(count: int) -> Iterator[Line]:
    for number in range(count):
        at = f"2026-11-{28 - number * 28 // (count + 1):02}T00:00:00.000Z"
        yield Line(number + 1, {"org": f"org-{number % 7}", "at": at, "ref": f"r{number}" * 5})


def open_files() -> int:
    """How many files this process has open, where the system tells."""
    listed = Path("/proc/self/fd")
    return len(list(listed.iterdir())) if listed.is_dir() else 0


def test_memory_is_flat_and_temporary_files_are_closed() -> None:
    opened = open_files()
    tracemalloc.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorting, "RUN_LINES", 1000)
        with sorting.sorted_lines(descending(20_000)) as result:
            assert sum(1 for _ in result) == 20_000
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * 1024 * 1024
    assert open_files() == opened


def test_what_is_left_early_leaves_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "RUN_LINES", 10)
    opened: list[IO[bytes]] = []

    def temporary() -> IO[bytes]:
        opened.append(TemporaryFile())  # noqa: SIM115 - what is tested closes it
        return opened[-1]

    monkeypatch.setattr(sorting, "TemporaryFile", temporary)
    with sorting.sorted_lines(descending(100)) as result:
        next(result)
    assert opened
    assert all(file.closed for file in opened)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorting, "RUN_LINES", 10)
    monkeypatch.setattr(sorting, "TemporaryFile", partial(Path("/dev/full").open, "w+b"))
    with pytest.raises(MeterctlError) as caught, sorting.sorted_lines(descending(100_00)) as result:
        list(result)
    assert (caught.value.code, "TMPDIR" in caught.value.hint) == ("no_room", True)
