"""requirements/ pins what pyproject.toml asks for. To renew it: make lock."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def pinned(name: str) -> dict[str, str]:
    """Return the versions in a requirements file, by normal name."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    return {normal(found[1]): found[2] for found in re.finditer(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def group(name: str) -> list[str]:
    """Return the requirements of a dependency group, those of included groups too."""
    members = PROJECT["dependency-groups"][name]
    return [
        one for member in members for one in (group(member["include-group"]) if isinstance(member, dict) else [member])
    ]


@pytest.mark.parametrize(
    ("file", "requirements"),
    [
        ("runtime", PROJECT["project"]["dependencies"]),
        ("build", PROJECT["dependency-groups"]["build"]),
        ("release", PROJECT["dependency-groups"]["release"]),
        ("dev", [*PROJECT["project"]["dependencies"], *group("dev")]),
    ],
)
def test_every_requirement_is_pinned_within_its_range(file: str, requirements: list[str]) -> None:
    versions = pinned(file)
    for requirement in requirements:
        name, lower = re.match(r"([\w.-]+)(?:[=>]=([\d.]+))?", requirement).groups()  # type: ignore[union-attr]
        version = versions[normal(name)]
        if lower:
            assert numbers(version) >= numbers(lower.rstrip(".")), requirement


def numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


@pytest.mark.parametrize("file", ["runtime", "build", "dev"])
def test_every_pinned_file_has_its_hashes(file: str) -> None:
    blocks = re.split(r"^(?=[\w.-]+==)", (ROOT / "requirements" / f"{file}.txt").read_text("utf-8"), flags=re.MULTILINE)
    assert [block.split()[0] for block in blocks[1:] if "--hash=sha256:" not in block] == []
