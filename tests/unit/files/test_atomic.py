"""Files that are written aside and renamed."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from meterctl.core.errors import BadInput
from meterctl.core.files.atomic import Aside, check_apart, writing


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    yield
    assert [found.name for found in tmp_path.iterdir() if found.name.startswith(".")] == []


def write(path: str | Path, text: str) -> None:
    with Aside(path) as aside:
        aside.file.write(text)
        aside.keep()


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_is_there_once_it_is_kept(path: Path) -> None:
    with Aside(path) as aside:
        aside.file.write("å\n")
        assert not path.exists()
        aside.keep()
        assert path.read_text("utf-8") == "å\n"
    assert path.exists()


def test_what_is_not_kept_changes_nothing(path: Path) -> None:
    path.write_text("as it was")
    with Aside(path) as aside:
        aside.file.write("unwanted")
    with pytest.raises(KeyboardInterrupt), Aside(path) as aside:
        raise KeyboardInterrupt
    assert path.read_text() == "as it was"


def test_two_who_write_the_same_file_do_not_meet(path: Path) -> None:
    with Aside(path) as one, Aside(path) as other:
        one.file.write("one")
        other.file.write("other")
        one.keep()
        assert path.read_text() == "one"
        other.keep()
    assert path.read_text() == "other"


def test_a_new_file_is_its_owners_alone(path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(path, "x")
    finally:
        os.umask(before)
    assert mode(path) == 0o600


@pytest.mark.parametrize("rights", [0o600, 0o666])
def test_a_file_that_is_replaced_keeps_its_rights_from_the_start(path: Path, rights: int) -> None:
    path.touch()
    path.chmod(rights)
    with Aside(path) as aside:
        assert os.fstat(aside.file.fileno()).st_mode & 0o777 == rights
        aside.keep()
    assert mode(path) == rights


def test_a_link_goes_on_leading_to_what_is_written(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    write(link, "x")
    assert link.is_symlink()
    assert path.read_text() == "x"


def test_a_disk_that_is_full_leaves_what_was_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path.write_text("as it was")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match=r"cannot write .*file: No space left on device"), writing(path):
        write(path, "x")
    assert path.read_text() == "as it was"


def test_only_a_plain_file_is_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for other in (pipe, tmp_path, tmp_path / "nowhere" / "file", os.devnull, ""):
        with pytest.raises(OSError, match=r"not a regular file|No such file"):
            Aside(other)
    assert pipe.is_fifo()


OWN = [
    ("--results", '{"line": 1}\n'),
    ("--rejects", '{"id": "evt_1"}\n'),
    ("--metrics-file", "# HELP meterctl_verify_success 1\n"),
]


@pytest.mark.parametrize(("option", "own"), OWN)
def test_a_file_is_only_written_over_by_the_option_that_wrote_it(path: Path, option: str, own: str) -> None:
    check_apart(option, path)
    for text in ("", own):
        path.write_text(text)
        check_apart(option, path)
    for text in ("op,org,units,ref\n", "[", "notes"):
        path.write_text(text)
        with pytest.raises(BadInput, match=rf"{option} would overwrite .*file, which was not written by this option"):
            check_apart(option, path)
    check_apart("--pending", path)


def test_standard_output_under_another_name_is_no_file_to_write(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with path.open("w") as output:
        monkeypatch.setattr("sys.stdout", output)
        for name in (path, f"/dev/fd/{output.fileno()}"):
            with pytest.raises(BadInput, match="--results needs a file name"):
                check_apart("--results", name)
    with Path(os.devnull).open("w") as nowhere:
        monkeypatch.setattr("sys.stdout", nowhere)
        check_apart("--results", os.devnull)


def test_what_is_read_from_standard_input_is_not_written_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text('{"line": 1}')
    with path.open() as file, path.with_name("other").open("w+") as other:
        monkeypatch.setattr("sys.stdin", file)
        with pytest.raises(BadInput, match="--results would overwrite -, which this command reads"):
            check_apart("--results", path, "-")
        monkeypatch.setattr("sys.stdin", other)
        check_apart("--results", path, "-")
    monkeypatch.setattr("sys.stdin", None)
    check_apart("--results", path, "-")
