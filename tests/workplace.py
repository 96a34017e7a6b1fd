"""Run what the documentation shows of Python."""

import doctest
import re
from pathlib import Path
from typing import Any

import pytest

from meterctl.cli import main

ROOT = Path(__file__).parents[1]


def documented_examples(page: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the Python sessions of a page one after the other, in ``place``, where the example config lies."""
    monkeypatch.chdir(place)
    for name in ("STORE", "CONFIG", "NOW", "ACTOR", "PROFILE"):
        monkeypatch.delenv(f"METERCTL_{name}", raising=False)
    (place / "meterctl.toml").write_text((ROOT / "examples" / "meterctl.toml").read_text(encoding="utf-8"))
    assert main(["--store", "sqlite:credits.db", "plan", "publish", "--from-config"]) == 0
    text = (ROOT / page).read_text(encoding="utf-8")
    sessions = re.findall(r"^```python\n(>>> .*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    assert sessions
    names: dict[str, Any] = {}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    for number, session in enumerate(sessions):
        test = parser.get_doctest(session, names, f"{page}, session {number + 1}", page, 0)
        runner.run(test, clear_globs=False)
        names.update(test.globs)
    assert runner.summarize(verbose=False).failed == 0
