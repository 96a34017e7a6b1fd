"""The lines of a backfill in parts, by org, so that several can book them, and their answers together again."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

from meterctl.core.backfill.answers import Answer
from meterctl.core.errors import BadInput
from meterctl.core.files.json_text import Document
from meterctl.core.files.operation_lines import Line


class Part(NamedTuple):
    """Some lines of a round, in order: the place of each in the round, its number in the file, and what it holds."""

    places: list[int]
    numbers: list[int]
    contents: list[Document | BadInput]

    def lines(self) -> Iterator[Line]:
        return map(Line, self.numbers, self.contents)


def split(lines: Iterable[Line], count: int) -> list[Part]:
    """``count`` parts of ``lines``: those of one org always make it into the same one, and what names no org into the
    first."""
    parts = [Part([], [], []) for _ in range(count)]
    for place, (number, content) in enumerate(lines):
        places, numbers, contents = parts[_part_of(content, count)]
        places.append(place)
        numbers.append(number)
        contents.append(content)
    return parts


def _part_of(content: Document | BadInput, count: int) -> int:
    org = None if isinstance(content, BadInput) else content.get("org")
    # A lone surrogate, which is refused later, must not stop the others here.
    return crc32(org.encode(errors="surrogatepass")) % count if isinstance(org, str) else 0


class Merged(NamedTuple):
    """Answers in order of the round, up to the first line that has none; ``lacking`` is the part of that line."""

    answers: list[Answer]
    lacking: int | None


def merge(asked: Sequence[Sequence[int]], answered: Sequence[list[Answer]]) -> Merged:
    """Return the answers of all parts, each of which was asked the lines at some places of the round, and may have
    stopped before its last one."""
    pairs = chain.from_iterable(zip(places, given, strict=False) for places, given in zip(asked, answered, strict=True))
    answers = sorted(pairs, key=itemgetter(0))
    lacking = [
        (places[len(given)], part)
        for part, (places, given) in enumerate(zip(asked, answered, strict=True))
        if len(given) < len(places)
    ]
    first, part = min(lacking, default=(None, None))
    return Merged([answer for place, answer in answers if first is None or place < first], part)
