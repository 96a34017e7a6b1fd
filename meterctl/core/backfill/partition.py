"""Split the lines of a backfill by org for several processes, and merge the answers."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from operator import itemgetter
from typing import NamedTuple
from zlib import crc32

from meterctl.core.backfill.answers import Answer
from meterctl.core.errors import BadInput
from meterctl.core.files.json_text import Document
from meterctl.core.files.operation_lines import Line


class RoundPart(NamedTuple):
    """Some lines of a round, in order: place in the round, number in the file, and content."""

    places: list[int]
    numbers: list[int]
    contents: list[Document | BadInput]

    def lines(self) -> Iterator[Line]:
        return map(Line, self.numbers, self.contents)


def split(lines: Iterable[Line], count: int) -> list[RoundPart]:
    """Split ``lines`` into ``count`` parts.

    Lines of the same org always go to the same part; lines without an org go to the first.
    """
    parts = [RoundPart([], [], []) for _ in range(count)]
    for place, (number, content) in enumerate(lines):
        places, numbers, contents = parts[_part_of(content, count)]
        places.append(place)
        numbers.append(number)
        contents.append(content)
    return parts


def _part_of(content: Document | BadInput, count: int) -> int:
    org = None if isinstance(content, BadInput) else content.get("org")
    # A lone surrogate is refused later; here it must not stop the other lines.
    return crc32(org.encode(errors="surrogatepass")) % count if isinstance(org, str) else 0


class MergedAnswers(NamedTuple):
    """Answers in order, up to the first line without one. ``lacking`` is the part with that line."""

    answers: list[Answer]
    lacking: int | None


def merge(parts: Sequence[Sequence[int]], results: Sequence[list[Answer]]) -> MergedAnswers:
    """Merge the answers of all parts. ``parts`` holds the places of their lines; a part may have stopped early."""
    pairs = chain.from_iterable(zip(places, part, strict=False) for places, part in zip(parts, results, strict=True))
    answers = sorted(pairs, key=itemgetter(0))
    lacking = [
        (places[len(part)], number)
        for number, (places, part) in enumerate(zip(parts, results, strict=True))
        if len(part) < len(places)
    ]
    first, number = min(lacking, default=(None, None))
    return MergedAnswers([answer for place, answer in answers if first is None or place < first], number)
