"""Plain English, counted: riddles in docstrings, comments, messages and docs fail the build.

``python -m tests.test_english`` lists the places, worst file first.
"""

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / "meterctl").rglob("*.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]

#: Per thousand words, per hundred sentences, per thousand names.
MOST_WHAT, MOST_WH_SENTENCES, MOST_PARTICIPLES = 3.0, 3.0, 5.0

WH_WORDS = frozenset(
    re.findall(r"\w+", "what whatever whether where wherever how who whoever whom whose which when why")
)

#: Participles without an "ed" that served as names here, or might.
IRREGULAR = frozenset(
    re.findall(
        r"\w+",
        """told said found given known kept taken seen made done left held drawn gone meant got begun run sent met put
        lost stood born paid sold bought brought thought caught""",
    )
)

#: Words of that form that still name a thing here: statuses, fields of documents, nouns and verbs.
NOT_PARTICIPLES = frozenset(
    re.findall(
        r"\w+",
        """applied replayed refused unchanged disabled planned failed skipped done due invalid unpaid locked denied
        allowed used uncovered settled closed opened repaid restored forfeited voided forgiven uncounted released
        expired owed held imported checked known shared covered paid clawed feed seed speed need embed run put expected
        requested required created elapsed blocked unsigned""",
    )
)


class Place(NamedTuple):
    """A piece of prose and where it stands."""

    file: str
    line: int
    text: str


def _name(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def docstrings(file: Path) -> Iterator[Place]:
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            text = ast.get_docstring(node)
            if text:
                yield Place(_name(file), node.body[0].lineno, text)


def comments(file: Path) -> Iterator[Place]:
    """Yield each block of comment lines as one piece."""
    block: list[str] = []
    start = last = 0
    for token in tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline):
        if token.type != tokenize.COMMENT:
            continue
        if block and token.start[0] != last + 1:
            yield Place(_name(file), start, " ".join(block))
            block = []
        if not block:
            start = token.start[0]
        block.append(token.string.lstrip("#: "))
        last = token.start[0]
    if block:
        yield Place(_name(file), start, " ".join(block))


def messages(file: Path) -> Iterator[Place]:
    """Yield the texts of the code that hold a sentence or a part of one: three words or more."""
    prose = {node.body[0].value for node in ast.walk(_tree(file)) if _has_docstring(node)}  # type: ignore[attr-defined]
    for node in ast.walk(_tree(file)):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node in prose:
            continue
        if len(re.findall(r"[A-Za-z']{2,}", node.value)) >= 3:
            yield Place(_name(file), node.lineno, node.value)


def _has_docstring(node: ast.AST) -> bool:
    places = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
    return isinstance(node, places) and ast.get_docstring(node) is not None


def prose(page: Path) -> Iterator[Place]:
    """Yield the paragraphs of a page, without code blocks, comments and headings: some are questions on purpose."""
    text = page.read_text(encoding="utf-8")
    text = re.sub(
        r"```.*?```|<!--.*?-->|^#[^\n]*",
        lambda found: "\n" * found[0].count("\n"),
        text,
        flags=re.DOTALL | re.MULTILINE,
    )
    line = 1
    for paragraph in re.split(r"(\n\s*\n)", text):
        if paragraph.strip():
            yield Place(_name(page), line, paragraph)
        line += paragraph.count("\n")


def words(text: str) -> list[str]:
    return re.findall(r"[a-z']+", re.sub(r"`[^`]*`", " ", text).lower())


def sentences(text: str) -> Iterator[str]:
    for sentence in re.split(r"(?<=[.!?:;])\s+|\n\s*[-*|]\s+|\n\s*\n", re.sub(r"\n(?=\S)", " ", text)):
        if len(sentence.split()) > 2:
            yield sentence.strip("`\"'#*|- ")


def begins_with_wh(sentence: str) -> bool:
    return re.split(r"[\s,.:;(]", sentence, maxsplit=1)[0].lower() in WH_WORDS


def names(file: Path) -> Iterator[tuple[int, str]]:
    """Yield every name that a file binds. Documents bind the names of JSON fields, which are fixed."""
    if file.parent.name == "documents":
        return
    for node in ast.walk(_tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def is_participle(name: str) -> bool:
    bare = name.strip("_")
    return bare not in NOT_PARTICIPLES and (bare in IRREGULAR or re.fullmatch(r"[a-z]{2,}ed", bare) is not None)


def whats(places: Iterable[Place]) -> list[Place]:
    return [place for place in places for word in words(place.text) if word == "what"]


def wh_sentences(places: Iterable[Place]) -> list[Place]:
    opened = (place._replace(text=sentence) for place in places for sentence in sentences(place.text))
    return [place for place in opened if begins_with_wh(place.text)]


def participles() -> list[Place]:
    return [Place(_name(file), line, name) for file in CODE for line, name in names(file) if is_participle(name)]


def _worst(places: Iterable[Place]) -> str:
    return ", ".join(f"{file} {count}" for file, count in Counter(place.file for place in places).most_common(8))


class Count(NamedTuple):
    """How a kind of text reads: the share of riddles in it, and where they are."""

    what: float
    wh: float
    places: list[Place]


def count(places: list[Place]) -> Count:
    """Return the share of "what" in a thousand words and of wh-sentences in a hundred."""
    whats_, opened = whats(places), wh_sentences(places)
    total = sum(len(words(place.text)) for place in places)
    lines = sum(1 for place in places for _ in sentences(place.text))
    return Count(1000 * len(whats_) / total, 100 * len(opened) / lines, [*whats_, *opened])


def texts() -> dict[str, list[Place]]:
    """Return all prose by its kind."""
    kinds = (docstrings, comments, messages)
    pages = [place for page in PAGES if page.exists() for place in prose(page)]
    return {kind.__name__: [place for file in CODE for place in kind(file)] for kind in kinds} | {"docs": pages}


@pytest.mark.parametrize("kind", ["docstrings", "comments", "messages", "docs"])
def test_texts_name_the_thing(kind: str) -> None:
    counted = count(texts()[kind])
    assert counted.what <= MOST_WHAT, _worst(counted.places)
    assert counted.wh <= MOST_WH_SENTENCES, _worst(counted.places)


def test_names_are_nouns_and_verbs() -> None:
    total = sum(1 for file in CODE for _ in names(file))
    found = participles()
    assert 1000 * len(found) / total <= MOST_PARTICIPLES, _worst(found)


def test_the_counts_find_riddles() -> None:
    counted = count([Place("x", 1, "What is told here. Whether it holds. It holds true.")])
    assert [round(counted.what), round(counted.wh), len(counted.places)] == [100, 67, 3]
    assert [is_participle(name) for name in ("told", "_wanted", "report", "used")] == [True, True, False, False]


def main() -> None:
    """Print every place that counts, worst file first, and the sums."""
    counts = {kind: count(places) for kind, places in texts().items()}
    found = [*(place for counted in counts.values() for place in counted.places), *participles()]
    order = Counter(place.file for place in found)
    for place in sorted(found, key=lambda place: (-order[place.file], place.file, place.line)):
        sys.stdout.write(f"{place.file}:{place.line}: {' '.join(place.text.split())[:150]}\n")
    for kind, counted in counts.items():
        sys.stdout.write(f"{kind}: {counted.what:.1f} what, {counted.wh:.1f} % wh\n")
    total = sum(1 for file in CODE for _ in names(file))
    sys.stdout.write(f"names: {1000 * len(participles()) / total:.1f} participles of {total}\n")


if __name__ == "__main__":
    main()
