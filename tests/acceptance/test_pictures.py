"""docs/pictures: what is shown there is what the commands print. To draw them anew: make pictures."""

import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs.pictures.make import PICTURES

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "pictures"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    command = [sys.executable, "-m", "docs.pictures.make", str(place)]
    subprocess.run(command, cwd=ROOT, timeout=120, check=True)
    return place


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_shows_what_the_command_prints(drawn: Path, name: str) -> None:
    same = (drawn / f"{name}.svg").read_text("utf-8") == (FOLDER / f"{name}.svg").read_text("utf-8")
    assert same, "it prints something else now; see it with: make pictures"


def test_there_is_no_other_picture() -> None:
    assert {path.stem for path in FOLDER.glob("*.svg")} == set(PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_whole_and_needs_nothing_from_elsewhere(name: str) -> None:
    text = (FOLDER / f"{name}.svg").read_text("utf-8")
    words = "".join(ElementTree.fromstring(text).itertext())  # noqa: S314 - our own file
    assert f"meterctl{PICTURES[name]}".replace(" ", "") in words
    assert "url(http" not in text
    assert "@import" not in text
    assert "Traceback" not in unescape(text)


def test_the_readme_shows_pictures_with_a_text_for_those_who_do_not_see_them() -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    shown = re.findall(r"!\[([^\]]*)\]\(docs/pictures/([a-z]+)\.svg\)", page)
    assert len(shown) >= 2
    assert all(len(told) > 20 and name in PICTURES for told, name in shown)
