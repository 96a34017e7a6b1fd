"""The workflow of GitHub Actions, checked by actionlint, and the shell in it and in .ci by shellcheck."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PROGRAMS = Path(sys.executable).parent


def ended(program: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAMS / program, *words], capture_output=True, text=True, timeout=120, check=False)


def actionlint(file: Path) -> subprocess.CompletedProcess[str]:
    return ended("actionlint", "-shellcheck", PROGRAMS / "shellcheck", file)


def test_the_workflow_has_no_mistake() -> None:
    done = actionlint(WORKFLOW)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("timeout-minutes", "timeout-minute", "unexpected key"),
        ("${{ matrix.mongodb }}", "${{ matrix.mongo }}", "not defined"),
        ("$(seq 60)", "`seq $N`", "shellcheck"),
    ],
)
def test_the_checker_sees_a_mistake(tmp_path: Path, right: str, wrong: str, finding: str) -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    assert right in text
    broken = tmp_path / "ci.yml"
    broken.write_text(text.replace(right, wrong))
    done = actionlint(broken)
    assert done.returncode == 1
    assert finding in done.stdout


@pytest.mark.parametrize("script", ["run", "programs"])
def test_the_scripts_of_the_checks_have_no_mistake(script: str) -> None:
    done = ended("shellcheck", ROOT / ".ci" / script)
    assert done.returncode == 0, done.stdout


def test_every_supported_version_is_tested() -> None:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    prefix = "Programming Language :: Python :: "
    supported = {name.removeprefix(prefix) for name in project["classifiers"] if name.startswith(f"{prefix}3.")}
    job = yaml.safe_load(WORKFLOW.read_text("utf-8"))["jobs"]["versions"]
    tested = job["strategy"]["matrix"]["python"]
    assert supported <= set(tested)
    assert job["strategy"]["matrix"]["mongodb"] == ["6", "7", "8"]
    stability = (ROOT / "docs" / "stability.md").read_text("utf-8")
    assert f"Python {min(tested, key=_minor)} to {max(tested, key=_minor)} and MongoDB 6, 7 and 8" in stability


def _minor(version: str) -> int:
    return int(version.partition(".")[2])
