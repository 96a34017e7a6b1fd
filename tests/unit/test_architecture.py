"""docs/architecture.md tells of rooms that exist, and its picture is that of the code."""

import re
from pathlib import Path

from docs.rooms import PAGE, PLACE, arrows, diagram

ROOT = Path(__file__).parents[2]


def test_the_picture_is_drawn_from_the_imports() -> None:
    drawn = PLACE.search(PAGE.read_text("utf-8"))
    assert drawn is not None
    assert drawn[0] == diagram(), "draw it anew: python -m docs.rooms"


def test_no_room_imports_one_that_imports_it() -> None:
    pairs = arrows()
    assert sorted(pair for pair in pairs if pair[::-1] in pairs) == []


def test_every_file_of_the_page_exists() -> None:
    text = PAGE.read_text("utf-8")
    names = re.findall(r"`([\w/]+(?:\.py|/))`", text)
    assert len(names) > 20
    missing = [
        name for name in names if not any((ROOT / top / name).exists() for top in ("", "meterctl", "meterctl/core"))
    ]
    assert missing == []


def test_the_core_shows_at_most_sixteen_places() -> None:
    places = [path for path in (ROOT / "meterctl" / "core").iterdir() if path.is_file() or any(path.rglob("*.py"))]
    assert len(places) <= 16
