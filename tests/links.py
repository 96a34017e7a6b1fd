"""The links of Markdown pages: the files and headings that they point at."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]

LINK = re.compile(r"\]\(([^)\s]+)\)")
CODE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("http:", "https:", "mailto:")


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return CODE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """Return the names by which a page's headings can be linked."""
    headings = re.findall(r"^#+ +(.*?) *$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(root: Path, pages: list[Path]) -> Iterator[str]:
    """Yield the links that lead nowhere, or out of ``root``."""
    for page in pages:
        for link in LINK.findall(prose(page)):
            if link.startswith(ELSEWHERE):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            inside = target.is_relative_to(root.resolve()) and target.exists()
            if not inside or (anchor and anchor not in anchors(target)):
                yield f"{page.relative_to(root)}: {link}"
