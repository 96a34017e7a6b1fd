"""docs/format.md says enough: a checker written from it alone agrees with what is written."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from meterctl.core.model import KINDS, Entry
from meterctl.core.verify import Check
from tests.independent_checker import check
from tests.journals import another, clone, export_of, journal, leaves, put, story

CHECKER = Path(__file__).parents[1] / "independent_checker.py"
PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text("utf-8")


def run_checker(lines: list[bytes]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-I", str(CHECKER)], input=b"".join(lines), capture_output=True, timeout=60, check=False
    )


def test_the_independent_checker_is_short_and_imports_nothing_of_ours() -> None:
    text = CHECKER.read_text("utf-8")
    assert len(text.splitlines()) < 100
    imported = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        name.name if isinstance(node, ast.Import) else str(node.module) for node in imported for name in node.names
    }
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


def test_the_independent_checker_finds_nothing_in_an_export_and_what_was_done_to_it() -> None:
    lines = export_of(story())
    clean = run_checker(lines)
    assert (clean.returncode, clean.stdout, clean.stderr) == (0, b"", b"")
    changed = run_checker([*lines[:2], lines[2].replace(b'"amount":-120', b'"amount":-121'), *lines[3:]])
    assert changed.returncode == 1
    assert changed.stderr.decode().split() == ["line", "3:", "hash", "line", "3:", "sum"]
    assert run_checker(lines[1:]).returncode == 1


def test_the_independent_checker_finds_every_changed_value() -> None:
    lines = [line.decode() for line in export_of(story())]
    for place in (0, 4, 20, 33):
        entry = journal()[place]
        for path, value in leaves(entry):
            changed = clone(entry)
            put(changed, path, another(value))
            assert not passes([*lines[:place], json.dumps(changed)]), (place, path)


def passes(lines: list[str]) -> bool:
    try:
        return not list(check(lines))
    except (KeyError, TypeError):
        return False  # it may stumble over what is no entry, but it does not let it pass


@pytest.mark.parametrize("name", [*KINDS, *sorted(Entry.__annotations__.keys() - {"pending"})])
def test_the_page_names_every_kind_and_every_field(name: str) -> None:
    assert f"`{name}`" in PAGE or f'"{name}"' in PAGE or f"`{name}." in PAGE


def test_the_page_lists_every_check() -> None:
    for number in Check:
        assert f"\n| {int(number)} | " in PAGE
