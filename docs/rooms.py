"""Draw the rooms of the code and the imports between them, from the code itself, as a Mermaid diagram.

``python -m docs.rooms`` writes it into docs/architecture.md.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "architecture.md"

#: The diagram's place in the page.
PLACE = re.compile(r"(?<=```mermaid\n).*?(?=```)", re.DOTALL)

#: Rooms that nearly every other one imports: arrows to them would hide the rest.
COMMON = {"core.errors", "core.model"}


def room_of(module: str) -> str | None:
    """Return the room that a dotted module of meterctl lies in."""
    parts = module.split(".")[1:]
    if not parts or parts[0].startswith("__"):
        return None
    return ".".join(parts[:2]) if parts[0] == "core" and len(parts) > 1 else parts[0]


def imports(file: Path) -> Iterator[str]:
    """Yield the modules of meterctl that a file imports, wherever in the file; those for type checkers alone are left
    out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    typing_only = {
        child for node in ast.walk(tree) if _is_for_types(node) for child in ast.walk(node) if child is not node
    }
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def arrows() -> set[tuple[str, str]]:
    """Return every pair of rooms of which the first imports the second."""
    pairs = set()
    for file in (ROOT / "meterctl").rglob("*.py"):
        source = room_of(".".join(file.relative_to(ROOT).with_suffix("").parts))
        for name in imports(file):
            target = room_of(name) if name.startswith("meterctl.") else None
            if source and target and source != target:
                pairs.add((source, target))
    return pairs


def diagram() -> str:
    """Return the Mermaid text. An arrow that a longer way implies is left out."""
    pairs = {(a, b) for a, b in arrows() if b not in COMMON and "." in f"{a}.{b}"}
    lines = ["graph TD"]
    lines += [f"  {_id(a)}[{a}] --> {_id(b)}[{b}]" for a, b in sorted(pairs) if not _implied(a, b, pairs)]
    return "\n".join(lines) + "\n"


def _implied(start: str, end: str, pairs: set[tuple[str, str]]) -> bool:
    """Return True if ``end`` can be reached from ``start`` through a third room."""
    seen, todo = set(), [b for a, b in pairs if a == start and b != end]
    while todo:
        room = todo.pop()
        if room == end:
            return True
        if room not in seen:
            seen.add(room)
            todo += [b for a, b in pairs if a == room]
    return False


def _id(room: str) -> str:
    return room.replace(".", "_")


def main() -> None:
    """Write the diagram into the page."""
    PAGE.write_text(PLACE.sub(lambda _: diagram(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
